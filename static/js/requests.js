// Requests that a person makes by pressing something, and the sentence for one that fails.
import { byId, data } from "./dom.js";
import { csrfHeader } from "./server.js";

const SIGNED_OUT = 401; // status
const toast = byId("toast");
const lost = data(toast, "lost"), failed = data(toast, "failed"), outWords = data(toast, "signedOut");

/** The sentence for a draft that has come back after a sign-in. */
export const keptWords = data(toast, "kept");

/**
 * Why a request failed: in the server's own words if it said any. A proxy's answer and an HTML page are no sentence.
 * @param {number} status 0 where no answer came
 * @param {string | null | undefined} type the answer's content type
 * @param {string} body
 * @returns {string}
 */
export function why(status, type, body) {
  if (!status) return lost;
  if (status === SIGNED_OUT) return outWords;
  if (type?.startsWith("text/plain") && body) return body;
  try {
    return JSON.parse(body).error.message;
  } catch {
    return failed;
  }
}

/**
 * The same for a request of htmx.
 * @param {XMLHttpRequest} xhr
 */
export const whyOf = (xhr) => why(xhr.status, xhr.getResponseHeader("Content-Type"), xhr.responseText);

/** Lead a person who is signed out to the sign-in, and back to this page. The event lets others keep what was typed. */
export function signIn() {
  document.dispatchEvent(new Event("sign-in"));
  location.reload();
}

/**
 * Whether the answer to a request of htmx says that the person is signed out: it is the page of the sign-in then.
 * @param {{ xhr: XMLHttpRequest, pathInfo: { requestPath: string } }} detail of htmx's event
 */
export function endedIn({ xhr, pathInfo }) {
  const asked = new URL(pathInfo.requestPath, location.href), answered = new URL(xhr.responseURL || asked);
  return answered.pathname !== asked.pathname; // their queries may differ
}

/**
 * What became of a request.
 * @typedef {object} Answer
 * @property {boolean} ok
 * @property {boolean} moved whether it is a redirect; told with `redirect: "manual"` only
 * @property {boolean} signedOut
 * @property {number} status 0 where no answer came, or not all of it
 * @property {Blob} file what the answer brings
 * @property {string} body the same as text
 * @property {string} page the same where it is a page of the product; else ""
 * @property {string} words why it failed
 */

/**
 * Send a request. Never rejects.
 * @param {string} url
 * @param {RequestInit & { headers?: Record<string, string> }} options
 * @returns {Promise<Answer>}
 */
export async function send(url, options) {
  const headers = { ...csrfHeader(), ...options.headers };
  const answer = await fetch(url, { ...options, headers }).catch(() => null);
  const file = await answer?.blob().catch(() => null);
  const body = await file?.text() ?? "", status = file && answer ? answer.status : 0, type = answer?.headers.get("Content-Type");
  const moved = answer?.type === "opaqueredirect", signedOut = status === SIGNED_OUT || Boolean(answer?.redirected);
  const ok = Boolean(file && answer?.ok && !signedOut);
  const page = status < 500 && type?.startsWith("text/html") && body.includes("<main") ? body : "";
  return { ok, moved, signedOut, status, file: file ?? new Blob(), body, page, words: ok || moved ? "" : why(status, type, body) };
}

/**
 * Send a request. A person who is signed out is led to the sign-in, and back to this page.
 * @param {string} url
 * @param {RequestInit & { headers?: Record<string, string> }} options
 */
export async function act(url, options) {
  const answer = await send(url, options);
  if (answer.signedOut) signIn();
  return answer;
}
