// How a script reaches the server: addresses below the site's path prefix, and the header that proves a request is ours.

/** Path of the product on its site: "" at the top, "/stile" below a prefix. Static files lie one level below it. */
export const root = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/**
 * Address of a WebSocket.
 * @param {string} path of the product, such as "/ws/live"
 */
export const socketAddress = (path) => new URL(root + path, location.href).href.replace(/^http/, "ws");

/**
 * The CSRF header that Django demands of every request that changes something. A sign-in in another window sets a new cookie;
 * the token that the page came with is void then.
 * @returns {Record<string, string>}
 */
export function csrfHeader() {
  const token = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  return token ? { "X-CSRFToken": token } : JSON.parse(document.body.getAttribute("hx-headers") ?? "{}");
}
