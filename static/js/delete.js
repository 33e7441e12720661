// Deleting from the library. The row goes at once; the server is asked ten seconds later, so that it can be undone.
import { around, byId, data, one } from "./dom.js";
import { act } from "./requests.js";
import { removeRow, show } from "./rows.js";
import { say } from "./toast.js";

const rows = byId("rows");

rows.addEventListener("click", (event) => {
  const url = around(event, "[data-delete]")?.dataset.delete, id = around(event, ".row")?.id;
  if (!url || !id) return;
  show(id, false);
  const title = one(rows, `#${id} h2`).textContent;
  say(data(rows, "deleted").replace("{title}", title), async (undone) => {
    if (undone) {
      show(id, true);
      document.getElementById(id)?.querySelector("a")?.focus();
      return;
    }
    const { ok, status, words } = await act(url, { method: "POST", keepalive: true }); // the page may be left right now
    if (ok || status === 404) {
      removeRow(id);
    } else {
      show(id, true);
      say(words);
    }
  });
});
