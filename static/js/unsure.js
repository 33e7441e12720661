// Words that the machine may have misheard: they are shaded, and a key or a button leads from one to the next.
import { all, byId, data, one } from "./dom.js";
import { highlight } from "./highlights.js";
import { mark, textOf, wordsOf } from "./lines.js";
import { note } from "./note.js";
import { bringIntoView } from "./scrolling.js";
import { audio, goTo } from "./sound.js";

/** @typedef {{ line: HTMLElement, begin: number, end: number, start: number }} Doubt a place in the line's text, and its second */

const SAME = 0.05; // seconds; a seek lands so near to the time that was asked for
const button = byId("unsure"), count = one(button, ".num");
const marked = highlight("unsure", -1), here = highlight("unsure-here", 1);
/** @type {Doubt[]} in the order of the text */
let doubts = [];
/** @type {Doubt | null} the one that the person looks at */
let at = null;

function read() {
  doubts = all(document, "#text .line[data-unsure]").flatMap((line) => {
    const words = wordsOf(line);
    /** @type {[number, number][]} */
    const places = JSON.parse(data(line, "unsure"));
    return places.map(([begin, end]) => ({ line, begin, end, start: words.find(([offset]) => offset === begin)?.[1] ?? 0 }));
  });
  if (at && !doubts.some(({ line, begin }) => line === at?.line && begin === at.begin)) leave();
  marked.clear();
  for (const doubt of doubts) marked.add(rangeOf(doubt));
  button.hidden = !doubts.length;
  count.textContent = String(doubts.length);
}

/** @param {Doubt} doubt */
function rangeOf({ line, begin, end }) {
  const range = new Range(), text = textOf(line);
  range.setStart(text, begin);
  range.setEnd(text, end);
  return range;
}

function leave() {
  at = null;
  here.clear();
}

/**
 * Go to the next such word after the one that was gone to, or else after the time of the player; after the last comes the first.
 * @param {number} by 1 for the next, -1 for the one before
 */
export function step(by) {
  if (!doubts.length) return;
  const time = audio.currentTime;
  const known = doubts.findIndex(({ line, begin }) => at && line === at.line && begin === at.begin);
  const later = doubts.findIndex(({ start }) => start > time + SAME), next = later < 0 ? doubts.length : later;
  const stays = at && Math.abs(time - at.start) < SAME && known >= 0;
  const to = stays ? known + by : by > 0 ? next : doubts.findLastIndex(({ start }) => start < time - SAME);
  const number = (to + doubts.length) % doubts.length;
  at = doubts[number];
  here.clear();
  here.add(rangeOf(at));
  bringIntoView(at.line);
  goTo(at.start);
  mark();
  note.textContent = data(button, "nth").replace("{n}", String(number + 1)).replace("{m}", String(doubts.length))
    .replace("{word}", () => rangeOf(/** @type {Doubt} */ (at)).toString());
}

/**
 * The place in the segment's text of the word that was gone to.
 * @param {HTMLElement | undefined} segment
 * @returns {[begin: number, end: number] | undefined}
 */
export function placeIn(segment) {
  if (!at || !segment?.contains(at.line)) return undefined;
  const before = new Range();
  before.selectNodeContents(one(segment, "p"));
  before.setEnd(textOf(at.line), at.begin);
  const begin = before.toString().length;
  return [begin, begin + at.end - at.begin];
}

button.addEventListener("click", () => step(1));
document.addEventListener("htmx:afterSettle", ({ target }) => {
  if (target instanceof Element && target.id === "text") read();
});
read();
