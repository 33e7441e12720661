// Captions over a picture, in streaming software: only text, on a clear ground, which goes when it is old.
import { byId, data } from "../dom.js";
import { Captions } from "./captions.js";
import { watch } from "./watching.js";

const BLANK = 6_000; // ms without a new caption, after which the text goes
const KEPT = 8; // final captions that stay in the page; the overlay shows ten lines at most
const root = document.documentElement, stage = byId("stage"), log = byId("log");
const asked = new URLSearchParams(location.search);

/**
 * A parameter of the address as a number, moved into the range.
 * @param {string} name
 * @param {number} least
 * @param {number} most
 * @param {number} otherwise where the address has none
 */
function number(name, least, most, otherwise) {
  const value = asked.get(name);
  return value && Number.isFinite(Number(value)) ? Math.min(most, Math.max(least, Number(value))) : otherwise;
}

root.style.setProperty("--size", `${number("size", 8, 400, 48)}px`);
root.style.setProperty("--lines", String(Math.round(number("lines", 1, 10, 2))));
root.style.setProperty("--box", `${number("bg", 0, 100, 80)}%`);
root.style.setProperty("--align", ["left", "center", "right"].find((align) => align === asked.get("align")) ?? "center");
root.classList.toggle("upper", ["1", "true", "on"].includes(asked.get("upper") ?? ""));

let blank = 0;
const captions = new Captions(log, byId("tentative"), ({ text }) => {
  const line = document.createElement("span");
  line.textContent = `${text} `;
  return line;
}, () => {
  while (log.children.length > KEPT) log.firstChild?.remove();
  stage.hidden = false;
  clearTimeout(blank);
  blank = setTimeout(() => {
    stage.hidden = true;
    log.replaceChildren();
  }, BLANK);
});

// No close code is final: nobody stands by to reload the page, and a session that was closed to others may be opened again.
const connection = watch(data(root, "session"), captions, { final: [], onDone: () => connection.end() });
