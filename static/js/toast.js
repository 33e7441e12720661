// A sentence at the foot of the page, for ten seconds; with a way back where there is one.

const SHOWN = 10_000; // ms
const toast = document.getElementById("toast");
const undo = toast.querySelector("button");
let timer = 0;
let over = () => {};

/** Resolves to whether the person took it back. Another one takes its place. */
export function say(sentence, { canUndo = false } = {}) {
  over(false);
  toast.querySelector("span").textContent = sentence;
  undo.hidden = !canUndo;
  toast.hidden = false;
  if (canUndo) undo.focus();
  return new Promise((resolve) => {
    over = (taken) => {
      clearTimeout(timer);
      toast.hidden = true;
      over = () => {};
      resolve(taken);
    };
    undo.onclick = () => over(true);
    timer = setTimeout(() => over(false), SHOWN);
  });
}

// Whoever leaves does not take it back: what waits for the answer goes on now.
addEventListener("pagehide", () => over(false));
