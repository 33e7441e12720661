// Where the product is: below a path prefix of the site, such as /stile, or at its top. Static files lie right below it.
export const root = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** The address of a WebSocket at this path of the product. */
export const socketAddress = (path) => new URL(root + path, location).href.replace(/^http/, "ws");
