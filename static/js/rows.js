// The library's rows of recordings that are deleted, or are about to be. An answer to the rail may be under way that still
// brings such a row, or names it.

/** Ids of rows that stay hidden, also when a newer row takes the place. @type {Set<string>} */
const hidden = new Set();
/** Those of them whose recordings are deleted. @type {Set<string>} */
const gone = new Set();

/**
 * Hide a row, or show it again.
 * @param {string} id
 * @param {boolean} shown
 */
export function show(id, shown) {
  if (shown) hidden.delete(id);
  else hidden.add(id);
  document.getElementById(id)?.toggleAttribute("hidden", !shown);
}

/**
 * Remove the row of a deleted recording. While the rail asks, the row stays, hidden: htmx takes an answer that names a
 * missing row for a fault.
 * @param {string} id
 */
export function removeRow(id) {
  show(id, false);
  gone.add(id);
  sweep();
}

function sweep() {
  if (document.querySelector("#rail.htmx-request")) return;
  for (const id of gone) document.getElementById(id)?.remove();
}

document.addEventListener("htmx:load", ({ detail: { elt } }) => { if (hidden.has(elt.id)) elt.hidden = true; });
document.addEventListener("htmx:afterRequest", sweep);
