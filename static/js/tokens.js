// The form of a new API token keeps what was typed and chosen, where a person has to sign in again first.
import { byId, one } from "./dom.js";
import { keepDraft, takeDraft } from "./drafts.js";

const form = () => one(byId("tokens"), ".form", HTMLFormElement); // each answer brings another one

document.addEventListener("sign-in", () => {
  const said = [...new FormData(form())].filter(([name]) => name !== "csrfmiddlewaretoken");
  keepDraft("token", said);
});

/** @type {[string, string][] | null} */
const draft = takeDraft("token", Array.isArray);
for (const field of draft ? form().elements : []) {
  const kept = draft?.filter(([name]) => "name" in field && name === field.name).map(([, value]) => value) ?? [];
  if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = kept.includes(field.value);
  else if (kept.length && (field instanceof HTMLInputElement || field instanceof HTMLSelectElement)) field.value = kept[0];
}
