// The socket of who speaks, protocol `stile.live.1`. Every frame is kept before it is sent, and until the server says that
// it is on disk: so a lost connection, a server that restarts and a reload of the page lose no sound.
//
// A run is what `store` keeps: { key, session, base, title, language, began }. Frames are numbered from 0 in it; the server
// counts `base` less. `session` null: not begun. `base` null: the server is yet to say how far it has got.

import { socketAddress } from "../root.js";

const PROTOCOL = "stile.live.1";
const FIRST_PAUSE = 500, LONGEST_PAUSE = 5_000; // ms between two attempts to connect
const FINAL = { 4401: "signed_out", 4403: "refused", 4404: "gone", 4409: "elsewhere", 4429: "refused" };
const WINDOW = 600; // frames on their way, a minute: what was kept while offline must not fill the socket's memory
const BATCH = 50; // frames read at once
const DEAF = 15_000; // ms without an answer, though sound is on its way, after which the connection is given up

export class Session {
  next = 0; // the number of the frame that comes next
  acked = 0; // the number of the first frame that is not acknowledged
  #kept = 0; // frames before it are in the store, so they may be sent
  #sent = 0; // frames before it went over this socket
  #socket = null;
  #ready = false;
  #pumping = false;
  #wish = ""; // "pause" or "stop", to be said after all sound
  #said = null; // the socket on which it was said
  #after = null; // the last final caption that came
  #pause = FIRST_PAUSE;
  #retry = 0;
  #heardAt = 0;
  #over = false;

  /** `told`: state(name), begun(run), acked(), caption(message), status(message), viewers(count), error(message),
   *  split(recording), done(recording), and failed(why) after which nothing comes any more. */
  constructor(store, run, told) {
    Object.assign(this, { store, run, told });
  }

  #watch = 0;
  #online = () => this.#connect();
  #offline = () => this.#lost();

  /** Go on where the run stands, or begin it; then sound may be added. */
  async open() {
    const extent = await this.store.extent(this.run.key);
    if (extent) [this.acked, this.next, this.#kept] = [extent.first, extent.next, extent.next];
    else if (this.run.session) this.run.base = null;
    await this.store.keep(this.run);
    this.#watch = setInterval(() => this.#checkLine(), DEAF / 5);
    addEventListener("online", this.#online);
    addEventListener("offline", this.#offline);
    this.#connect();
  }

  /** 100 ms of sound. */
  async add(frame) {
    if (this.#over || this.#wish === "stop") return;
    this.#wants("");
    const number = this.next++;
    await this.store.put(this.run.key, number, frame);
    this.#kept = number + 1;
    this.#pump();
  }

  pause() {
    this.#wants("pause");
    this.#pump();
  }

  stop() {
    this.#wants("stop");
    this.#pump();
  }

  #wants(wish) {
    if (wish !== this.#wish) this.#said = null;
    this.#wish = wish;
  }

  /** Nothing is sent any more; what is kept stays kept. */
  close() {
    this.#over = true;
    clearInterval(this.#watch);
    removeEventListener("online", this.#online);
    removeEventListener("offline", this.#offline);
    this.#drop();
  }

  #connect() {
    clearTimeout(this.#retry);
    if (this.#over || this.#socket) return;
    const socket = this.#socket = new WebSocket(socketAddress("/ws/live"), PROTOCOL);
    const { session, title, language } = this.run;
    const resume = this.#after === null ? { session, resume: true } : { session, resume: true, after: this.#after };
    socket.onopen = () => {
      this.#say(session ? { type: "start", ...resume } : { type: "start", session, sample_rate: 16_000, title, language });
    };
    socket.onmessage = ({ data }) => {
      this.#heardAt = Date.now();
      const message = JSON.parse(data);
      this[`_${message.type}`]?.(message);
    };
    socket.onclose = ({ code }) => this.#closed(code);
  }

  #say(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #drop() {
    this.#ready = false;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #closed(code) {
    this.#socket = null;
    if (this.#over) return;
    if (FINAL[code]) {
      this.close();
      this.told.failed(FINAL[code]);
    } else {
      this.#lost();
    }
  }

  #lost() {
    this.#drop();
    this.told.state("reconnecting");
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), this.#pause * (0.5 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  /** A network that changed may leave a connection that nobody answers on. */
  #checkLine() {
    if (this.#ready && this.#sent > this.acked && Date.now() - this.#heardAt > DEAF) this.#lost();
  }

  // --- what the server says ---------------------------------------------------------------------

  async _ready({ session, next_seq: theirs }) {
    this.#pause = FIRST_PAUSE;
    const socket = this.#socket, { run } = this;
    run.session = session;
    run.base ??= this.acked - theirs; // all that an earlier page has sent counts by now
    await this.store.keep(run);
    if (socket !== this.#socket) return;
    this.#sent = theirs + run.base;
    this.#ready = true;
    this.told.begun(run);
    this.told.state("live");
    this._ack({ seq: theirs - 1 });
  }

  _ack({ seq }) {
    if (seq + 1 + this.run.base > this.acked) {
      this.acked = seq + 1 + this.run.base;
      this.next = Math.max(this.next, this.acked);
      this.#kept = Math.max(this.#kept, this.acked);
      this.store.drop(this.run.key, this.acked);
    }
    this.told.acked();
    this.#pump();
  }

  _caption(message) {
    if (message.state === "final") this.#after = message.index;
    this.told.caption(message);
  }

  _status(message) {
    this.told.status(message);
  }

  _viewers({ count }) {
    this.told.viewers(count);
  }

  _error(message) {
    this.told.error(message);
  }

  /** The session has ended. Sound that did not reach it, since this browser was away for too long, begins another one. */
  async _done({ recording }) {
    if (this.next > this.acked) {
      Object.assign(this.run, { session: null, base: null });
      this.#after = null;
      await this.store.keep(this.run);
      this.told.split(recording);
    } else {
      this.close();
      await this.store.forget(this.run.key);
      this.told.done(recording);
    }
  }

  // --- what is sent -----------------------------------------------------------------------------

  /** Not so while it closes: what is sent then is lost, and Chromium says so in its console. */
  get #flows() {
    return this.#ready && this.#socket?.readyState === WebSocket.OPEN;
  }

  async #pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#flows && this.#sent < Math.min(this.#kept, this.acked + WINDOW)) {
      const socket = this.#socket, first = this.#sent;
      const count = Math.min(BATCH, this.#kept - first);
      const frames = await this.store.frames(this.run.key, first, count);
      if (!this.#flows || socket !== this.#socket) continue; // another connection, which begins elsewhere
      frames.forEach((frame, at) => socket.send(numbered(first + at - this.run.base, frame)));
      this.#sent = first + count;
    }
    this.#pumping = false;
    if (this.#wish && this.#flows && this.#sent === this.next && this.#said !== this.#socket) {
      this.#said = this.#socket;
      this.#say({ type: this.#wish });
    }
  }
}

function numbered(number, frame) {
  const message = new Uint8Array(4 + frame.byteLength);
  new DataView(message.buffer).setUint32(0, number, true);
  message.set(new Uint8Array(frame), 4);
  return message;
}
