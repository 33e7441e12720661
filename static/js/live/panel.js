// The microphone's controls on a page, from live/_deck.html: the device, its level, the test, and what is wrong with it.
import { all, byId, data } from "../dom.js";
import { devices, Microphone } from "./microphone.js";
import { notice, noticed } from "./notices.js";
import { choose, recall, remember } from "./remember.js";
import { Scope } from "./scope.js";

const VOICE = -45; // dB; a voice near a microphone is louder
const NOISE = -65; // dB; any room is louder
const UNHEARD_AFTER = 3_000, SILENT_AFTER = 10_000, LOOK = 1_000; // ms
const device = byId("device", HTMLSelectElement), level = byId("level"), test = byId("test", HTMLButtonElement);

/**
 * Let the buttons #pause and #resume lead from "recording" to "paused" and back. The focus goes to the other button.
 * @param {(phase: "recording" | "paused") => void} enter
 */
export function pausable(enter) {
  const pause = byId("pause"), resume = byId("resume");
  pause.onclick = () => {
    enter("paused");
    resume.focus();
  };
  resume.onclick = () => {
    enter("recording");
    pause.focus();
  };
}

export class Panel {
  #microphone;
  #scope = new Scope(byId("scope", HTMLCanvasElement));
  #recording = false;
  /** Whether the waveform stands still, though the microphone is open. */
  paused = false;
  #heardAt = 0;
  #openedAt = 0;

  /** @param {(frame: ArrayBuffer) => void} onFrame is called ten times a second while `recording` is set */
  constructor(onFrame) {
    this.#microphone = new Microphone(data(byId("microphone"), "worklet"), (frame, loudness) => {
      this.#show(loudness);
      if (this.#recording) onFrame(frame);
    }, () => notice("microphone", "lost"));
    test.onclick = () => this.open();
    device.onchange = () => {
      remember("device", device.value);
      if (this.isOpen || this.#recording) this.open();
    };
    // By the clock and not by the frame: a browser that finds no device to play to may give no frames.
    setInterval(() => {
      if (this.#recording && this.isOpen && Date.now() - this.#heardAt > SILENT_AFTER) notice("microphone", "silent");
    }, LOOK);
    navigator.mediaDevices?.addEventListener("devicechange", () => this.isOpen && this.#list());
  }

  get isOpen() {
    return this.#microphone.open;
  }

  /** @param {boolean} now */
  set recording(now) {
    if (now && !this.#recording) this.#heardAt = Date.now();
    this.#recording = now;
  }

  /** Open the chosen microphone. Resolves to whether it is open; a notice tells what is in the way. */
  async open() {
    this.#heardAt = this.#recording ? Date.now() : 0;
    notice("microphone", await this.#microphone.start(device.value));
    this.#openedAt = Date.now();
    test.disabled = this.isOpen;
    if (this.isOpen) await this.#list();
    return this.isOpen;
  }

  /** Open it if the person has allowed it before, so that no button has to be pressed. */
  async openIfAllowed() {
    const permission = await navigator.permissions?.query({ name: "microphone" }).catch(() => null);
    if (permission?.state === "granted") await this.open();
  }

  /** Call it when a button is pressed: some browsers hold the sound back until then. */
  resume() {
    this.#microphone.resume();
  }

  close() {
    this.#microphone.stop();
    level.ariaValueNow = "0";
    this.#scope.clear();
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

  /** @param {number} loudness dB */
  #show(loudness) {
    const part = Math.max(0, Math.min(1, (loudness + 70) / 60));
    if (!this.paused) this.#scope.push(part);
    level.ariaValueNow = String(Math.round(part * 100));
    if (loudness > (this.#recording ? NOISE : VOICE)) {
      this.#heardAt = Date.now();
      if (noticed("microphone") === "silent") notice("microphone", "");
    }
    // A pause between two sentences is no news: a screen reader would speak at each of them.
    const heard = Date.now() - this.#heardAt < SILENT_AFTER, expected = Date.now() - this.#openedAt > UNHEARD_AFTER;
    this.#say(heard ? "yes" : expected ? "no" : "");
  }

  /** Say whether a voice is heard. The words are seen before the start only. @param {"yes" | "no" | ""} answer */
  #say(answer) {
    for (const words of all(document, "[data-heard]")) words.hidden = words.dataset.heard !== answer;
  }
}
