// Who may watch a live session: the links to it, and whether they are open to everyone.
import { byId, data } from "../dom.js";
import { send } from "../requests.js";
import { say } from "../toast.js";
import { notice } from "./notices.js";

const live = byId("live"), isPublic = byId("public", HTMLInputElement);
const viewer = byId("viewer", HTMLAnchorElement), overlay = byId("overlay", HTMLAnchorElement);
const link = byId("link"), qr = byId("qr", HTMLImageElement), copy = byId("copy"), menu = qr.closest("details");
/** Id of the session that is shared; "" before one has begun. */
let session = "";

/** An address from the page, for this session. @param {string} name */
const address = (name) => new URL(data(live, name).replace("SESSION", session), location.href).href;

/**
 * Show the links to a session. A run that goes on in another session stays open to everyone, if it was.
 * @param {{ session: string | null, public?: boolean }} run whose session has begun or is prepared
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
  const body = new URLSearchParams({ public: wanted ? "on" : "off" });
  const { ok } = await send(address("public"), { method: "POST", body });
  if (!ok) isPublic.checked = !wanted;
  notice("session", ok ? "" : "unchanged");
  showPublic(isPublic.checked);
}

isPublic.onchange = publish;
if (menu) menu.ontoggle = () => { if (menu.open) qr.src = address("qr"); }; // drawn by the server when somebody looks

/** Copy the link, and say who cannot open it. */
copy.onclick = async () => {
  const copied = await navigator.clipboard.writeText(link.textContent).then(() => true, () => false);
  const limits = ["private", "loopback"].map((id) => byId(id)).filter(({ hidden }) => !hidden).map(({ textContent }) => textContent);
  say([data(copy, copied ? "done" : "failed"), ...limits].join(" "));
};

/**
 * Have the server make the link of the session that begins next. Resolves to the session's id; null where that failed.
 * @returns {Promise<string | null>}
 */
export async function prepare() {
  const { ok, body } = await send(data(live, "link"), { method: "POST" });
  notice("session", ok ? "" : "unchanged");
  if (!ok) return null;
  const made = JSON.parse(body);
  showPublic(made.public);
  share({ session: made.session, public: made.public });
  return made.session;
}
