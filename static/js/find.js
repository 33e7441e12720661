// Finding words in the text on the page: all of them are marked, and one after the other comes into view.

import { bringIntoView } from "./landing.js";

const byId = (id) => document.getElementById(id);
const bar = byId("finding"), input = byId("find"), count = byId("found"), button = byId("finder");
const mark = (name) => {
  const highlight = globalThis.Highlight ? new Highlight() : new Set();
  if (globalThis.Highlight) CSS.highlights.set(name, highlight);
  return highlight;
};
const all = mark("found"), here = mark("found-here");
let ranges = [];
let at = 0;

/** The places in a paragraph, whose text is cut into lines, as ranges. */
function places(paragraph, wanted) {
  const matches = [...paragraph.textContent.matchAll(wanted)];
  if (!matches.length) return [];
  const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
  const nodes = [];
  for (let begin = 0; walker.nextNode(); begin += walker.currentNode.length) nodes.push([walker.currentNode, begin]);
  const point = (offset, isEnd) => nodes.findLast(([, begin]) => (isEnd ? begin < offset : begin <= offset));
  return matches.map((match) => {
    const range = new Range(), end = match.index + match[0].length;
    const [first, before] = point(match.index, false), [last, until] = point(end, true);
    range.setStart(first, match.index - before);
    range.setEnd(last, end - until);
    return range;
  });
}

function search() {
  const typed = input.value.trim();
  const pattern = typed.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&").replace(/\s+/g, "\\s+");
  const paragraphs = typed && !bar.hidden ? document.querySelectorAll("#text .segment p") : [];
  ranges = Array.from(paragraphs, (paragraph) => places(paragraph, new RegExp(pattern, "giu"))).flat();
  at = Math.min(at, Math.max(0, ranges.length - 1));
  all.clear();
  for (const range of ranges) all.add(range);
  tell();
}

function tell() {
  here.clear();
  if (ranges.length) here.add(ranges[at]);
  const { nth, none } = count.dataset;
  count.textContent = ranges.length ? nth.replace("{n}", at + 1).replace("{m}", ranges.length) : input.value.trim() && none;
}

function step(by) {
  if (!ranges.length) return;
  at = (at + by + ranges.length) % ranges.length;
  tell();
  show();
}

const show = () => ranges[at] && bringIntoView(ranges[at].startContainer.parentElement);

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
for (const one of bar.querySelectorAll("[data-step]")) one.addEventListener("click", () => step(Number(one.dataset.step)));
input.addEventListener("input", () => { at = 0; search(); show(); });
input.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
});
document.addEventListener("htmx:afterSettle", (event) => { if (event.target.id === "text" && !bar.hidden) search(); });
