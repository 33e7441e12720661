// What is recorded without captions: frames in the store, in the end a file.

import { FRAME } from "./store.js";

const RATE = 16_000, SAMPLE = 2; // samples in a second, bytes in a sample
const BATCH = 600; // frames read at once, a minute

export class Take {
  /** Of a run { key, title, language, began }, of which the store has so many frames. */
  constructor(store, run, frames = 0) {
    Object.assign(this, { store, run, frames });
  }

  get seconds() {
    return this.frames * FRAME;
  }

  /** 100 ms of sound. Whether this browser keeps it beyond this page, as soon as that is known. */
  add(frame) {
    return this.store.put(this.run.key, this.frames++, frame);
  }

  /** As a WAV file; made again, it is the same one, so that an upload of it can go on. */
  async file() {
    const sound = [];
    for (let first = 0; first < this.frames; first += BATCH) {
      sound.push(new Blob(await this.store.frames(this.run.key, first, Math.min(BATCH, this.frames - first))));
    }
    const bytes = sound.reduce((sum, { size }) => sum + size, 0);
    return new File([header(bytes), ...sound], "recording.wav", { type: "audio/wav", lastModified: this.run.began });
  }
}

/** Of so many bytes of 16-bit samples, mono. */
function header(bytes) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
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
