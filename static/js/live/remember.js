// What this browser remembers between visits. Where it has no storage, it remembers nothing.

/** @param {string} name */
export function recall(name) {
  try {
    return localStorage.getItem(`live-${name}`) ?? "";
  } catch {
    return "";
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(`live-${name}`, value);
  } catch {
    // no storage
  }
}

/**
 * Choose an option, if it is still there.
 * @param {HTMLSelectElement} select
 * @param {string} value by default the last choice
 */
export function choose(select, value = recall(select.id)) {
  if ([...select.options].some((option) => option.value === value)) select.value = value;
}
