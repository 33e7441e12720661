// A live run's frames on their way to the server. Each frame is kept in the store before it is sent and until the server says
// that it is on disk. So a lost connection, a server that restarts and a reload of the page lose no sound.

/**
 * A run that has captions.
 * @typedef {object} Live
 * @property {string | null} session null before the server has begun one
 * @property {number | null} base the server counts a frame so much lower than the run; null until the server says how far it is
 * @property {boolean} [public] whether the session of the row was open to everyone
 * @typedef {Run & Live} LiveRun
 *
 * @import { Run, Store } from "./store.js"
 */

const WINDOW = 600; // frames sent and not acknowledged, a minute: frames kept while offline must not fill the socket's memory
const BATCH = 50; // frames read from the store at once

/** All numbers are those of the run. */
export class Outbox {
  next = 0; // number of the frame that comes next
  acked = 0; // frames before it are at the server
  #kept = 0; // frames before it are in the store and may be sent
  #sent = 0; // frames before it have gone over this connection
  #pumping = false;
  #store;
  #run;
  #socket;

  /**
   * @param {Store<LiveRun>} store
   * @param {LiveRun} run
   * @param {() => WebSocket | null} socket over which frames may go now
   */
  constructor(store, run, socket) {
    this.#store = store;
    this.#run = run;
    this.#socket = socket;
  }

  /** Go on behind the frames that an earlier page left. Resolves to whether it left any. */
  async load() {
    const extent = await this.#store.extent(this.#run.key);
    if (extent) [this.acked, this.next, this.#kept] = [extent.first, extent.next, extent.next];
    return extent !== null;
  }

  /** Number of frames that the server does not have. */
  get unacked() {
    return this.next - this.acked;
  }

  /** Whether all frames have gone over this connection. */
  get empty() {
    return this.#sent === this.next;
  }

  /** Whether an acknowledgement is due. */
  get awaited() {
    return this.#sent > this.acked;
  }

  get #base() {
    return this.#run.base ?? 0;
  }

  /** Keep a frame, to be sent by the next `pump`. @param {ArrayBuffer} frame */
  async add(frame) {
    const number = this.next++;
    await this.#store.put(this.#run.key, number, frame);
    this.#kept = number + 1;
  }

  /** A new connection begins. @param {number} theirs the number of the first frame that the server wants, as it counts */
  rewind(theirs) {
    this.#sent = theirs + this.#base;
  }

  /** The server has the frames before this one. @param {number} theirs the frame's number, as the server counts */
  acknowledge(theirs) {
    const number = theirs + this.#base;
    if (number <= this.acked) return;
    this.acked = number;
    this.next = Math.max(this.next, number);
    this.#kept = Math.max(this.#kept, number);
    this.#store.drop(this.#run.key, number);
  }

  /** Send what may be sent. */
  async pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let socket; (socket = this.#socket()) && this.#sent < Math.min(this.#kept, this.acked + WINDOW);) {
      const first = this.#sent, count = Math.min(BATCH, this.#kept - first);
      const frames = await this.#store.frames(this.#run.key, first, count);
      if (socket !== this.#socket()) continue; // a new connection, which begins at another frame
      for (const [at, frame] of frames.entries()) socket.send(numbered(first + at - this.#base, frame));
      this.#sent = first + count;
    }
    this.#pumping = false;
  }
}

/**
 * A frame as the protocol wants it: the number in 32 bits, then the samples.
 * @param {number} number
 * @param {ArrayBuffer} frame
 */
function numbered(number, frame) {
  const message = new Uint8Array(4 + frame.byteLength);
  new DataView(message.buffer).setUint32(0, number, true);
  message.set(new Uint8Array(frame), 4);
  return message;
}
