// The microphone: opening it, changing it while it runs, and noticing that it is gone.

// No echo cancellation: nothing is played here, so it would take away another person's voice from this machine's speakers.
const WANTED = { channelCount: 1, echoCancellation: false, noiseSuppression: true, autoGainControl: true };
/** @type {Record<string, string>} the notice for each error of the browser */
const FAULTS = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none" };

/** Whether the browser gives a microphone at all. It does so on https and on localhost only. */
export const available = () => isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);

/** The microphones. They have no names before one has been opened. */
export async function devices() {
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId);
}

export class Microphone {
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {AudioContext | null} */
  #context = null;
  #wanted = 0; // number of the latest call: if two devices are opened at once, the later one stays
  #worklet;
  #onFrame;
  #onLost;

  /**
   * @param {string} worklet address of worklet.js
   * @param {(frame: ArrayBuffer, loudness: number) => void} onFrame is called ten times a second; loudness in dB, see worklet.js
   * @param {() => void} [onLost] is called when the microphone is unplugged or taken away
   */
  constructor(worklet, onFrame, onLost = () => {}) {
    this.#worklet = worklet;
    this.#onFrame = onFrame;
    this.#onLost = onLost;
  }

  get open() {
    return this.#stream !== null;
  }

  /**
   * Open a device in place of the one before.
   * @param {string} deviceId "" for the system's choice
   * @returns {Promise<string>} the notice that says why it cannot be opened; "" where it is open
   */
  async start(deviceId) {
    const mine = ++this.#wanted;
    /** @type {MediaStream | null} */
    let stream = null;
    /** @type {AudioContext | null} */
    let context = null;
    try {
      const audio = deviceId ? { ...WANTED, deviceId: { exact: deviceId } } : WANTED;
      stream = await navigator.mediaDevices.getUserMedia({ audio });
      context = new AudioContext();
      await context.audioWorklet.addModule(this.#worklet);
    } catch (error) {
      release(stream, context);
      const { name } = /** @type {{ name: string }} */ (error);
      return mine === this.#wanted ? FAULTS[name] ?? "failed" : "";
    }
    if (mine !== this.#wanted) {
      release(stream, context);
      return "";
    }
    release(this.#stream, this.#context);
    [this.#stream, this.#context] = [stream, context];
    this.#listen(stream, context);
    return "";
  }

  /**
   * @param {MediaStream} stream
   * @param {AudioContext} context
   */
  #listen(stream, context) {
    const recorder = new AudioWorkletNode(context, "recorder");
    recorder.port.onmessage = ({ data }) => {
      if (this.#context === context) this.#onFrame(data.frame, data.loudness);
    };
    // The recorder runs only while it is connected to the output. It gives zeros, which WebKitGTK takes for sound, and
    // WebKitGTK can crash when a context is closed amid such a block. Behind a gain of zero it knows them to be silence.
    const silence = new GainNode(context, { gain: 0 });
    context.createMediaStreamSource(stream).connect(recorder).connect(silence).connect(context.destination);
    context.onstatechange = () => this.resume(); // a phone call interrupts it
    this.resume();
    stream.getAudioTracks()[0].onended = () => {
      if (this.#stream !== stream) return;
      this.stop();
      this.#onLost();
    };
  }

  /** Let the sound come. Some browsers hold it back until a person presses a button. */
  resume() {
    if (this.#context && !["running", "closed"].includes(this.#context.state)) this.#context.resume().catch(() => {});
  }

  stop() {
    this.#wanted++;
    release(this.#stream, this.#context);
    this.#stream = this.#context = null;
  }
}

/**
 * @param {MediaStream | null} stream
 * @param {AudioContext | null} context
 */
function release(stream, context) {
  stream?.getTracks().forEach((track) => track.stop());
  context?.close().catch(() => {});
}
