// The dialog that gives a recording another title.
import { root } from "./root.js";

const dialog = document.getElementById("rename");
const form = dialog.querySelector("form"), { title } = form.elements;
const problem = dialog.querySelector(".problem");
let recording;
const heading = () => document.getElementById(`title-${recording}`); // a row's is swapped for newer ones

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-rename]");
  if (!opener) return;
  recording = opener.dataset.rename;
  title.value = heading().textContent;
  problem.hidden = true;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  title.value = title.value.trim();
  if (!form.reportValidity()) return; // nothing is left of it
  const answer = await fetch(`${root}/api/recordings/${recording}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json", ...JSON.parse(document.body.getAttribute("hx-headers")) },
    body: JSON.stringify({ title: title.value }),
  }).catch(() => null);
  const body = await answer?.json().catch(() => null); // a proxy's answer is not ours
  problem.hidden = Boolean(answer?.ok && body);
  if (problem.hidden) {
    const shown = heading(); // none in a library where it was deleted meanwhile
    if (shown?.matches("h1")) document.title = document.title.replace(shown.textContent, () => body.title);
    if (shown) shown.textContent = body.title;
    dialog.close();
  } else {
    problem.textContent = body?.error?.message ?? form.dataset.lost;
  }
});
