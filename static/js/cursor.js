// The second of the sound that belongs to the cursor in a text that is being edited.
import { wordsOf } from "./lines.js";

/** @param {string} a @param {string} b */
function sharedStart(a, b) {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

/** @param {string} text */
const reversed = (text) => text.split("").reverse().join("");

/**
 * The place in the text before the edit that corresponds to the cursor. What was typed lies between what both texts begin
 * with and what both end with; all of it corresponds to the place where it begins.
 * @param {string} before
 * @param {string} now
 * @param {number} cursor its place in `now`
 */
export function placeBefore(before, now, cursor) {
  const start = sharedStart(before, now);
  if (cursor <= start) return cursor;
  const most = Math.min(before.length, now.length) - start;
  const end = Math.min(sharedStart(reversed(before), reversed(now)), most);
  return now.length - cursor <= end ? before.length - (now.length - cursor) : start;
}

/**
 * The time of the word at this place; null where no word has a time.
 * @param {Node[]} nodes of the paragraph before the edit
 * @param {number} place in its text
 */
export function timeAt(nodes, place) {
  let offset = 0, time = null;
  for (const node of nodes) {
    if (offset > place) break;
    if (node instanceof HTMLElement && node.matches(".line")) {
      time = Number(node.dataset.start);
      for (const [begin, start] of wordsOf(node)) if (offset + begin <= place) time = start;
    }
    offset += node.textContent?.length ?? 0;
  }
  return time;
}

/**
 * How many characters stand before the cursor in this element.
 * @param {HTMLElement} element
 */
export function cursorIn(element) {
  const selection = getSelection();
  if (!selection?.rangeCount || !element.contains(selection.anchorNode)) return element.textContent.length;
  const range = new Range();
  range.selectNodeContents(element);
  range.setEnd(selection.getRangeAt(0).startContainer, selection.getRangeAt(0).startOffset);
  return range.toString().length;
}
