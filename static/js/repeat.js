// A stretch that is played again and again: what is selected in the text, or else the line being spoken.
import { clock } from "./clock.js";
import { all, byId, data } from "./dom.js";
import { currentLine, textOf, wordsOf } from "./lines.js";
import { note } from "./note.js";
import { audio, duration, goTo } from "./sound.js";

/** @typedef {{ start: number, end: number }} Stretch in seconds */

const SHORTEST = 0.3; // seconds; shorter ones are noise
// Seconds from the stretch; whoever goes further away leaves it. At three times the speed, the player alone gets 0.75 past the
// end between two of its events.
const OUTSIDE = 1;
const button = byId("repeat"), shown = byId("repeated");
/** @type {Stretch | null} */
let stretch = null;
/** @type {Stretch | null} the last selection: a press of the button may end the selection itself */
let selected = null;

/**
 * The time of a part of a line, by its words.
 * @param {HTMLElement} line
 * @param {number} from
 * @param {number} to offsets in the line's text
 * @returns {Stretch}
 */
function timeOf(line, from, to) {
  const words = wordsOf(line), { start, end } = line.dataset;
  const first = words.findLast(([offset]) => offset <= from), last = words.findLast(([offset]) => offset < to);
  return { start: first?.[1] ?? Number(start), end: last?.[2] ?? Number(end) };
}

/** The time of what is selected in the text; null where nothing is. @returns {Stretch | null} */
function selection() {
  const chosen = getSelection();
  if (!chosen || chosen.isCollapsed || !chosen.rangeCount) return null;
  const range = chosen.getRangeAt(0);
  const lines = all(document, "#text .line").filter((line) => range.intersectsNode(textOf(line)));
  const [first] = lines, last = lines.at(-1);
  if (!first || !last) return null;
  const from = range.startContainer === first.firstChild ? range.startOffset : 0;
  const to = range.endContainer === last.firstChild ? range.endOffset : textOf(last).length;
  const { start } = timeOf(first, from, textOf(first).length), { end } = timeOf(last, 0, to);
  return { start, end };
}

function show() {
  button.setAttribute("aria-pressed", String(Boolean(stretch)));
  shown.hidden = !stretch;
  if (!stretch) return;
  const { start, end } = stretch;
  shown.style.setProperty("--start", String(start / duration));
  shown.style.setProperty("--end", String(end / duration));
  note.textContent = data(button, "told").replace("{start}", clock(start)).replace("{end}", clock(end));
}

/** Play a stretch again and again; none: go on as before. @param {Stretch | null} next */
export function playStretch(next) {
  if (stretch && !next) note.textContent = "";
  stretch = next && { start: next.start, end: Math.min(Math.max(next.end, next.start + SHORTEST), duration) };
  show();
  if (!stretch) return;
  goTo(stretch.start);
  audio.play().catch(() => {});
}

/** Begin to play what is selected, or the line; or end it. */
export function repeat() {
  const line = currentLine();
  playStretch(stretch ? null : selection() ?? selected ?? (line && timeOf(line, 0, textOf(line).length)));
  selected = null;
}

function again() {
  if (!stretch || audio.paused) return;
  const past = audio.currentTime - stretch.end;
  if (past >= 0 && past < OUTSIDE) goTo(stretch.start);
}

/** `timeupdate` comes four times a second: too late for the end of a word. */
function watch() {
  again();
  if (stretch && !audio.paused) requestAnimationFrame(watch);
}

button.addEventListener("pointerdown", () => { selected = selection(); });
button.addEventListener("click", repeat);
audio.addEventListener("play", watch);
audio.addEventListener("timeupdate", again);
audio.addEventListener("ended", () => {
  if (!stretch) return;
  goTo(stretch.start);
  audio.play().catch(() => {});
});
audio.addEventListener("seeking", () => {
  const { currentTime } = audio;
  if (!stretch || (currentTime > stretch.start - OUTSIDE && currentTime < stretch.end + OUTSIDE)) return;
  playStretch(null);
});
