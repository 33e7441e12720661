// The dialog that asks how to transcribe again.

const dialog = document.getElementById("again");
const form = dialog.querySelector("form");
const problem = dialog.querySelector(".problem");

// The browser knows the names of more languages than the server.
const lang = document.documentElement.lang;
const names = new Intl.DisplayNames(lang, { type: "language" });
const { language } = form.elements;
const [detect, ...known] = language.options;
for (const option of known) option.text = names.of(option.value === "jw" ? "jv" : option.value); // Whisper's code is the old one
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
    problem.textContent = detail.xhr.status ? detail.xhr.responseText : form.dataset.lost;
  }
});
