// The microphone: opened, changed while it runs, and lost.

// Nothing is played here, so an echo to cancel would be somebody else's voice from this machine's loudspeaker.
const WANTED = { channelCount: 1, echoCancellation: false, noiseSuppression: true, autoGainControl: true };
const FAULTS = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none" };

/** Browsers give it to https and localhost only. */
export const available = () => Boolean(isSecureContext && navigator.mediaDevices?.getUserMedia);

/** Those there are; without names until one has been opened. */
export async function devices() {
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId);
}

export class Microphone {
  #stream = null;
  #context = null;
  #wanted = 0; // grows with each call, so that of two opened at once the later one stays

  /** Calls `onFrame(ArrayBuffer, loudness)` ten times a second, and `onLost()` when it is unplugged or taken away. */
  constructor(worklet, onFrame, onLost) {
    Object.assign(this, { worklet, onFrame, onLost });
  }

  get open() {
    return this.#stream !== null;
  }

  /** Open this device ("": the system's choice) in place of the one before. Why not, or "". */
  async start(deviceId) {
    const mine = ++this.#wanted;
    let stream = null, context = null;
    try {
      const audio = deviceId ? { ...WANTED, deviceId: { exact: deviceId } } : WANTED;
      stream = await navigator.mediaDevices.getUserMedia({ audio });
      context = new AudioContext();
      await context.audioWorklet.addModule(this.worklet);
    } catch (error) {
      release(stream, context);
      return mine === this.#wanted ? FAULTS[error.name] ?? "failed" : "";
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

  #listen(stream, context) {
    const recorder = new AudioWorkletNode(context, "recorder");
    recorder.port.onmessage = ({ data }) => this.#context === context && this.onFrame(data.frame, data.loudness);
    // It runs while it is connected, and gives zeros. To WebKitGTK those are sound, and it can crash if a context is
    // closed amid such a block; what has a gain of zero it knows to be silence.
    const silence = new GainNode(context, { gain: 0 });
    context.createMediaStreamSource(stream).connect(recorder).connect(silence).connect(context.destination);
    context.onstatechange = () => this.resume(); // a call on the phone interrupts it
    this.resume();
    stream.getAudioTracks()[0].onended = () => {
      if (this.#stream !== stream) return;
      this.stop();
      this.onLost();
    };
  }

  /** Some browsers keep it waiting until somebody presses a button. */
  resume() {
    if (this.#context && !["running", "closed"].includes(this.#context.state)) this.#context.resume().catch(() => {});
  }

  stop() {
    this.#wanted++;
    release(this.#stream, this.#context);
    this.#stream = this.#context = null;
  }
}

function release(stream, context) {
  stream?.getTracks().forEach((track) => track.stop());
  context?.close().catch(() => {});
}
