// Text that a person typed and the server refused because the session had ended. This tab keeps it while they sign in again.

/**
 * Keep a draft, in place of an earlier one of this name.
 * @param {string} name
 * @param {object} draft
 */
export function keepDraft(name, draft) {
  try {
    sessionStorage.setItem(`draft-${name}`, JSON.stringify(draft));
  } catch {
    // no storage: the text stays on the page until the person leaves it
  }
}

/**
 * The draft of this name, once; null where there is none, or none for this page.
 * @param {string} name
 * @param {(draft: any) => boolean} fits whether the page has the place of the draft
 */
export function takeDraft(name, fits) {
  try {
    const draft = JSON.parse(sessionStorage.getItem(`draft-${name}`) ?? "null");
    if (!draft || !fits(draft)) return null;
    sessionStorage.removeItem(`draft-${name}`);
    return draft;
  } catch {
    return null;
  }
}
