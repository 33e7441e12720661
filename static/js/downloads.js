// Downloads of a text. The script fetches the file first: of a download that fails, browsers say little, and late.
import { around, byId } from "./dom.js";
import { act } from "./requests.js";
import { say } from "./toast.js";

byId("main").addEventListener("click", async (event) => {
  const link = around(event, ".menu a[download]");
  if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const { ok, file, words } = await act(link.href, { method: "GET" });
  if (!ok) return say(words);
  const copy = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: link.download });
  copy.click();
  setTimeout(() => URL.revokeObjectURL(copy.href), 10_000); // the download has begun by then
});
