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
