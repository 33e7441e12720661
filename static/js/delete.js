// Deleting from the library: the row goes at once, the recording ten seconds later, so that it can be taken back.
import { say } from "./toast.js";
import { act } from "./why.js";

const rows = document.getElementById("rows");
const going = new Set(); // ids of rows that are gone for the person, but not yet for the server

rows.addEventListener("click", (event) => {
  const url = event.target.closest("[data-delete]")?.dataset.delete;
  if (!url) return;
  const { id } = event.target.closest(".row");
  const row = () => document.getElementById(id); // by then perhaps a newer one
  const back = () => {
    going.delete(id);
    if (row()) row().hidden = false;
  };
  const title = row().querySelector("h2").textContent;
  going.add(id);
  row().hidden = true;
  say(rows.dataset.deleted.replace("{title}", title), async (undone) => {
    if (undone) {
      back();
      row()?.querySelector("h2 a").focus();
      return;
    }
    const { ok, status, words } = await act(url, { method: "POST", keepalive: true }); // it may be the page's last moment
    if (ok || status === 404) return row()?.remove();
    back();
    say(words);
  });
});

// A newer row of the same recording stays out of sight too.
document.addEventListener("htmx:load", ({ detail: { elt } }) => { if (going.has(elt.id)) elt.hidden = true; });
