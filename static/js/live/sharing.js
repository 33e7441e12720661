// Who may watch a live session: the links to it, and whether they are open to everyone.
import { byId, data } from "../dom.js";
import { notice } from "./notices.js";

/** @import { LiveRun } from "./outbox.js" */

const COPIED = 2_000; // ms for which the button says so
const live = byId("live"), isPublic = byId("public", HTMLInputElement);
const viewer = byId("viewer", HTMLAnchorElement), overlay = byId("overlay", HTMLAnchorElement);
const link = byId("link"), qr = byId("qr", HTMLImageElement), copy = byId("copy"), menu = qr.closest("details");
/** Id of the session that is shared; "" before one has begun. */
let session = "";

/** An address from the page, for this session. @param {string} name */
const address = (name) => new URL(data(live, name).replace("SESSION", session), location.href).href;

/**
 * Show the links to a session. A run that goes on in another session stays open to everyone, if it was.
 * @param {LiveRun} run whose session has begun
 */
export function share(run) {
  if (!run.session || run.session === session) return;
  session = run.session;
  viewer.href = link.textContent = address("viewer");
  overlay.href = address("overlay");
  qr.removeAttribute("src");
  byId("loopback").hidden = !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  if (isPublic.checked && !run.public) publish();
}

/** Show whether everyone may watch, before a session goes on. @param {boolean} everyone */
export function showPublic(everyone) {
  isPublic.checked = everyone;
  byId("private").hidden = everyone;
}

async function publish() {
  const wanted = isPublic.checked;
  const answer = await fetch(address("public"), {
    method: "POST",
    headers: { "X-CSRFToken": data(live, "csrf") },
    body: new URLSearchParams({ public: wanted ? "on" : "off" }),
  }).catch(() => null);
  if (!answer?.ok) isPublic.checked = !wanted;
  notice("session", answer?.ok ? "" : "unchanged");
  showPublic(isPublic.checked);
}

isPublic.onchange = publish;
if (menu) menu.ontoggle = () => { if (menu.open) qr.src = address("qr"); }; // drawn by the server when somebody looks
copy.onclick = async () => {
  await navigator.clipboard.writeText(link.textContent);
  const words = copy.textContent;
  copy.textContent = data(copy, "done");
  setTimeout(() => { copy.textContent = words; }, COPIED);
};
