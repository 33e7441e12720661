// A recording without captions: frames in the store, and a WAV file in the end.
import { dated } from "../clock.js";
import { FRAME } from "./store.js";

/** @import { Run, Store } from "./store.js" */

const RATE = 16_000, SAMPLE = 2; // samples in a second, bytes in a sample
const BATCH = 600; // frames read at once, a minute

export class Take {
  #store;

  /**
   * @param {Store<Run>} store
   * @param {Run} run
   * @param {number} frames that the store has of it
   */
  constructor(store, run, frames = 0) {
    this.#store = store;
    this.run = run;
    this.frames = frames;
  }

  get seconds() {
    return this.frames * FRAME;
  }

  /**
   * Append 100 ms of sound. Resolves to whether it outlives this page.
   * @param {ArrayBuffer} frame
   */
  add(frame) {
    return this.#store.put(this.run.key, this.frames++, frame);
  }

  /** @param {string} unnamed the title of a take without one, with the place “{date}” */
  title(unnamed) {
    return this.run.title || dated(unnamed, this.run.began);
  }

  /** What the server is told. A take that is uploaded twice becomes one recording. @param {string} unnamed */
  described(unnamed) {
    const title = this.title(unnamed), { language, prompt = "" } = this.run;
    return { filename: "recording.wav", title, language, prompt, source: "browser", duplicate: "reuse" };
  }

  /** Give the file to the person. @param {string} unnamed */
  async download(unnamed) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await this.file());
    link.download = `${this.title(unnamed)}.wav`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // the download has begun by then
  }

  /** The WAV file. It is the same file each time, so that an upload of it can go on after a reload. */
  async file() {
    const sound = [];
    for (let first = 0; first < this.frames; first += BATCH) {
      sound.push(new Blob(await this.#store.frames(this.run.key, first, Math.min(BATCH, this.frames - first))));
    }
    const bytes = sound.reduce((sum, { size }) => sum + size, 0);
    return new File([header(bytes), ...sound], "recording.wav", { type: "audio/wav", lastModified: this.run.began });
  }
}

/**
 * Header of a WAV file with 16-bit samples in one channel.
 * @param {number} bytes of samples
 */
function header(bytes) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (/** @type {number} */ at, /** @type {string} */ letters) => (
    [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)))
  );
  text(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of the format that follow
  view.setUint16(20, 1, true); // plain samples
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * SAMPLE, true);
  view.setUint16(32, SAMPLE, true);
  view.setUint16(34, 8 * SAMPLE, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  return view;
}
