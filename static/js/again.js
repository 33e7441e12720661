// The dialog “Transcribe again”.
import { byId, one } from "./dom.js";
import { keepDraft, takeDraft } from "./drafts.js";
import { endedIn, keptWords, whyOf } from "./requests.js";

const dialog = byId("again", HTMLDialogElement);
const form = one(dialog, "form", HTMLFormElement);
const problem = one(dialog, ".problem");

// Languages are sorted here because browsers know the order of Chinese names and the server does not.
const language = one(form, "[name=language]", HTMLSelectElement);
const [detect, ...known] = language.options;
known.sort((a, b) => a.text.localeCompare(b.text, document.documentElement.lang));
const chosen = language.value;
language.replaceChildren(detect, ...known);
language.value = chosen;

const { recording } = byId("text").dataset;

form.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.successful && endedIn(detail)) return; // page.js leads to the sign-in
  problem.hidden = detail.successful;
  if (detail.successful) {
    dialog.close();
    htmx.trigger("#text", "changed");
  } else {
    problem.textContent = whyOf(detail.xhr);
  }
});

document.addEventListener("sign-in", () => {
  if (dialog.open) keepDraft("options", { recording, fields: Object.fromEntries(new FormData(form)) });
});
const draft = takeDraft("options", (kept) => kept.recording === recording);
if (draft) {
  for (const [name, value] of Object.entries(draft.fields)) {
    const field = form.elements.namedItem(name);
    if (field && "value" in field) field.value = value;
  }
  problem.textContent = keptWords;
  problem.hidden = false;
  dialog.showModal();
}
