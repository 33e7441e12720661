// A live session from the speaker's side: sound goes to the server, captions and news of the session come back.
import { Connection } from "../socket.js";
import { Outbox } from "./outbox.js";
import { PROTOCOL } from "./protocol.js";

/**
 * @import { Caption, Done, Failure, Ready, Status, ToSpeaker } from "./protocol.js"
 * @import { LiveRun } from "./outbox.js"
 * @import { Store } from "./store.js"
 *
 * What the page is told.
 * @typedef {object} Told
 * @property {(name: "live" | "reconnecting") => void} state
 * @property {(run: LiveRun) => void} begun the server is ready, at each connection
 * @property {() => void} acked
 * @property {(caption: Caption) => void} caption
 * @property {(message: Status) => void} status
 * @property {(count: number) => void} viewers
 * @property {(message: Failure) => void} error
 * @property {() => void} split the session had ended, and its run goes on in a new one
 * @property {(recording: number | null) => void} done
 * @property {(why: string) => void} failed nothing comes any more
 */

const LONGEST_PAUSE = 5_000; // ms before a new attempt to connect
/** @type {Record<number, string>} why there is no new attempt, by close code */
const FINAL = { 4401: "signed_out", 4403: "refused", 4404: "gone", 4409: "elsewhere", 4429: "refused" };
const DEAF = 15_000; // ms without an answer to sound, after which the connection counts as dead

export class Session {
  #store;
  #told;
  #outbox;
  /** @type {Connection<ToSpeaker> | null} */
  #connection = null;
  #begun = false; // whether the server has been ready for this session
  #ready = false; // whether the server is ready for sound on this connection
  /** @type {"" | "pause" | "stop"} to be said after all sound */
  #wish = "";
  #said = false; // whether it was said on this connection
  /** @type {number | null} index of the last final caption that came */
  #after = null;
  #heardAt = 0;
  #watch = 0;
  #over = false;

  /**
   * @param {Store<LiveRun>} store
   * @param {LiveRun} run
   * @param {Told} told
   */
  constructor(store, run, told) {
    this.#store = store;
    this.run = run;
    this.#told = told;
    this.#outbox = new Outbox(store, run, () => this.#open);
  }

  /** Number of frames in this session. */
  get recorded() {
    return this.#outbox.next - (this.run.base ?? 0);
  }

  /** Number of frames that the server does not have. */
  get unsent() {
    return this.#outbox.unacked;
  }

  /** Begin the run's session, or go on with it. Sound may be added as soon as this has resolved. */
  async open() {
    if (!await this.#outbox.load() && this.run.session) this.run.base = null;
    await this.#store.keep(this.run);
    if (this.#over) return;
    this.#watch = setInterval(() => this.#dropIfDeaf(), DEAF / 5);
    this.#connection = new Connection(() => "/ws/live", {
      protocol: PROTOCOL,
      longest: LONGEST_PAUSE,
      final: Object.keys(FINAL).map(Number),
      settles: false, // a server that is not ready may accept a connection and close it
      onMessage: (message) => this.#hear(message),
      onState: (open, code = 0) => (open ? this.#start() : this.#lost(code)),
    });
  }

  /** Add 100 ms of sound. @param {ArrayBuffer} frame */
  async add(frame) {
    if (this.#over || this.#wish === "stop") return;
    this.#wants("");
    await this.#outbox.add(frame);
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

  /** @param {"" | "pause" | "stop"} wish */
  #wants(wish) {
    if (wish !== this.#wish) this.#said = false;
    this.#wish = wish;
  }

  /** Send nothing any more. Frames that the server does not have stay in the store. */
  close() {
    this.#over = true;
    this.#ready = false;
    clearInterval(this.#watch);
    this.#connection?.end();
  }

  /** The socket, while the server takes sound. While a socket closes, what is sent is lost and Chromium complains of it. */
  get #open() {
    const socket = this.#connection?.socket;
    return this.#ready && socket?.readyState === WebSocket.OPEN ? socket : null;
  }

  /** @param {object} message */
  #say(message) {
    this.#connection?.socket?.send(JSON.stringify(message));
  }

  /** Send the frames, and then the wish. */
  async #pump() {
    await this.#outbox.pump();
    if (!this.#wish || this.#said || !this.#open || !this.#outbox.empty) return;
    this.#said = true;
    this.#say({ type: this.#wish });
  }

  // --- the connection ---------------------------------------------------------------------------

  #start() {
    const { session, title, language, prompt = "" } = this.run;
    const fields = { sample_rate: 16_000, title, language, prompt }; // a session that is only prepared begins with them
    this.#say({
      type: "start",
      session,
      ...(session && { resume: true }),
      ...(!this.#begun && fields),
      ...(this.#after !== null && { after: this.#after }),
    });
  }

  /** @param {number} code */
  #lost(code) {
    this.#ready = this.#said = false;
    if (FINAL[code]) {
      this.close();
      this.#told.failed(FINAL[code]);
    } else {
      this.#told.state("reconnecting");
    }
  }

  /** A network that changes may leave a connection that nobody answers on. */
  #dropIfDeaf() {
    if (this.#ready && this.#outbox.awaited && Date.now() - this.#heardAt > DEAF) this.#connection?.drop();
  }

  // --- what the server says ---------------------------------------------------------------------

  /** @param {ToSpeaker} message of a type that a newer server may have added, it is ignored */
  #hear(message) {
    this.#heardAt = Date.now();
    if (message.type === "ready") this.#begin(message);
    if (message.type === "ack") this.#acknowledge(message.seq + 1);
    if (message.type === "caption") this.#caption(message);
    if (message.type === "status") this.#told.status(message);
    if (message.type === "viewers") this.#told.viewers(message.count);
    if (message.type === "error") this.#told.error(message);
    if (message.type === "done") this.#end(message);
  }

  /** @param {Ready} message */
  async #begin({ session, next_seq: theirs }) {
    const { run } = this, socket = this.#connection?.socket;
    this.#connection?.settled();
    this.#begun = true;
    run.session = session;
    run.base ??= this.#outbox.acked - theirs; // the server has all that an earlier page has sent
    await this.#store.keep(run);
    if (socket !== this.#connection?.socket) return;
    this.#outbox.rewind(theirs);
    this.#ready = true;
    this.#told.begun(run);
    this.#told.state("live");
    this.#acknowledge(theirs);
  }

  /** @param {number} theirs number of the first frame that the server does not have, as it counts */
  #acknowledge(theirs) {
    this.#outbox.acknowledge(theirs);
    this.#told.acked();
    this.#pump();
  }

  /** @param {Caption} caption */
  #caption(caption) {
    if (caption.state === "final") this.#after = caption.index;
    this.#told.caption(caption);
  }

  /**
   * The session has ended. If this browser was away for so long that frames did not reach it, they begin another session.
   * @param {Done} message
   */
  async #end({ recording }) {
    const { run } = this;
    if (this.#outbox.unacked > 0) {
      Object.assign(run, { session: null, base: null, public: false });
      this.#begun = false;
      this.#after = null;
      await this.#store.keep(run);
      this.#told.split();
    } else {
      this.close();
      await this.#store.forget(run.key);
      this.#told.done(recording);
    }
  }
}
