// The socket of who watches: comes back by itself, and goes on after the last caption it has.
import { connect } from "../socket.js";

const LONGEST_PAUSE = 5_000; // ms: captions are of use now

/** Tells `captions`; `onStatus(message)`, `onState(open, code)` and `onDone(recording)` tell the rest. Returns what ends it. */
export function watch(session, captions, { onStatus, onState, onDone, final }) {
  const path = () => `/ws/live/${session}${captions.next === null ? "" : `?after=${captions.next - 1}`}`;
  const onMessage = (message) => {
    if (message.type === "caption") captions.show(message);
    if (message.type === "status") onStatus?.(message);
    if (message.type === "done") onDone?.(message.recording);
  };
  return connect(path, onMessage, onState, { protocol: "stile.live.1", longest: LONGEST_PAUSE, final });
}

/** Keeps the screen on while the page is seen; browsers let go of it whenever it is not. */
export function keepAwake() {
  const ask = () => document.hidden || navigator.wakeLock?.request("screen").catch(() => {}); // the battery is low
  document.addEventListener("visibilitychange", ask);
  ask();
}
