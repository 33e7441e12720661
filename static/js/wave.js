// The waveform behind the seek control.
import WaveSurfer from "../vendor/wavesurfer.js/dist/wavesurfer.esm.js";
import { byId, data, one } from "./dom.js";
import { audio, duration } from "./sound.js";

const player = byId("player"), holder = one(player, ".wave");

/** Draw it once. The first transcription that ends brings the peaks. */
export function drawWave() {
  /** @type {number[] | null} */
  const peaks = JSON.parse(data(byId("peaks"), "peaks"));
  if (!peaks?.length || holder.matches(".drawn")) return;
  const colours = () => {
    const style = getComputedStyle(player);
    return { waveColor: style.getPropertyValue("--wave"), progressColor: style.getPropertyValue("--wave-played") };
  };
  const wave = WaveSurfer.create({
    ...colours(),
    container: "#wave",
    media: audio,
    peaks: [peaks],
    duration,
    cspNonce: data(player, "nonce"),
    height: 48,
    barWidth: 2,
    barGap: 2,
    normalize: true,
    cursorWidth: 0,
    interact: false, // the seek control lies over it and takes both pointer and keyboard
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => wave.setOptions(colours()));
  holder.classList.add("drawn");
}

document.addEventListener("htmx:afterSettle", ({ target }) => {
  if (target instanceof Element && target.id === "text") drawWave();
});
