// The dialog “Transcribe again”.
import { byId, one } from "./dom.js";
import { whyOf } from "./requests.js";

const dialog = byId("again", HTMLDialogElement);
const form = one(dialog, "form");
const problem = one(dialog, ".problem");

// Languages are sorted here because browsers know the order of Chinese names and the server does not.
const language = one(form, "[name=language]", HTMLSelectElement);
const [detect, ...known] = language.options;
known.sort((a, b) => a.text.localeCompare(b.text, document.documentElement.lang));
const chosen = language.value;
language.replaceChildren(detect, ...known);
language.value = chosen;

form.addEventListener("htmx:afterRequest", ({ detail }) => {
  problem.hidden = detail.successful;
  if (detail.successful) {
    dialog.close();
    htmx.trigger("#text", "changed");
  } else {
    problem.textContent = whyOf(detail.xhr);
  }
});
