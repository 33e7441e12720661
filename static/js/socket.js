// A WebSocket that comes back by itself. The server's refusals are final.
import { socketAddress } from "./root.js";

const FIRST_PAUSE = 500, LONGEST_PAUSE = 30_000; // ms
const REFUSALS = [4401, 4403, 4404];

/** Calls `onMessage(data)` for each message and `onState(open, code)` when the line is there or gone. `path`: where to, or
 *  what tells it each time. Returns a function that ends it. */
export function connect(path, onMessage, onState = () => {}, { protocol = [], longest = LONGEST_PAUSE, final = REFUSALS } = {}) {
  let socket = null, pause = FIRST_PAUSE, retry = 0, ended = false;
  const open = () => {
    clearTimeout(retry);
    if (socket || ended) return;
    socket = new WebSocket(socketAddress(typeof path === "function" ? path() : path), protocol);
    socket.onopen = () => { pause = FIRST_PAUSE; onState(true); };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type !== "error") onMessage(message); // the close that follows says the same by its code
    };
    socket.onclose = ({ code }) => closed(code);
  };
  const closed = (code) => {
    socket = null;
    if (ended) return;
    ended = final.includes(code);
    onState(false, code);
    if (ended) return;
    retry = setTimeout(open, pause * (0.5 + Math.random() / 2)); // not every page in the same moment
    pause = Math.min(pause * 2, longest);
  };
  const drop = () => {
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    closed();
  };
  addEventListener("offline", drop); // else a line that nobody answers on would look well for minutes
  addEventListener("online", open);
  open();
  return () => { ended = true; drop(); };
}
