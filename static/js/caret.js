// Which place in the text is under the pointer.

/** { node, offset }, or null where there is no text. Safari knows only the older of the two names that browsers have. */
export function caretAt({ clientX, clientY }) {
  const place = document.caretPositionFromPoint?.(clientX, clientY);
  if (place) return { node: place.offsetNode, offset: place.offset };
  const range = document.caretRangeFromPoint?.(clientX, clientY);
  return range ? { node: range.startContainer, offset: range.startOffset } : null;
}
