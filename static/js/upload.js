// Choosing or dropping files sends them, two at a time, each with its own progress.
import { showRow } from "./events.js";

const AT_ONCE = 2;
const drop = document.getElementById("drop");
const list = document.getElementById("uploads");
const cover = document.getElementById("cover");
const waiting = [];
let running = 0;

function refusal(file) {
  if (file.size === 0) return drop.dataset.empty;
  if (file.size > Number(drop.dataset.maxBytes)) return drop.dataset.tooLarge;
  if (/^(text|image)\//.test(file.type)) return drop.dataset.notAudio;
  return "";
}

function add(files) {
  for (const file of files) {
    list.append(document.getElementById("upload").content.cloneNode(true));
    const row = list.lastElementChild;
    row.querySelector(".name").textContent = file.name;
    row.querySelector("button").onclick = () => row.remove();
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
  const request = new XMLHttpRequest(); // fetch cannot tell how much of an upload has gone out
  const bar = row.querySelector("progress");
  const note = row.querySelector(".note");
  const form = new FormData();
  form.append("file", file);
  request.upload.onprogress = ({ loaded, total }) => {
    bar.value = Math.max(bar.value, Math.floor(loaded * 100 / total));
    note.textContent = `${bar.value}%`;
  };
  request.upload.onload = () => { bar.removeAttribute("value"); note.textContent = drop.dataset.checking; };
  row.querySelector("button").onclick = () => { request.abort(); row.remove(); };
  return new Promise((ended) => {
    request.onload = () => {
      if (request.status === 201 || request.status === 200) {
        row.remove();
        showRow(JSON.parse(request.responseText).id);
      } else {
        fail(row, reasonOf(request));
      }
    };
    request.onerror = () => fail(row, drop.dataset.lost);
    request.onloadend = ended;
    request.open("POST", drop.dataset.url);
    request.setRequestHeader("X-CSRFToken", drop.dataset.csrf);
    request.send(form);
  });
}

function reasonOf(request) {
  try {
    return JSON.parse(request.responseText).error.message;
  } catch { // a proxy's answer, not ours
    return `${request.status} ${request.statusText}`;
  }
}

function fail(row, reason) {
  row.classList.add("refused");
  row.querySelector("progress").hidden = true;
  const note = row.querySelector(".note");
  note.setAttribute("role", "alert");
  note.textContent = reason;
  row.querySelector("button").onclick = () => row.remove();
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
