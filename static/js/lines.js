// Reading along: the line and the word being spoken are marked, the page follows them, and a click on the text goes there.
import { caretAt } from "./caret.js";
import { all, around, byId, data } from "./dom.js";
import * as find from "./find.js";
import { highlight } from "./highlights.js";
import { bringIntoView, keepInView } from "./scrolling.js";
import { audio, goTo } from "./sound.js";

/**
 * @typedef {[offset: number, start: number, end: number]} Word its place in the line's text, and its times in seconds
 * @typedef {{ element: HTMLElement, start: number }} Line
 */

const JUST_BEFORE = 0.02; // seconds; a seek to the start of a word may land so much before it
const follow = byId("follow", HTMLInputElement), jump = byId("jump");
const wordMark = highlight("word", 2);

/** @type {Line[]} in order of time */
let lines = [];
/** @type {Line | null} the line being spoken */
let current = null;
/** @type {Word[]} of that line */
let words = [];

/** A line's text, in which places are counted. @param {HTMLElement} line */
export const textOf = ({ firstChild }) => (firstChild instanceof Text ? firstChild : new Text());

export const wordsOf = (/** @type {HTMLElement} */ element) => /** @type {Word[]} */ (JSON.parse(data(element, "words")));

function readLines() {
  lines = all(document, "#text .line").map((element) => ({ element, start: Number(element.dataset.start) }));
  current?.element.closest(".segment")?.classList.remove("current");
  current = null;
  mark();
}

/**
 * The last item that has begun at this time or place. A bisection, as a day of speech has ten thousand lines.
 * @template T
 * @param {T[]} items
 * @param {number} time
 * @param {(item: T) => number} startOf
 */
function lastBegun(items, time, startOf) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (startOf(items[middle]) <= time) low = middle + 1;
    else high = middle;
  }
  return items[low - 1] ?? null;
}

const lineAt = (/** @type {number} */ time) => lastBegun(lines, time, ({ start }) => start);

/** Mark what is spoken now. Nothing is marked before the person has first played or moved. */
export function mark() {
  const time = audio.currentTime + JUST_BEFORE;
  const line = time > JUST_BEFORE || !audio.paused ? lineAt(time) : null;
  if (line !== current) {
    current?.element.removeAttribute("aria-current");
    current?.element.closest(".segment")?.classList.remove("current"); // none: a segment that is edited has no lines
    line?.element.setAttribute("aria-current", "true");
    line?.element.closest(".segment")?.classList.add("current");
    current = line;
    words = line ? wordsOf(line.element) : [];
    if (line && follow.checked && !audio.paused) show();
  }
  markWord(line, time);
}

/**
 * @param {Line | null} line
 * @param {number} time
 */
function markWord(line, time) {
  wordMark.clear();
  const word = line && lastBegun(words, time, ([, start]) => start);
  if (!word || time > word[2]) return;
  const text = textOf(line.element), [begin] = word, following = words[words.indexOf(word) + 1]?.[0] ?? text.length;
  const range = new Range();
  range.setStart(text, begin);
  range.setEnd(text, begin + text.data.slice(begin, following).trimEnd().length);
  wordMark.add(range);
}

function show() {
  jump.hidden = true;
  if (current && !document.querySelector(".editing")) keepInView(current.element);
}

/** The line being spoken, or where the player stands. */
export const currentLine = () => current?.element ?? lines[0]?.element ?? null;

byId("main").addEventListener("click", (event) => {
  const line = around(event, ".line"), stamp = around(event, ".stamp");
  if (stamp) goTo(Number(stamp.dataset.start));
  if (!line || !getSelection()?.isCollapsed) return; // a selection of text is no click on it
  const caret = caretAt(event);
  const word = caret?.node.parentElement === line && lastBegun(wordsOf(line), caret.offset, ([offset]) => offset);
  goTo(word ? word[1] : Number(line.dataset.start));
});

// The page stops following a person who scrolls. A button goes back to the line.
for (const gesture of ["wheel", "touchmove"]) {
  addEventListener(gesture, () => {
    if (current && !audio.paused) follow.checked = jump.hidden = false;
  }, { passive: true });
}
follow.addEventListener("change", () => {
  if (follow.checked) show();
  else jump.hidden = true;
});
jump.addEventListener("click", () => {
  follow.checked = true;
  show();
});

/** An address with `#t=172` opens the page at 2:52. With `&q=word`, “word” is found there. */
function goToAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const time = Number(address.get("t")), query = address.get("q");
  if (query) find.open(query);
  if (!(time > 0)) return;
  const line = lineAt(time + JUST_BEFORE);
  if (line) bringIntoView(line.element);
  const go = () => {
    goTo(time);
    mark();
  };
  if (audio.readyState >= HTMLMediaElement.HAVE_METADATA) go();
  else audio.addEventListener("loadedmetadata", go, { once: true });
}

document.addEventListener("htmx:afterSettle", ({ target }) => {
  if (target instanceof Element && target.id === "text") readLines();
});
addEventListener("hashchange", goToAddress);
readLines();
goToAddress();
