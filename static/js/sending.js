// A file goes to the server in pieces, so that what broke off goes on where it stopped: on a later page too.
import { root } from "./root.js";

const UPLOADS = `${root}/api/uploads`;
const PIECE = 8 * 1024 ** 2; // the most that the server takes in one request
// Counted from the last byte that arrived: for an hour, in case the network or the server is away for long.
const RETRY_DELAYS = [0, 1000, 2000, 5000, ...Array(360).fill(10_000)]; // milliseconds
// No answer, another request still writes, too much at once, a server that restarts: it is worth trying again.
const PASSING = [0, 409, 423, 429, 502, 503, 504];

const pass = () => JSON.parse(document.body.getAttribute("hx-headers"));

/** `done` resolves to { url, recording, duplicate }, of which the server names one of the last two; to null where it was
 *  canceled. It rejects with an Error that says why, "" where nobody answers any more. */
export class Sending {
  #upload = null;
  #end = null;
  #furthest = -1; // after a piece that was sent in vain, the client counts from the piece's start again

  /** `told`: progress(percent), 100 while the server looks at what it has; waiting(why), "" where nobody answers. */
  constructor(file, metadata, told) {
    this.told = told;
    this.done = new Promise((ended, failed) => {
      this.#end = () => ended(null);
      this.#upload = new tus.Upload(file, {
        endpoint: UPLOADS,
        headers: pass(),
        metadata,
        chunkSize: PIECE,
        retryDelays: RETRY_DELAYS,
        removeFingerprintOnSuccess: true,
        onProgress: (sent, total) => this.#progress(Math.floor(sent * 100 / total)),
        onShouldRetry: ({ originalResponse: answer }) => {
          const status = answer?.getStatus() ?? 0;
          if (status === 0) told.waiting("");
          if (status === 429) told.waiting(reasonOf(answer.getBody(), status));
          return PASSING.includes(status);
        },
        onError({ originalResponse: answer }) {
          failed(new Error(answer ? reasonOf(answer.getBody(), answer.getStatus()) : ""));
        },
        onSuccess: ({ lastResponse }) => this.#outcome(lastResponse).then(ended, failed),
      });
    });
    this.#begin();
  }

  async #begin() {
    const [previous] = await this.#upload.findPreviousUploads();
    if (previous) this.#upload.resumeFromPreviousUpload(previous);
    if (this.#end) this.#upload.start();
  }

  #progress(percent) {
    if (percent <= this.#furthest) return;
    this.#furthest = percent;
    this.told.progress(percent);
  }

  async #outcome(answer) {
    const told = (header) => Number(answer.getHeader(header)), { url } = this.#upload;
    const recording = told("Stile-Recording"), duplicate = told("Stile-Duplicate");
    // The answer that would have named it was lost.
    return { url, ...(recording || duplicate ? { recording, duplicate } : await request("GET", url)) };
  }

  /** `forGood`: what the server has of it goes as well; left alone, it expires. */
  cancel(forGood) {
    this.#upload.abort(forGood).catch(() => {});
    this.#end?.();
    this.#end = null;
  }
}

/** The server's answer; waits for a server that is away for a moment. */
export async function request(method, url) {
  const headers = { ...pass(), "Tus-Resumable": "1.0.0" };
  for (;; await new Promise((resolve) => setTimeout(resolve, 1000))) {
    const answer = await fetch(url, { method, headers, keepalive: true }).catch(() => ({ status: 0 }));
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    if (!PASSING.includes(answer.status)) throw new Error(reasonOf(await answer.text(), answer.status));
  }
}

function reasonOf(body, status) {
  try {
    return JSON.parse(body).error.message;
  } catch { // a proxy's answer, not ours
    return `HTTP ${status}`;
  }
}
