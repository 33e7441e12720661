// Forms that send a POST by themselves. A script sends them, so that the page, and what was typed, stays where that fails.
import { byId, one } from "./dom.js";
import { send } from "./requests.js";
import { root } from "./server.js";
import { say } from "./toast.js";

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || event.defaultPrevented || form.method !== "post") return;
  event.preventDefault();
  if (form.ariaBusy) return; // pressed twice
  form.ariaBusy = "true";
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form, event.submitter)) fields.append(name, String(value));
  fields.delete("csrfmiddlewaretoken"); // void after a sign-in in another window; the header is not
  const answer = await send(form.action, { method: "POST", body: fields, redirect: "manual" });
  form.ariaBusy = null;
  if (answer.moved) location.assign(form.dataset.next || String(fields.get("next") || `${root}/`));
  else if (answer.page) show(answer.page);
  else say(answer.words);
});

/** Show a page that came in place of a redirect: the form with what is wrong in it, or a refusal. @param {string} html */
function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html"), main = byId("main");
  document.title = page.title;
  main.replaceChildren(...one(page, "main").childNodes);
  main.focus();
}
