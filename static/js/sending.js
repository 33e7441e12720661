// Sending a file to the server in pieces, by the tus protocol (https://tus.io/protocols/resumable-upload). An upload that
// was interrupted goes on where it stopped, also on a later page.
import { why } from "./requests.js";
import { csrfHeader, root } from "./server.js";

/**
 * How an upload ends: with a new recording, or with an older one of the same bytes, which waits for a decision.
 * @typedef {{ url: string, recording?: number | null, duplicate?: number | null }} Outcome ids of the two; one is set
 * @import { HttpResponse } from "tus-js-client"
 */

const UPLOADS = `${root}/api/uploads`;
const PIECE = 8 * 1024 ** 2; // bytes, the most that the server takes in one request
// ms before each attempt: for an hour, as the network or the server may be away for long. Bytes that arrive begin it anew.
const RETRY_DELAYS = [0, 1000, 2000, 5000, ...Array(360).fill(10_000)];
// Statuses worth another attempt: no answer, another request still writes, locked, too many requests, a server that restarts.
const PASSING = [0, 409, 423, 429, 502, 503, 504];

/** Why a file was not taken. `status`: that of the answer, 0 where none came. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} body
   */
  constructor(status, body) {
    super(status ? why(status, null, body) : "");
    this.status = status;
    this.signedOut = status === 401;
  }
}

export class Sending {
  #told;
  #upload;
  #cancel = () => {};
  #canceled = false;
  #furthest = -1; // percent; after a failed piece, tus-js-client counts from that piece's start again

  /**
   * @param {File} file
   * @param {Record<string, string>} metadata for the server
   * @param {{ progress(percent: number): void, waiting(why: string): void }} told `progress`: 100 while the server checks the
   *   file; `waiting` for another attempt: the server's reason, "" where the server cannot be reached
   */
  constructor(file, metadata, told) {
    this.#told = told;
    this.#upload = new tus.Upload(file, {
      endpoint: UPLOADS,
      headers: csrfHeader(),
      metadata,
      chunkSize: PIECE,
      retryDelays: RETRY_DELAYS,
      removeFingerprintOnSuccess: true,
      onProgress: (sent, total) => this.#progress(Math.floor(sent * 100 / total)),
      onShouldRetry: ({ originalResponse: answer }) => this.#mayRetry(answer),
    });
    /** Resolves to null where the upload was canceled. Rejects with a Refusal, whose words are "" where the server
     *  cannot be reached. @type {Promise<Outcome | null>} */
    this.done = new Promise((resolve, reject) => {
      this.#cancel = () => resolve(null);
      this.#upload.options.onSuccess = ({ lastResponse }) => this.#outcome(lastResponse).then(resolve, reject);
      this.#upload.options.onError = (error) => {
        const answer = "originalResponse" in error ? error.originalResponse : null;
        reject(new Refusal(answer?.getStatus() ?? 0, answer?.getBody() ?? ""));
      };
    });
    this.#begin();
  }

  async #begin() {
    const [previous] = await this.#upload.findPreviousUploads();
    if (previous) this.#upload.resumeFromPreviousUpload(previous);
    if (!this.#canceled) this.#upload.start();
  }

  /** @param {number} percent */
  #progress(percent) {
    if (percent <= this.#furthest) return;
    this.#furthest = percent;
    this.#told.progress(percent);
  }

  /** @param {HttpResponse | null} answer */
  #mayRetry(answer) {
    const status = answer?.getStatus() ?? 0;
    if ([0, 502, 503, 504].includes(status)) this.#told.waiting(""); // away, or restarting
    if (answer && status === 429) this.#told.waiting(why(status, null, answer.getBody()));
    return PASSING.includes(status);
  }

  /**
   * @param {HttpResponse} answer the last one
   * @returns {Promise<Outcome>}
   */
  async #outcome(answer) {
    const url = this.#upload.url ?? "";
    const [recording, duplicate] = ["Stile-Recording", "Stile-Duplicate"].map((header) => Number(answer.getHeader(header)));
    // An upload that a resumed page finds complete has neither header: the answer with them was lost.
    return { url, ...(recording || duplicate ? { recording, duplicate } : await request("GET", url)) };
  }

  /** @param {boolean} forGood whether the server drops its part too; otherwise it keeps that for a while, to go on with */
  cancel(forGood) {
    this.#upload.abort(forGood).catch(() => {});
    this.#canceled = true;
    this.#cancel();
  }
}

/**
 * Send a request, again each second while the server is away.
 * @param {string} method
 * @param {string} url
 * @returns {Promise<any>} the answer's JSON, null where it is empty; rejects with a Refusal
 */
export async function request(method, url) {
  const headers = { ...csrfHeader(), "Tus-Resumable": "1.0.0" };
  for (;; await new Promise((resolve) => { setTimeout(resolve, 1000); })) {
    const answer = await fetch(url, { method, headers, keepalive: true }).catch(() => null);
    if (answer?.ok) return answer.status === 204 ? null : answer.json();
    if (answer && !PASSING.includes(answer.status)) throw new Refusal(answer.status, await answer.text());
  }
}
