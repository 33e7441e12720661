// Why a request failed: as the server says it, else as far as one can tell from here.

const { lost, failed } = document.getElementById("toast").dataset;

/** `status`: 0 where no answer came. A proxy's answer, and a page, are no sentence. */
export function why(status, type, body) {
  if (!status) return lost;
  if (type?.startsWith("text/plain") && body) return body;
  try {
    return JSON.parse(body).error.message;
  } catch {
    return failed;
  }
}

export const whyOf = (xhr) => why(xhr.status, xhr.getResponseHeader("Content-Type"), xhr.responseText);

/** An answer to `fetch`, and `words` where it failed. Where the session has ended, the page leads to the sign-in. */
export async function act(url, options) {
  const headers = { ...JSON.parse(document.body.getAttribute("hx-headers")), ...options.headers };
  const answer = await fetch(url, { ...options, headers }).catch(() => null);
  if (answer?.redirected) location.reload();
  const body = (await answer?.text().catch(() => "")) ?? "";
  const ok = Boolean(answer?.ok && !answer.redirected), status = answer?.status ?? 0;
  return { ok, status, body, words: ok ? "" : why(status, answer?.headers.get("Content-Type"), body) };
}
