// Types of what the pages' scripts find in the browser and no package describes. For tsc only: see tsconfig.json.

// --- globals of scripts that are no modules ---------------------------------------------------
declare const htmx: { trigger(target: Element | string, event: string): void };
declare const tus: typeof import("tus-js-client");
type Buffer = never; // Node's, which the types of tus-js-client name

// --- htmx's events, with the fields of them that we read (https://htmx.org/events/) ------------
interface HtmxRequest {
  elt: Element;
  target: HTMLElement;
  xhr: XMLHttpRequest;
  pathInfo: { requestPath: string };
  requestConfig: { verb: string; elt: Element };
  successful: boolean;
  shouldSwap: boolean;
}

interface HtmxEventMap {
  "htmx:load": CustomEvent<{ elt: HTMLElement }>;
  "htmx:confirm": CustomEvent<{ question: string | null; elt: HTMLElement; issueRequest(skipConfirmation: boolean): void }>;
  "htmx:configRequest": CustomEvent<{ elt: Element; parameters: Record<string, string>; headers: Record<string, string> }>;
  "htmx:beforeSwap": CustomEvent<HtmxRequest>;
  "htmx:oobBeforeSwap": CustomEvent<HtmxRequest>;
  "htmx:afterRequest": CustomEvent<HtmxRequest>;
  "htmx:responseError": CustomEvent<HtmxRequest>;
  "htmx:sendError": CustomEvent<HtmxRequest>;
}

interface DocumentEventMap extends HtmxEventMap {}
interface HTMLElementEventMap extends HtmxEventMap {}

// --- the worklet's thread (https://webaudio.github.io/web-audio-api/#audioworkletglobalscope) ---
declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
