// Choosing or dropping files sends them, two at a time and in pieces, so that a broken upload goes on where it stopped.
import { showRow } from "./events.js";

const AT_ONCE = 2;
const PIECE = 8 * 1024 ** 2; // the most that the server takes in one request
// Counted from the last byte that arrived: for an hour, in case the network or the server is away for long.
const RETRY_DELAYS = [0, 1000, 2000, 5000, ...Array(360).fill(10_000)]; // milliseconds
// No answer, another request still writes, too much at once, a server that restarts: it is worth trying again.
const PASSING = [0, 409, 423, 429, 502, 503, 504];
const NO_SOUND = /^((text|image|font)\/|application\/(pdf|zip|json|msword|vnd\.))/;
const drop = document.getElementById("drop");
const list = document.getElementById("uploads");
const cover = document.getElementById("cover");
const waiting = [];
let running = 0;

function refusal(file) {
  if (file.size === 0) return drop.dataset.empty;
  if (file.size > Number(drop.dataset.maxBytes)) return drop.dataset.tooLarge;
  if (NO_SOUND.test(file.type)) return drop.dataset.notAudio;
  return "";
}

function add(files) {
  for (const file of files) {
    list.append(document.getElementById("upload").content.cloneNode(true));
    const row = list.lastElementChild;
    row.querySelector(".name").textContent = file.name;
    row.querySelector(":scope > button").onclick = () => row.remove();
    const reason = refusal(file);
    if (reason) fail(row, reason);
    else waiting.push({ file, row });
  }
  next();
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    const upload = waiting.shift();
    if (!upload.row.isConnected) continue; // removed before its turn
    running += 1;
    send(upload.file, upload.row).finally(() => { running -= 1; next(); });
  }
}

/** Resolves when the upload has ended, well or not: the row says which. */
function send(file, row) {
  const bar = row.querySelector("progress");
  const note = row.querySelector(".note");
  let furthest = -1; // after a piece that was sent in vain, the client counts from the piece's start again
  return new Promise((ended) => {
    const upload = new tus.Upload(file, {
      endpoint: drop.dataset.url,
      headers: { "X-CSRFToken": drop.dataset.csrf },
      metadata: { filename: file.name, duplicate: "ask" },
      chunkSize: PIECE,
      retryDelays: RETRY_DELAYS,
      removeFingerprintOnSuccess: true,
      onProgress(sent, total) {
        const percent = Math.floor(sent * 100 / total);
        if (percent <= furthest) return;
        furthest = percent;
        if (sent < total) {
          bar.value = percent;
          note.textContent = `${percent}%`;
        } else {
          bar.removeAttribute("value");
          note.textContent = drop.dataset.checking;
        }
      },
      onShouldRetry({ originalResponse: answer }) {
        const status = answer?.getStatus() ?? 0;
        if (status === 0) note.textContent = drop.dataset.lost;
        if (status === 429) note.textContent = reasonOf(answer.getBody(), status);
        return PASSING.includes(status);
      },
      onError({ originalResponse: answer }) {
        fail(row, answer ? reasonOf(answer.getBody(), answer.getStatus()) : drop.dataset.lost);
        ended();
      },
      async onSuccess({ lastResponse }) {
        const told = (header) => Number(lastResponse.getHeader(header));
        try {
          let recording = told("Stile-Recording"), duplicate = told("Stile-Duplicate");
          // The answer that would have named it was lost.
          if (!recording && !duplicate) ({ recording, duplicate } = await request("GET", upload.url));
          await (duplicate ? ask(row, upload.url, duplicate) : made(row, recording));
        } catch (error) {
          fail(row, error.message);
        }
        ended();
      },
    });
    row.querySelector(":scope > button").onclick = () => {
      upload.abort(true).catch(() => {}); // what the server then still has of it expires
      row.remove();
      ended();
    };
    upload.findPreviousUploads().then((previous) => {
      if (previous.length) upload.resumeFromPreviousUpload(previous[0]);
      if (row.isConnected) upload.start();
    });
  });
}

/** The server's answer; waits for a server that is away for a moment. */
async function request(method, url) {
  const headers = { "X-CSRFToken": drop.dataset.csrf, "Tus-Resumable": "1.0.0" };
  for (;; await new Promise((resolve) => setTimeout(resolve, 1000))) {
    const answer = await fetch(url, { method, headers, keepalive: true }).catch(() => ({ status: 0 }));
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    if (!PASSING.includes(answer.status)) throw new Error(reasonOf(await answer.text(), answer.status));
  }
}

function made(row, recording) {
  showRow(recording);
  row.remove();
}

/** The same bytes are there already: the upload waits whole for what the person decides. Left alone, it expires. */
async function ask(row, url, duplicate) {
  const { created_at: created } = await request("GET", `/api/recordings/${duplicate}`);
  const date = new Date(created).toLocaleDateString(document.documentElement.lang, { dateStyle: "medium" });
  const choice = row.querySelector(".decide"), [open, again] = choice.children;
  row.classList.add("asking");
  row.querySelector("progress").hidden = true;
  const note = row.querySelector(".note");
  note.setAttribute("role", "status");
  note.textContent = drop.dataset.duplicate.replace("{date}", date);
  choice.hidden = false;
  const giveUp = () => request("DELETE", url).catch(() => {});
  open.href = `/recordings/${duplicate}`;
  open.onclick = giveUp;
  again.onclick = () => request("POST", url).then(({ recording }) => made(row, recording), (error) => fail(row, error.message));
  row.querySelector(":scope > button").onclick = () => { giveUp(); row.remove(); };
}

function reasonOf(body, status) {
  try {
    return JSON.parse(body).error.message;
  } catch { // a proxy's answer, not ours
    return `HTTP ${status}`;
  }
}

function fail(row, reason) {
  row.classList.add("refused");
  row.querySelector("progress").hidden = row.querySelector(".decide").hidden = true;
  const note = row.querySelector(".note");
  note.setAttribute("role", "alert");
  note.textContent = reason;
  row.querySelector(":scope > button").onclick = () => row.remove();
}

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault(); // else the browser opens the file and leaves the page
  cover.hidden = false;
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) cover.hidden = true; });
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  cover.hidden = true;
  add(event.dataTransfer.files);
});
document.getElementById("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = ""; // choosing the same file again counts as choosing
});
addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
