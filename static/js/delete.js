// Deleting from the library. The row goes at once; the server is asked ten seconds later, so that it can be undone.
import { around, byId, data, one } from "./dom.js";
import { act } from "./requests.js";
import { say } from "./toast.js";

const rows = byId("rows");
/** Ids of rows that are hidden, whose recordings the server still has. @type {Set<string>} */
const going = new Set();

rows.addEventListener("click", (event) => {
  const url = around(event, "[data-delete]")?.dataset.delete, id = around(event, ".row")?.id;
  if (!url || !id) return;
  const row = () => document.getElementById(id); // asked each time: a newer row may have taken its place
  const show = (/** @type {boolean} */ shown) => {
    if (shown) going.delete(id);
    else going.add(id);
    row()?.toggleAttribute("hidden", !shown);
  };
  show(false);
  const title = one(rows, `#${id} h2`).textContent;
  say(data(rows, "deleted").replace("{title}", title), async (undone) => {
    if (undone) {
      show(true);
      row()?.querySelector("a")?.focus();
      return;
    }
    const { ok, status, words } = await act(url, { method: "POST", keepalive: true }); // the page may be left right now
    if (ok || status === 404) {
      row()?.remove();
    } else {
      show(true);
      say(words);
    }
  });
});

// A newer row of a deleted recording stays hidden too.
document.addEventListener("htmx:load", ({ detail: { elt } }) => { if (going.has(elt.id)) elt.hidden = true; });
