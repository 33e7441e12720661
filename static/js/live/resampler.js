// Sound at any rate becomes sound at another: a windowed sinc for every position between two samples that occurs.

const PASSED = 0.9; // of what the lower rate can hold passes unchanged; from there to its limit it falls off
const ATTENUATION = 70; // dB, of what the lower rate cannot hold and would come back as a false tone

/** Samples go in with `push`, in blocks of any size; what comes out is one continuous signal. */
export class Resampler {
  constructor(from, to) {
    const divisor = greatestDivisor(from, to);
    this.step = from / divisor; // an output sample is `step / phases` input samples after the one before
    this.phases = to / divisor;
    const nyquist = Math.min(from, to) / from / 2; // cycles per input sample
    const cutoff = nyquist * (1 + PASSED) / 2;
    // Kaiser's own estimates of how long a filter must be, and of its window's shape (Oppenheim & Schafer, 7.6).
    this.half = Math.ceil((ATTENUATION - 8) / (2.285 * 2 * Math.PI * nyquist * (1 - PASSED)) / 2);
    const shape = 0.1102 * (ATTENUATION - 8.7);
    this.kernels = Array.from({ length: this.phases }, (_, phase) => kernel(this.half, phase / this.phases, cutoff, shape));
    this.history = new Float32Array(this.half - 1); // before the first sample there is silence
    this.at = 0; // the next output sample's place: in the history, without what is needed before it
    this.phase = 0;
  }

  push(block) {
    const samples = new Float32Array(this.history.length + block.length);
    samples.set(this.history);
    samples.set(block, this.history.length);
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

/** The weights of the samples around a place that is `fraction` behind one of them; together they are 1. */
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

/** The modified Bessel function of order zero, by its series. */
function bessel(x) {
  let sum = 1, term = 1;
  for (let k = 1; term > sum * 1e-9; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

function greatestDivisor(a, b) {
  return b ? greatestDivisor(b, a % b) : a;
}
