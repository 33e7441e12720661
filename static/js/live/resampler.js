// Changing the sample rate of sound, with a windowed sinc filter for each position between two samples that occurs.
// Method and estimates: Kaiser window, Oppenheim & Schafer, Discrete-Time Signal Processing, 7.6.

const PASSED = 0.9; // of the lower rate's range of frequencies passes unchanged; from there to its limit the filter falls off
const ATTENUATION = 70; // dB, for frequencies that the lower rate cannot hold; they would come back as false tones

/** A continuous signal in blocks: samples go in and come out with `push`. */
export class Resampler {
  /**
   * @param {number} from samples in a second
   * @param {number} to samples in a second
   */
  constructor(from, to) {
    const divisor = greatestDivisor(from, to);
    this.step = from / divisor; // two output samples are `step / phases` input samples apart
    this.phases = to / divisor;
    const nyquist = Math.min(from, to) / from / 2; // cycles per input sample
    const cutoff = nyquist * (1 + PASSED) / 2;
    // Kaiser's estimates of the filter's length and of its window's shape.
    this.half = Math.ceil((ATTENUATION - 8) / (2.285 * 2 * Math.PI * nyquist * (1 - PASSED)) / 2);
    const shape = 0.1102 * (ATTENUATION - 8.7);
    this.kernels = Array.from({ length: this.phases }, (_, phase) => kernel(this.half, phase / this.phases, cutoff, shape));
    this.history = new Float32Array(this.half - 1); // before the first sample there is silence
    this.at = 0; // where the filter of the next output sample begins in the history
    this.phase = 0; // how far that sample is behind the filter's middle, in parts of 1 / phases
  }

  /**
   * @param {Float32Array} block of any length
   * @returns {number[]} the output samples that it completes
   */
  push(block) {
    const samples = new Float32Array(this.history.length + block.length);
    samples.set(this.history);
    samples.set(block, this.history.length);
    /** @type {number[]} */
    const made = [];
    const width = 2 * this.half;
    for (; this.at + width <= samples.length; this.advance()) {
      const weights = this.kernels[this.phase];
      let sum = 0;
      for (let i = 0; i < width; i++) sum += samples[this.at + i] * weights[i];
      made.push(sum);
    }
    this.history = samples.slice(this.at);
    this.at = 0;
    return made;
  }

  advance() {
    this.phase += this.step;
    this.at += Math.floor(this.phase / this.phases);
    this.phase %= this.phases;
  }
}

/**
 * Weights of the 2 × `half` samples around a place; their sum is 1.
 * @param {number} half
 * @param {number} fraction of a sample that the place is behind the sample before it
 * @param {number} cutoff cycles per input sample
 * @param {number} shape of the Kaiser window
 */
function kernel(half, fraction, cutoff, shape) {
  const weights = Float32Array.from({ length: 2 * half }, (_, i) => {
    const distance = i - (half - 1) - fraction;
    const edge = distance / half;
    const window = Math.abs(edge) < 1 ? bessel(shape * Math.sqrt(1 - edge * edge)) : 0;
    const angle = 2 * Math.PI * cutoff * distance;
    return window * (angle ? Math.sin(angle) / angle : 1);
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** The modified Bessel function of the first kind and order zero, by its series. @param {number} x */
function bessel(x) {
  let sum = 1, term = 1;
  for (let k = 1; term > sum * 1e-9; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

/**
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
function greatestDivisor(a, b) {
  return b ? greatestDivisor(b, a % b) : a;
}
