// A WebSocket that comes back by itself. The server's refusals (4401, 4403) are final.

const FIRST_PAUSE = 500, LONGEST_PAUSE = 30_000; // ms

/** Calls `onMessage(data)` for each message and `onState(open)` when the line is there or gone. */
export function connect(path, onMessage, onState = () => {}) {
  let pause = FIRST_PAUSE;
  const open = () => {
    const socket = new WebSocket(new URL(path, location).href.replace(/^http/, "ws"));
    socket.onopen = () => { pause = FIRST_PAUSE; onState(true); };
    socket.onmessage = (event) => onMessage(JSON.parse(event.data));
    socket.onclose = (event) => {
      onState(false);
      if (event.code === 4401 || event.code === 4403) return;
      setTimeout(open, pause * (0.5 + Math.random() / 2)); // not every page in the same moment
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    };
  };
  open();
}
