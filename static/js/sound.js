// The recording's audio element, and moving about in it.
import { byId, data } from "./dom.js";

export const audio = byId("audio", HTMLAudioElement);
export const duration = Number(data(byId("player"), "duration")); // seconds

/** @param {number} time in seconds; a time outside of the recording becomes its start or its end */
export function goTo(time) {
  audio.currentTime = Math.min(Math.max(time, 0), duration);
}

export function toggle() {
  if (audio.paused) audio.play().catch(() => {}); // the event `error` says why it fails
  else audio.pause();
}
