// Deleting from the library: the row goes at once, the recording ten seconds later, so that it can be taken back.
import { say } from "./toast.js";

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
    } else if (await remove(url)) {
      row()?.remove();
    } else {
      back();
    }
  });
});

/** Begun at once: it may be the last moment of the page. */
async function remove(url) {
  const headers = JSON.parse(document.body.getAttribute("hx-headers"));
  const answer = await fetch(url, { method: "POST", headers, keepalive: true }).catch(() => ({ status: 0 }));
  return answer.ok || answer.status === 404;
}

// A newer row of the same recording stays out of sight too.
document.addEventListener("htmx:load", ({ detail: { elt } }) => { if (going.has(elt.id)) elt.hidden = true; });
