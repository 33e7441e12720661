// The toast: one sentence at the foot of the page for ten seconds, with “Undo” where something can be taken back.
import { byId, one } from "./dom.js";
import { keepPlace } from "./focus.js";

const SHOWN = 10_000; // ms
const toast = byId("toast");
const undo = one(toast, "button");
let timer = 0;
let end = (/** @type {boolean} */ _undone) => {};

/**
 * Show a sentence, in place of the one before.
 * @param {string} sentence
 * @param {(undone: boolean) => void} [ended] is called once, when the toast goes; with it, the toast offers “Undo”
 */
export function say(sentence, ended) {
  end(false);
  one(toast, "span").textContent = sentence;
  undo.hidden = !ended;
  toast.hidden = false;
  if (ended) undo.focus();
  end = (undone) => {
    clearTimeout(timer);
    toast.hidden = true;
    end = () => {};
    ended?.(undone);
    keepPlace();
  };
  timer = setTimeout(() => end(false), SHOWN);
}

undo.addEventListener("click", () => end(true));
addEventListener("pagehide", () => end(false)); // a person who leaves the page does not undo
