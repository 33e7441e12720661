// On every page: menus close, dialogs open, deletions are confirmed, failures are told, the browser's time zone is known.
import { around, byId, data, one } from "./dom.js";
import { keepPlace } from "./focus.js";
import "./forms.js";
import { endedIn, signIn, whyOf } from "./requests.js";
import { csrfHeader } from "./server.js";
import { say } from "./toast.js";

const LOST = data(byId("toast"), "lost");

const openMenus = () => document.querySelectorAll("details.menu[open]");

document.addEventListener("click", (event) => {
  for (const menu of openMenus()) {
    const inside = event.target instanceof Node && menu.contains(event.target);
    if (!inside || around(event, ".list a, .list button")) menu.removeAttribute("open");
  }
  keepPlace();
});

document.addEventListener("keydown", ({ key }) => {
  const [menu] = openMenus();
  if (key !== "Escape" || !menu) return;
  menu.removeAttribute("open");
  one(menu, "summary").focus();
});

document.addEventListener("htmx:confirm", (event) => {
  const { question, elt, issueRequest } = event.detail;
  if (!question) return;
  event.preventDefault();
  const dialog = byId("confirm", HTMLDialogElement);
  byId("confirm-question").textContent = question;
  one(dialog, "[value=yes]").textContent = elt.dataset.yes ?? data(dialog, "yes");
  dialog.returnValue = "no";
  dialog.onclose = () => {
    if (dialog.returnValue === "yes") issueRequest(true);
  };
  dialog.showModal();
});

document.addEventListener("click", (event) => {
  const opened = around(event, "[data-dialog]")?.dataset.dialog;
  if (opened) byId(opened, HTMLDialogElement).showModal();
  around(event, "[data-close]")?.closest("dialog")?.close();
});

/**
 * Open the dialog that searches everything, with what was typed last selected in it. Its script is loaded meanwhile.
 * @param {Event} event
 */
function openSearch(event) {
  event.preventDefault();
  if (document.querySelector("dialog[open]")) return;
  const dialog = byId("searching", HTMLDialogElement);
  dialog.showModal();
  one(dialog, "input", HTMLInputElement).select();
  import("./search.js").catch(() => say(LOST));
}

document.addEventListener("click", (event) => {
  if (around(event, "[data-search]") && !event.ctrlKey && !event.metaKey && !event.shiftKey) openSearch(event);
});
document.addEventListener("keydown", (event) => {
  const asked = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
  if (asked && document.getElementById("searching")) openSearch(event);
});

// The toast tells of what a person asked for and did not get. A dialog has a place for it, and a GET is repeated by its piece.
for (const failure of /** @type {const} */ (["htmx:responseError", "htmx:sendError"])) {
  document.addEventListener(failure, ({ detail: { xhr, requestConfig: { verb, elt } } }) => {
    if (verb !== "get" && !elt.closest("dialog")) say(whyOf(xhr));
  });
}

// A redirect of a piece leads to the sign-in: the person is signed out, and the whole page must go there.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!endedIn(event.detail)) return;
  event.detail.shouldSwap = false;
  const search = event.detail.requestConfig.elt.closest("form.search-form");
  if (!(search instanceof HTMLFormElement)) return signIn();
  document.dispatchEvent(new Event("sign-in"));
  search.submit(); // the address keeps what was typed
});

document.addEventListener("htmx:configRequest", ({ detail }) => { Object.assign(detail.headers, csrfHeader()); });

localStorage.setItem("theme", document.documentElement.dataset.theme ?? "auto"); // Django's admin reads its theme there

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone; // the server writes times in it
document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=lax`;
