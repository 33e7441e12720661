// Runs in the browser's audio thread. The device's sound becomes mono frames of 100 ms at 16 kHz.
import { Resampler } from "./resampler.js";

const RATE = 16_000;
const FRAME = RATE / 10; // samples

class Recorder extends AudioWorkletProcessor {
  #resampler = new Resampler(Math.round(sampleRate), RATE);
  #frame = new Int16Array(FRAME);
  #filled = 0;
  #power = 0;

  /** @param {Float32Array[][]} inputs a list of channels for each input; there is one input */
  process([channels]) {
    if (channels.length) this.#resampler.push(mixed(channels)).forEach((sample) => this.#add(sample));
    return true;
  }

  /** @param {number} sample */
  #add(sample) {
    const limited = Math.max(-1, Math.min(1, sample));
    this.#frame[this.#filled++] = Math.round(limited * 32767);
    this.#power += limited * limited;
    if (this.#filled < FRAME) return;
    const loudness = 10 * Math.log10(this.#power / FRAME + 1e-10); // dB below full scale; silence is -100
    this.port.postMessage({ frame: this.#frame.buffer, loudness }, [this.#frame.buffer]);
    this.#frame = new Int16Array(FRAME);
    this.#filled = this.#power = 0;
  }
}

/** The mean of the channels. @param {Float32Array[]} channels */
function mixed(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

registerProcessor("recorder", Recorder);
