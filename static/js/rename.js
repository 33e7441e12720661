// The dialog that gives the recording another title.

const dialog = document.getElementById("rename");
const form = dialog.querySelector("form"), { title } = form.elements;
const problem = dialog.querySelector(".problem");
const heading = document.querySelector("h1");

dialog.addEventListener("close", () => {
  title.value = heading.textContent;
  problem.hidden = true;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  title.value = title.value.trim();
  if (!form.reportValidity()) return; // nothing is left of it
  const answer = await fetch(form.action, {
    method: "PATCH",
    headers: { "Content-Type": "application/json", ...JSON.parse(document.body.getAttribute("hx-headers")) },
    body: JSON.stringify({ title: title.value }),
  }).catch(() => null);
  const body = await answer?.json().catch(() => null); // a proxy's answer is not ours
  problem.hidden = Boolean(answer?.ok && body);
  if (problem.hidden) {
    document.title = document.title.replace(heading.textContent, () => body.title);
    heading.textContent = body.title;
    dialog.close();
  } else {
    problem.textContent = body?.error?.message ?? form.dataset.lost;
  }
});
