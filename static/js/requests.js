// Requests that a person makes by pressing something, and the sentence for one that fails.
import { byId, data } from "./dom.js";
import { csrfHeader } from "./server.js";

const toast = byId("toast"), lost = data(toast, "lost"), failed = data(toast, "failed");

/**
 * Why a request failed: in the server's own words if it said any. A proxy's answer and an HTML page are no sentence.
 * @param {number} status 0 where no answer came
 * @param {string | null | undefined} type the answer's content type
 * @param {string} body
 * @returns {string}
 */
function why(status, type, body) {
  if (!status) return lost;
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

/**
 * Send a request. Never rejects: `words` say why it failed. A redirect means that the person is signed out; the page then
 * reloads, which leads to the sign-in.
 * @param {string} url
 * @param {RequestInit & { headers?: Record<string, string> }} options
 */
export async function act(url, options) {
  const headers = { ...csrfHeader(), ...options.headers };
  const answer = await fetch(url, { ...options, headers }).catch(() => null);
  if (answer?.redirected) location.reload();
  const body = (await answer?.text().catch(() => "")) ?? "";
  const ok = Boolean(answer?.ok && !answer.redirected), status = answer?.status ?? 0;
  return { ok, status, body, words: ok ? "" : why(status, answer?.headers.get("Content-Type"), body) };
}
