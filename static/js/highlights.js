// Marks in the text, which the stylesheet colours.

/**
 * The ranges marked by `::highlight(name)`. In a browser without highlights nothing is marked, and all else works the same.
 * @param {string} name
 * @param {number} [priority] of marks that lie over each other, the one with the higher number is seen
 * @returns {Set<AbstractRange>}
 */
export function highlight(name, priority = 0) {
  if (!("Highlight" in globalThis)) return new Set();
  const marked = new Highlight();
  marked.priority = priority;
  CSS.highlights.set(name, marked);
  return marked;
}
