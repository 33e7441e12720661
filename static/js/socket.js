// A WebSocket that reconnects by itself.
import { socketAddress } from "./server.js";

const FIRST_PAUSE = 500; // ms before a new attempt; the next pause is twice as long

/** @typedef {{ longest: number, final: number[], settles: boolean, onState(open: boolean, code?: number): void }} Options */

/** @type {Options} */
const DEFAULTS = {
  longest: 30_000, // ms, the longest pause
  final: [4401, 4403, 4404], // close codes after which there is no new attempt: signed out, not allowed, not found
  settles: true, // an opened connection ends the growth of the pauses; otherwise `settled()` does
  onState() {},
};

/** @template {object} M the server's messages */
export class Connection {
  /** @type {WebSocket | null} */
  socket = null;
  #path;
  #options;
  #pause = FIRST_PAUSE;
  #retry = 0;
  #ended = false;

  /**
   * Connect at once. `onState(open, code)` hears of each connection, and of each loss with its close code.
   * @param {() => string} path of the socket, asked before each attempt
   * @param {{ onMessage(message: M): void, protocol?: string } & Partial<Options>} options
   */
  constructor(path, options) {
    this.#path = path;
    this.#options = { ...DEFAULTS, ...options };
    addEventListener("offline", this.drop); // a dead connection would otherwise look alive for minutes
    addEventListener("online", this.#open);
    this.#open();
  }

  #open = () => {
    clearTimeout(this.#retry);
    if (this.socket || this.#ended) return;
    const { protocol, settles, onState, onMessage } = this.#options;
    this.socket = new WebSocket(socketAddress(this.#path()), protocol ?? []);
    this.socket.onopen = () => {
      if (settles) this.settled();
      onState(true);
    };
    this.socket.onmessage = ({ data }) => onMessage(JSON.parse(data));
    this.socket.onclose = ({ code }) => this.#lost(code);
  };

  /** @param {number} [code] */
  #lost(code) {
    const { final, longest, onState } = this.#options;
    this.socket = null;
    if (code && final.includes(code)) this.end();
    onState(false, code);
    if (this.#ended) return;
    this.#retry = setTimeout(this.#open, this.#pause * (0.5 + Math.random() / 2)); // not all pages in the same moment
    this.#pause = Math.min(this.#pause * 2, longest);
  }

  /** The connection is a good one: the pauses begin anew. */
  settled() {
    this.#pause = FIRST_PAUSE;
  }

  /** Close the socket, and connect anew after a pause. */
  drop = () => {
    if (!this.socket) return;
    this.#close();
    this.#lost();
  };

  /** Close the socket for good. */
  end() {
    this.#ended = true;
    clearTimeout(this.#retry);
    removeEventListener("offline", this.drop);
    removeEventListener("online", this.#open);
    this.#close();
  }

  #close() {
    const { socket } = this;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
