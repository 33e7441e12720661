// In the library: sound that this browser keeps and the server does not have. What shows it is loaded only where there is some.
import { byId, data } from "./dom.js";

const user = data(byId("left"), "user");
const databases = await indexedDB.databases?.().catch(() => []) ?? [];
const kept = ["takes", "live"].filter((kind) => databases.some(({ name }) => name === `stile-${kind}-${user}`));
if (kept.length) {
  const { showTakes, showLive } = await import("./live/left.js");
  if (kept.includes("takes")) await showTakes(user);
  if (kept.includes("live")) await showLive(user);
}
