// What every page does: menus close, dialogs open, a question is asked before a deletion, a failure is told.
import { say } from "./toast.js";
import { whyOf } from "./why.js";

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

// Whatever a person presses ends in a word; a dialog has its own place for it. What a page asks for by itself, it asks again.
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(failure, ({ detail: { xhr, requestConfig } }) => {
    if (requestConfig.verb !== "get" && !requestConfig.elt.closest("dialog")) say(whyOf(xhr));
  });
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, pathInfo } = event.detail;
  if (new URL(xhr.responseURL).pathname === pathInfo.requestPath) return;
  event.detail.shouldSwap = false; // it was led to the sign-in: the session has ended
  location.reload();
});

localStorage.setItem("theme", document.documentElement.dataset.theme ?? "auto"); // where the admin's pages look for it

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone; // by which the server writes times
document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=lax`;
