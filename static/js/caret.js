/**
 * The place in the text under the pointer, or null where there is no text. Older Safaris have `caretRangeFromPoint` only.
 * @param {MouseEvent} event
 * @returns {{ node: Node, offset: number } | null}
 */
export function caretAt({ clientX, clientY }) {
  const place = document.caretPositionFromPoint?.(clientX, clientY);
  if (place) return { node: place.offsetNode, offset: place.offset };
  const range = document.caretRangeFromPoint?.(clientX, clientY);
  return range ? { node: range.startContainer, offset: range.startOffset } : null;
}

/**
 * Put the cursor into a paragraph: where a mouse points, around a part of its text, or at its end.
 * @param {HTMLElement} paragraph
 * @param {MouseEvent | [begin: number, end: number]} [place]
 */
export function placeCursor(paragraph, place) {
  const selection = getSelection(), text = paragraph.firstChild;
  const caret = place instanceof MouseEvent ? caretAt(place) : null;
  if (caret && paragraph.contains(caret.node)) {
    selection?.collapse(caret.node, caret.offset);
  } else if (Array.isArray(place) && text) {
    selection?.setBaseAndExtent(text, place[0], text, place[1]);
  } else {
    selection?.selectAllChildren(paragraph);
    selection?.collapseToEnd();
  }
}
