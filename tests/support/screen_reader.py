"""What a screen reader speaks by itself on a page: the changes of its status regions."""

from playwright.async_api import Page

# Each line that appears in a region counts, also one that only has another figure in it. Logs have no status messages.
LISTEN = """
    window.spoken = [];
    addEventListener("DOMContentLoaded", () => {
        const REGIONS = "[role=status], [role=alert], [aria-live=polite]:not([role=log]), [aria-live=assertive]";
        const before = new Map();
        const lines = (region) => (
            region.checkVisibility() ? region.innerText.split("\\n").map((line) => line.trim()).filter(Boolean) : []
        );
        const listen = () => {
            for (const region of document.querySelectorAll(REGIONS)) {
                const now = lines(region);
                spoken.push(...now.filter((line) => !(before.get(region) ?? []).includes(line)));
                before.set(region, now);
            }
        };
        for (const region of document.querySelectorAll(REGIONS)) before.set(region, lines(region));
        const changes = { attributes: true, characterData: true, childList: true, subtree: true };
        new MutationObserver(listen).observe(document.body, changes);
    });
"""


async def listen(page: Page) -> None:
    """Begin to listen. To be called before the page is opened."""
    await page.add_init_script(LISTEN)


async def spoken(page: Page) -> list[str]:
    """The status messages so far."""
    told: list[str] = await page.evaluate("spoken")
    return told
