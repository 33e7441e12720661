// The dialog that asks how to transcribe again.
import { whyOf } from "./why.js";

const dialog = document.getElementById("again");
const form = dialog.querySelector("form");
const problem = dialog.querySelector(".problem");

// The browser knows the order of Chinese names; the server does not.
const lang = document.documentElement.lang;
const { language } = form.elements;
const [detect, ...known] = language.options;
known.sort((one, other) => one.text.localeCompare(other.text, lang));
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
