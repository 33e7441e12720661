// The dialog that gives a recording another title.
import { around, byId, one } from "./dom.js";
import { keepDraft, takeDraft } from "./drafts.js";
import { act, keptWords } from "./requests.js";
import { root } from "./server.js";

const dialog = byId("rename", HTMLDialogElement);
const form = one(dialog, "form", HTMLFormElement), title = one(form, "[name=title]", HTMLInputElement);
const problem = one(dialog, ".problem");
let recording = ""; // id of the one that the dialog is about
const heading = () => document.getElementById(`title-${recording}`); // asked each time: a newer row may have taken its place

document.addEventListener("click", (event) => {
  const opener = around(event, "[data-rename]");
  if (!opener) return;
  recording = opener.dataset.rename ?? "";
  title.value = heading()?.textContent ?? "";
  title.select();
  problem.hidden = true;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  title.value = title.value.trim();
  if (!form.reportValidity()) return; // nothing but spaces
  const { ok, body, words } = await act(`${root}/api/recordings/${recording}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ title: title.value }),
  });
  problem.hidden = ok;
  if (ok) {
    show(JSON.parse(body).title);
    dialog.close();
  } else {
    problem.textContent = words;
  }
});

/** @param {string} given the title that the server has now */
function show(given) {
  const shown = heading(); // null in a library where the recording was deleted meanwhile
  if (shown?.matches("h1")) document.title = document.title.replace(shown.textContent, () => given);
  if (shown) shown.textContent = given;
}

document.addEventListener("sign-in", () => { if (dialog.open) keepDraft("title", { recording, title: title.value }); });
const draft = takeDraft("title", (kept) => document.getElementById(`title-${kept.recording}`) !== null);
if (draft) {
  recording = draft.recording;
  dialog.showModal();
  title.value = draft.title;
  problem.textContent = keptWords;
  problem.hidden = false;
}
