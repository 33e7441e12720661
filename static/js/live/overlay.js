// Captions over a picture, in streaming software: nothing but text on a clear ground, for as long as it is new.
import { Captions } from "./captions.js";
import { watch } from "./watching.js";

const BLANK = 6_000; // ms without a new caption
const KEPT = 8; // final captions; more lines than they have nobody asks for
const root = document.documentElement, stage = document.getElementById("stage"), log = document.getElementById("log");
const asked = new URLSearchParams(location.search);

/** The parameter as a number between these, or this. */
function number(name, least, most, otherwise) {
  const value = asked.get(name);
  return value && Number.isFinite(Number(value)) ? Math.min(most, Math.max(least, Number(value))) : otherwise;
}

root.style.setProperty("--size", `${number("size", 8, 400, 48)}px`);
root.style.setProperty("--lines", Math.round(number("lines", 1, 10, 2)));
root.style.setProperty("--box", `${number("bg", 0, 100, 80)}%`);
root.style.setProperty("--align", ["left", "center", "right"].find((align) => align === asked.get("align")) ?? "center");
root.classList.toggle("upper", ["1", "true", "on"].includes(asked.get("upper")));

let blank = 0;
const captions = new Captions(log, document.getElementById("tentative"), ({ text }) => {
  const line = document.createElement("span");
  line.textContent = `${text} `;
  return line;
}, () => {
  while (log.children.length > KEPT) log.firstChild.remove();
  stage.hidden = false;
  clearTimeout(blank);
  blank = setTimeout(() => {
    stage.hidden = true;
    log.replaceChildren();
  }, BLANK);
});

// Nobody stands by to reload it: it comes back from everything, also when the session was closed to others for a while.
const leave = watch(root.dataset.session, captions, { final: [], onDone: () => leave() });
