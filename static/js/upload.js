// Uploading from the library: files are chosen or dropped, and sent two at a time. A row for each shows how far it is.
import { appendCopy, byId, data, one } from "./dom.js";
import { showRow } from "./events.js";
import { Refusal, request, Sending } from "./sending.js";
import { root } from "./server.js";

const AT_ONCE = 2;
const FINAL = [400, 415, 422]; // statuses that another try would meet again: the file is to blame
const NO_SOUND = /^((text|image|font)\/|application\/(pdf|zip|json|msword|vnd\.))/; // media types
const drop = byId("drop"), list = byId("uploads"), cover = byId("cover"), chooser = byId("files", HTMLInputElement);
/** @type {{ file: File, row: HTMLElement }[]} */
const waiting = [];
let running = 0;

/** Why the file is not sent at all; "" where it is. @param {File} file */
function refusal(file) {
  if (file.size === 0) return data(drop, "empty");
  if (file.size > Number(data(drop, "maxBytes"))) return data(drop, "tooLarge");
  if (NO_SOUND.test(file.type)) return data(drop, "notAudio");
  return "";
}

/** @param {FileList} files */
function add(files) {
  for (const file of files) {
    const row = appendCopy("upload", list);
    one(row, ".name").textContent = file.name;
    onRemove(row, () => {});
    const reason = refusal(file);
    if (reason) fail(row, reason);
    else waiting.push({ file, row });
  }
  next();
}

function next() {
  while (running < AT_ONCE) {
    const upload = waiting.shift();
    if (!upload) return;
    if (!upload.row.isConnected) continue; // the person has removed it
    running += 1;
    send(upload.file, upload.row).finally(() => {
      running -= 1;
      next();
    });
  }
}

/**
 * Send a file. Never rejects: its row shows a failure.
 * @param {File} file
 * @param {HTMLElement} row
 */
async function send(file, row) {
  const bar = one(row, "progress", HTMLProgressElement), note = one(row, ".note");
  const sending = new Sending(file, { filename: file.name, duplicate: "ask" }, {
    progress(percent) {
      if (percent < 100) bar.value = percent;
      else bar.removeAttribute("value");
      note.textContent = percent < 100 ? `${percent}%` : data(drop, "checking");
    },
    waiting(why) {
      note.textContent = why || data(drop, "lost");
    },
  });
  onRemove(row, () => sending.cancel(true));
  try {
    const outcome = await sending.done;
    if (outcome?.duplicate) await ask(row, outcome.url, outcome.duplicate);
    else if (outcome?.recording) finish(row, outcome.recording);
  } catch (error) {
    fail(row, messageOf(error) || data(drop, "unsent"));
    if (error instanceof Refusal && !FINAL.includes(error.status)) offerAgain(file, row, error.signedOut);
  }
}

/**
 * Offer to send a file once more. The row keeps the file, which no other page can have: the sign-in is in another window.
 * @param {File} file
 * @param {HTMLElement} row
 * @param {boolean} signedOut
 */
function offerAgain(file, row, signedOut) {
  const again = one(row, ".again");
  again.hidden = false;
  one(again, "a").hidden = !signedOut;
  one(again, "button").onclick = () => {
    row.classList.remove("refused");
    again.hidden = true;
    one(row, "progress").hidden = false;
    one(row, ".note").removeAttribute("role");
    one(row, ".note").textContent = "";
    waiting.push({ file, row });
    next();
    one(row, ":scope > button").focus();
  };
}

const messageOf = (/** @type {unknown} */ error) => (error instanceof Error ? error.message : String(error));

/**
 * What the row's button does besides removing the row.
 * @param {HTMLElement} row
 * @param {() => void} removed
 */
function onRemove(row, removed) {
  one(row, ":scope > button").onclick = () => {
    removed();
    row.remove();
  };
}

/**
 * @param {HTMLElement} row
 * @param {number} recording
 */
function finish(row, recording) {
  showRow(recording);
  row.remove();
}

/**
 * Ask what to do with a file that the library has already. The upload waits at the server, complete, until it expires.
 * @param {HTMLElement} row
 * @param {string} url of the upload
 * @param {number} duplicate the recording of the same bytes
 */
async function ask(row, url, duplicate) {
  const { created_at: created } = await request("GET", `${root}/api/recordings/${duplicate}`);
  const date = new Date(created).toLocaleDateString(document.documentElement.lang, { dateStyle: "medium" });
  row.classList.add("asking");
  one(row, "progress").hidden = true;
  const note = one(row, ".note");
  note.setAttribute("role", "status");
  note.textContent = data(drop, "duplicate").replace("{date}", date);
  const giveUp = () => { request("DELETE", url).catch(() => {}); };
  const choice = one(row, ".duplicate"), open = one(choice, "a", HTMLAnchorElement);
  choice.hidden = false;
  open.href = `${root}/recordings/${duplicate}`;
  open.onclick = giveUp;
  one(choice, "button").onclick = () => {
    request("POST", url).then(({ recording }) => finish(row, recording), (error) => fail(row, messageOf(error)));
  };
  onRemove(row, giveUp);
}

/**
 * @param {HTMLElement} row
 * @param {string} reason
 */
function fail(row, reason) {
  row.classList.add("refused");
  one(row, "progress").hidden = one(row, ".duplicate").hidden = true;
  const note = one(row, ".note");
  note.setAttribute("role", "alert");
  note.textContent = reason;
  onRemove(row, () => {});
}

/** @param {DragEvent} event */
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault(); // the browser would leave the page and open the file
  cover.hidden = false;
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) cover.hidden = true; });
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event) || !event.dataTransfer) return;
  event.preventDefault();
  cover.hidden = true;
  add(event.dataTransfer.files);
});
chooser.addEventListener("change", () => {
  if (chooser.files) add(chooser.files);
  chooser.value = ""; // choosing the same file again is a change then
});
addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
