// What every page does: menus close, dialogs open, a question is asked before a deletion, a refusal is told.
import { say } from "./toast.js";

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || event.target.closest(".list a, .list button")) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-question").textContent = event.detail.question;
  dialog.returnValue = "no";
  dialog.onclose = () => dialog.returnValue === "yes" && event.detail.issueRequest(true);
  dialog.showModal();
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
  event.target.closest("[data-close]")?.closest("dialog").close();
});

/** A sentence that the server has for the person; a dialog shows its own. */
document.addEventListener("htmx:responseError", ({ detail, target }) => {
  if (detail.xhr.getResponseHeader("Content-Type")?.startsWith("text/plain") && !target.closest("dialog")) {
    say(detail.xhr.responseText);
  }
});

localStorage.setItem("theme", document.documentElement.dataset.theme ?? "auto"); // where the admin's pages look for it

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone; // by which the server writes times
document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=lax`;
