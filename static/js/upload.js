// Choosing or dropping files sends them, two at a time, each with a row that says how far it is.
import { showRow } from "./events.js";
import { root } from "./root.js";
import { request, Sending } from "./sending.js";

const AT_ONCE = 2;
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
async function send(file, row) {
  const bar = row.querySelector("progress"), note = row.querySelector(".note");
  const sending = new Sending(file, { filename: file.name, duplicate: "ask" }, {
    progress(percent) {
      if (percent < 100) bar.value = percent;
      else bar.removeAttribute("value");
      note.textContent = percent < 100 ? `${percent}%` : drop.dataset.checking;
    },
    waiting(why) {
      note.textContent = why || drop.dataset.lost;
    },
  });
  row.querySelector(":scope > button").onclick = () => {
    sending.cancel(true);
    row.remove();
  };
  try {
    const end = await sending.done;
    if (end?.duplicate) await ask(row, end.url, end.duplicate);
    else if (end) made(row, end.recording);
  } catch (error) {
    fail(row, error.message || drop.dataset.lost);
  }
}

function made(row, recording) {
  showRow(recording);
  row.remove();
}

/** The same bytes are there already: the upload waits whole for what the person decides. Left alone, it expires. */
async function ask(row, url, duplicate) {
  const { created_at: created } = await request("GET", `${root}/api/recordings/${duplicate}`);
  const date = new Date(created).toLocaleDateString(document.documentElement.lang, { dateStyle: "medium" });
  const choice = row.querySelector(".decide"), [open, again] = choice.children;
  row.classList.add("asking");
  row.querySelector("progress").hidden = true;
  const note = row.querySelector(".note");
  note.setAttribute("role", "status");
  note.textContent = drop.dataset.duplicate.replace("{date}", date);
  choice.hidden = false;
  const giveUp = () => request("DELETE", url).catch(() => {});
  open.href = `${root}/recordings/${duplicate}`;
  open.onclick = giveUp;
  again.onclick = () => request("POST", url).then(({ recording }) => made(row, recording), (error) => fail(row, error.message));
  row.querySelector(":scope > button").onclick = () => { giveUp(); row.remove(); };
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
