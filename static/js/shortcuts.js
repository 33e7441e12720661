// The keyboard shortcuts of a recording's page. The dialog #keyboard lists them, and switches them off.
import { showTimes } from "./arrange.js";
import { all, around, byId } from "./dom.js";
import { begin } from "./edit.js";
import * as find from "./find.js";
import { setSpeed } from "./player.js";
import { repeat } from "./repeat.js";
import { openReplace } from "./replace.js";
import { audio, goTo, toggle } from "./sound.js";
import * as unsure from "./unsure.js";

const enabled = byId("shortcuts", HTMLInputElement), dialog = byId("keyboard", HTMLDialogElement);
const TAKES_KEYS = "input:not([type=range], [type=checkbox]), select, textarea, [contenteditable]";
const TAKES_SPACE = `${TAKES_KEYS}, button, summary, a, [type=checkbox]`;

/** The segment being spoken, or else the first one below the player, or in view where the player lies at the foot. */
function segmentInView() {
  const player = byId("player"), floats = getComputedStyle(player).position === "fixed";
  const below = floats ? 0 : player.getBoundingClientRect().bottom;
  const segments = all(document, "#text .segment");
  return segments.find((segment) => segment.matches(".current"))
    ?? segments.find((segment) => segment.getBoundingClientRect().bottom > below);
}

/** @type {Map<string, (event: KeyboardEvent) => void>} */
const actions = new Map(Object.entries({
  " ": toggle,
  j: () => goTo(audio.currentTime - 5),
  l: () => goTo(audio.currentTime + 5),
  "[": () => setSpeed(-1),
  "]": () => setSpeed(1),
  e: () => {
    const segment = segmentInView();
    begin(segment, unsure.placeIn(segment));
  },
  u: ({ shiftKey }) => unsure.step(shiftKey ? -1 : 1),
  f: find.focus,
  h: openReplace,
  r: repeat,
  t: () => showTimes(segmentInView()),
  "?": () => dialog.showModal(),
}));

document.addEventListener("keydown", (event) => {
  if (!enabled.checked || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const action = actions.get(event.key.toLowerCase());
  if (!action || around(event, event.key === " " ? TAKES_SPACE : TAKES_KEYS)) return;
  event.preventDefault();
  action(event);
});

enabled.checked = localStorage.getItem("shortcuts") !== "off";
enabled.addEventListener("change", () => localStorage.setItem("shortcuts", enabled.checked ? "on" : "off"));
