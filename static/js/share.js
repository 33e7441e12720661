// The panel “Share”. Its content comes from the server, each time that the panel opens and after each press.
import "./copying.js";
import { around, byId, one } from "./dom.js";
import { whyOf } from "./requests.js";

const dialog = byId("share", HTMLDialogElement), links = byId("links");
const problem = one(dialog, ".problem"), status = one(dialog, "[role=status]");

document.addEventListener("click", (event) => {
  if (!around(event, "[data-dialog=share]")) return;
  links.replaceChildren(); // an address that was shown before is not kept
  htmx.trigger(links, "opened");
});

dialog.addEventListener("htmx:afterRequest", ({ detail }) => {
  problem.hidden = detail.successful;
  if (!detail.successful) problem.textContent = whyOf(detail.xhr);
});
dialog.addEventListener("htmx:afterSettle", () => {
  status.textContent = links.querySelector("[data-said]")?.getAttribute("data-said") ?? "";
});
