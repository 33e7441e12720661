// The player on a lock screen, on a watch and under the media keys of a keyboard (the Media Session API).
import { byId, data, one } from "./dom.js";
import { audio, duration, goTo } from "./sound.js";

const SKIP = 10; // seconds, where the device does not say how far; lock screens draw a 10 on these buttons
const session = "mediaSession" in navigator ? navigator.mediaSession : null;

/** What a lock screen shows. It is said at each start, as a recording can be renamed. */
function tellWhat() {
  if (!session) return;
  const icon = one(document, "link[rel=icon]", HTMLLinkElement);
  session.metadata = new MediaMetadata({
    title: one(document, "h1").textContent,
    artist: data(byId("player"), "product"),
    artwork: [{ src: icon.href, type: icon.type, sizes: "any" }],
  });
}

function tellWhere() {
  if (!session) return;
  session.playbackState = audio.paused ? "paused" : "playing";
  const { currentTime, playbackRate } = audio;
  session.setPositionState({ duration, playbackRate, position: Math.min(currentTime, duration) });
}

/** @type {Record<string, (details: MediaSessionActionDetails) => void>} */
const actions = {
  play: () => { audio.play().catch(() => {}); },
  pause: () => audio.pause(),
  stop: () => audio.pause(),
  seekbackward: ({ seekOffset }) => goTo(audio.currentTime - (seekOffset ?? SKIP)),
  seekforward: ({ seekOffset }) => goTo(audio.currentTime + (seekOffset ?? SKIP)),
  seekto: ({ seekTime }) => goTo(seekTime ?? audio.currentTime),
};

for (const [action, act] of Object.entries(actions)) {
  try {
    session?.setActionHandler(/** @type {MediaSessionAction} */ (action), act);
  } catch { /* an older browser does not know this one */ }
}
audio.addEventListener("play", tellWhat);
for (const event of ["play", "pause", "ended", "seeked", "ratechange"]) audio.addEventListener(event, tellWhere);
