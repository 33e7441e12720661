// Buttons in a dialog or a section that copy the text of a field: `<button data-copies="id of the field">`.
import { around, byId, data, one } from "./dom.js";

const SHOWN = 2_000; // ms for which the button says that it has copied

/**
 * Copy a field's text. Browsers have a clipboard behind TLS and on this machine only; elsewhere an older command copies the
 * selection.
 * @param {HTMLInputElement} field
 * @returns {Promise<boolean>} whether it is copied; where it is not, the text is selected
 */
export async function copyText(field) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    return document.execCommand("copy");
  }
}

document.addEventListener("click", async (event) => {
  const button = around(event, "[data-copies]"), panel = button?.closest("dialog, section");
  if (!button || !panel) return;
  const words = button.dataset.words ??= button.textContent ?? "";
  const copied = await copyText(byId(data(button, "copies"), HTMLInputElement));
  const problem = one(panel, ".problem");
  problem.hidden = copied;
  if (!copied) {
    problem.textContent = data(button, "failed");
    return;
  }
  button.focus(); // to select a field's text gives it the focus
  button.textContent = data(button, "copied");
  setTimeout(() => { button.textContent = words; }, SHOWN);
  one(panel, "[role=status]").textContent = `${data(button, "copied")} ${panel.querySelector(".warning")?.textContent ?? ""}`;
});
