// The socket of a viewer. It reconnects by itself and asks for the captions behind the last one that it has.
import { Connection } from "../socket.js";
import { PROTOCOL } from "./protocol.js";

/**
 * @import { Captions } from "./captions.js"
 * @import { Options } from "../socket.js"
 * @import { Speaker, Status, ToViewer } from "./protocol.js"
 */

/** @typedef {{ onStatus?(message: Status): void, onSpeaker?(message: Speaker): void, onDone(recording: number | null): void }} WatchOptions */

const LONGEST_PAUSE = 5_000; // ms before a new attempt: captions are of use now

/**
 * Show the captions of a session.
 * @param {string} session
 * @param {Captions} captions
 * @param {Partial<Options> & WatchOptions} options
 * @returns {Connection<ToViewer>}
 */
export function watch(session, captions, { onStatus, onSpeaker, onDone, ...options }) {
  const path = () => `/ws/live/${session}${captions.next === null ? "" : `?after=${captions.next - 1}`}`;
  return new Connection(path, {
    protocol: PROTOCOL,
    longest: LONGEST_PAUSE,
    onMessage(message) {
      if (message.type === "caption") captions.show(message);
      if (message.type === "status") onStatus?.(message);
      if (message.type === "speaker") onSpeaker?.(message);
      if (message.type === "done") onDone(message.recording);
    },
    ...options,
  });
}

/** Keep the screen on. Browsers forget the wish whenever the page is hidden, so it is repeated. */
export function keepAwake() {
  const ask = () => {
    if (!document.hidden) navigator.wakeLock?.request("screen").catch(() => {}); // refused where the battery is low
  };
  document.addEventListener("visibilitychange", ask);
  ask();
}
