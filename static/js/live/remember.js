// What this browser remembers between visits; where it has no storage, nothing.

export function recall(name) {
  try {
    return localStorage.getItem(`live-${name}`) ?? "";
  } catch {
    return "";
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`live-${name}`, value);
  } catch {
    // it is asked again
  }
}

/** Choose what was chosen last, if it is still there. */
export function choose(select, value = recall(select.id)) {
  if ([...select.options].some((option) => option.value === value)) select.value = value;
}
