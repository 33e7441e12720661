// “Find in transcript”: all matches are marked, and one after the other comes into view.
import { byId, data, one } from "./dom.js";
import { highlight } from "./highlights.js";
import { bringIntoView } from "./scrolling.js";

const bar = byId("finding"), input = byId("find", HTMLInputElement), count = byId("found"), button = byId("finder");
const all = highlight("found"), here = highlight("found-here");
/** @type {Range[]} the matches, in order */
let ranges = [];
let at = 0; // index of the match that is in view

/**
 * The matches in a paragraph, whose text consists of several nodes.
 * @param {Element} paragraph
 * @param {RegExp} pattern
 */
function matchesIn(paragraph, pattern) {
  const matches = [...paragraph.textContent.matchAll(pattern)];
  if (!matches.length) return [];
  const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
  /** @type {{ node: Node, begin: number }[]} */
  const nodes = [];
  for (let begin = 0, node; (node = walker.nextNode()); begin += node.textContent?.length ?? 0) nodes.push({ node, begin });
  return matches.map(({ index, 0: { length } }) => {
    const end = index + length, range = new Range();
    const first = nodes.findLast(({ begin }) => begin <= index), last = nodes.findLast(({ begin }) => begin < end);
    if (first) range.setStart(first.node, index - first.begin);
    if (last) range.setEnd(last.node, end - last.begin);
    return range;
  });
}

function search() {
  const typed = input.value.trim();
  const pattern = typed.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&").replace(/\s+/g, "\\s+");
  const paragraphs = typed && !bar.hidden ? document.querySelectorAll("#text .segment p") : [];
  ranges = Array.from(paragraphs, (paragraph) => matchesIn(paragraph, new RegExp(pattern, "giu"))).flat();
  at = Math.min(at, Math.max(0, ranges.length - 1));
  all.clear();
  for (const range of ranges) all.add(range);
  showCount();
}

function showCount() {
  here.clear();
  if (ranges.length) {
    here.add(ranges[at]);
    count.textContent = data(count, "nth").replace("{n}", String(at + 1)).replace("{m}", String(ranges.length));
  } else {
    count.textContent = input.value.trim() && data(count, "none");
  }
}

/** @param {number} by 1 for the next match, -1 for the one before; after the last comes the first */
function step(by) {
  if (!ranges.length) return;
  at = (at + by + ranges.length) % ranges.length;
  showCount();
  show();
}

function show() {
  const line = ranges[at]?.startContainer.parentElement;
  if (line) bringIntoView(line);
}

/** Open the bar, with this text in it. */
export function open(text = input.value) {
  bar.hidden = false;
  button.setAttribute("aria-expanded", "true");
  input.value = text;
  search();
}

export function focus() {
  open();
  input.focus();
  input.select();
}

function close() {
  bar.hidden = true;
  button.setAttribute("aria-expanded", "false");
  search();
  button.focus();
}

button.addEventListener("click", () => (bar.hidden ? focus() : close()));
byId("unfind").addEventListener("click", close);
for (const name of ["-1", "1"]) one(bar, `[data-step="${name}"]`).addEventListener("click", () => step(Number(name)));
input.addEventListener("input", () => {
  at = 0;
  search();
  show();
});
input.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
});
document.addEventListener("htmx:afterSettle", ({ target }) => {
  if (target instanceof Element && target.id === "text" && !bar.hidden) search();
});
