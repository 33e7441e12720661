// The dialog that gives a recording another title.
import { root } from "./root.js";
import { act } from "./why.js";

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
  const { ok, body, words } = await act(`${root}/api/recordings/${recording}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ title: title.value }),
  });
  problem.hidden = ok;
  if (ok) {
    const given = JSON.parse(body).title;
    const shown = heading(); // none in a library where it was deleted meanwhile
    if (shown?.matches("h1")) document.title = document.title.replace(shown.textContent, () => given);
    if (shown) shown.textContent = given;
    dialog.close();
  } else {
    problem.textContent = words;
  }
});
