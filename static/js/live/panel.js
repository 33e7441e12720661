// The microphone's place on a page: which one, how loud it is, and what is wrong with it. See live/_microphone.html.
import { devices, Microphone } from "./microphone.js";
import { notice, noticed } from "./notices.js";
import { choose, recall, remember } from "./remember.js";

const HEARD = -45, QUIET = -65; // dB: a voice near a microphone is louder than the one, any room than the other
const HEARD_FOR = 1_500, UNHEARD_AFTER = 3_000, SILENT_AFTER = 10_000, LOOK = 1_000; // ms
const byId = (id) => document.getElementById(id);

/** Let its buttons lead from "recording" to "paused" and back, and the focus with them. */
export function pausable(enter) {
  for (const [pressed, next, other] of [["pause", "paused", "resume"], ["resume", "recording", "pause"]]) {
    byId(pressed).onclick = () => {
      enter(next);
      byId(other).focus();
    };
  }
}

const device = byId("device"), level = byId("level"), test = byId("test");

export class Panel {
  #microphone;
  #recording = false;
  #heardAt = 0;
  #openedAt = 0;

  /** Calls `onFrame(ArrayBuffer)` ten times a second while it is `recording`. */
  constructor(onFrame) {
    const { worklet } = byId("microphone").dataset;
    this.#microphone = new Microphone(worklet, (frame, loudness) => {
      this.#show(loudness);
      if (this.#recording) onFrame(frame);
    }, () => notice("microphone", "lost"));
    test.onclick = () => this.open();
    device.onchange = () => {
      remember("device", device.value);
      if (this.isOpen || this.#recording) this.open();
    };
    // Not with each frame: a browser that finds no device to play to may give none.
    setInterval(() => {
      if (this.#recording && this.isOpen && Date.now() - this.#heardAt > SILENT_AFTER) notice("microphone", "silent");
    }, LOOK);
    navigator.mediaDevices?.addEventListener("devicechange", () => this.isOpen && this.#list());
  }

  get isOpen() {
    return this.#microphone.open;
  }

  set recording(now) {
    if (now && !this.#recording) this.#heardAt = Date.now();
    this.#recording = now;
  }

  /** The chosen microphone; whether it could be had. What was in its way is told. */
  async open() {
    this.#heardAt = this.#recording ? Date.now() : 0;
    notice("microphone", await this.#microphone.start(device.value));
    this.#openedAt = Date.now();
    test.disabled = this.isOpen;
    if (this.isOpen) await this.#list();
    return this.isOpen;
  }

  /** Where the person has allowed it before, nobody has to press a button. */
  async openIfAllowed() {
    const permission = await navigator.permissions?.query({ name: "microphone" }).catch(() => null);
    if (permission?.state === "granted") await this.open();
  }

  /** After a press of a button: some browsers keep it waiting for one. */
  resume() {
    this.#microphone.resume();
  }

  close() {
    this.#microphone.stop();
    this.#show(-100);
    this.#say("");
    test.disabled = false;
    notice("microphone", "");
  }

  async #list() {
    const chosen = device.value || recall("device"), [system] = device.options;
    const found = (await devices()).filter(({ label }) => label);
    device.replaceChildren(system, ...found.map(({ deviceId, label }) => new Option(label, deviceId)));
    choose(device, chosen);
  }

  #show(loudness) {
    const part = Math.max(0, Math.min(1, (loudness + 70) / 60));
    level.style.setProperty("--level", part.toFixed(2));
    level.ariaValueNow = Math.round(part * 100);
    if (loudness > (this.#recording ? QUIET : HEARD)) {
      this.#heardAt = Date.now();
      if (noticed("microphone") === "silent") notice("microphone", "");
    }
    const heard = Date.now() - this.#heardAt < HEARD_FOR;
    this.#say(heard ? "yes" : Date.now() - this.#openedAt > UNHEARD_AFTER ? "no" : "");
  }

  /** Whether a voice is heard, in words; they are seen before the start. */
  #say(answer) {
    for (const words of document.querySelectorAll("[data-heard]")) words.hidden = words.dataset.heard !== answer;
  }
}
