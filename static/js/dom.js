// Elements that a page must have, with their types. A missing one is a fault, and the error names it.

/**
 * The first element in `parent` that matches.
 * @template {Element} [T=HTMLElement]
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {new () => T} [type]
 */
export function one(parent, selector, type) {
  const element = parent.querySelector(selector);
  if (!(element instanceof (type ?? HTMLElement))) throw new TypeError(`The page has no ${selector} of this type.`);
  return /** @type {T} */ (element);
}

/**
 * The page's element with this id.
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 */
export const byId = (id, type) => one(document, `#${id}`, type);

/**
 * All elements in `parent` that match.
 * @param {ParentNode} parent
 * @param {string} selector
 */
export const all = (parent, selector) => [...parent.querySelectorAll(selector)].filter((element) => element instanceof HTMLElement);

/**
 * Value of a data attribute: a sentence or an address from the server.
 * @param {HTMLElement} element
 * @param {string} name
 */
export function data(element, name) {
  const value = element.dataset[name];
  if (value === undefined) throw new TypeError(`The element has no data “${name}”.`);
  return value;
}

/**
 * The event's target, or the nearest element around it, that matches; null where none does.
 * @param {Event} event
 * @param {string} selector
 */
export function around({ target }, selector) {
  const element = target instanceof Element ? target.closest(selector) : null;
  return element instanceof HTMLElement ? element : null;
}

/**
 * Append a copy of a template, which holds one element, and return that element.
 * @param {string} id of the template
 * @param {HTMLElement} parent
 */
export function appendCopy(id, parent) {
  parent.append(byId(id, HTMLTemplateElement).content.cloneNode(true));
  return one(parent, ":scope > :last-child");
}
