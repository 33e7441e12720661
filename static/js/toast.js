// A sentence at the foot of the page, for ten seconds; with a way back where there is one.

const SHOWN = 10_000; // ms
const toast = document.getElementById("toast");
const undo = toast.querySelector("button");
let timer = 0;
let over = () => {};

/** With `ended`, the person can take it back: it is told whether they did. Another sentence takes this one's place. */
export function say(sentence, ended = null) {
  over(false);
  toast.querySelector("span").textContent = sentence;
  undo.hidden = !ended;
  toast.hidden = false;
  if (ended) undo.focus();
  over = (undone) => {
    clearTimeout(timer);
    toast.hidden = true;
    over = () => {};
    ended?.(undone);
  };
  timer = setTimeout(() => over(false), SHOWN);
}

undo.addEventListener("click", () => over(true));
// Whoever leaves does not take it back: what waits for the answer goes on now.
addEventListener("pagehide", () => over(false));
