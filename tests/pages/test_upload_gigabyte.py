"""The tus project's own client for browsers, over a bad network to a server that is killed."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.support.bad_network import PIECE, SIZE, BadNetwork, gigabyte
from tests.support.browser import PATIENCE
from tests.support.product import Product
from tests.support.speech import librivox

# An upload as the client's documentation shows it. `window.sent`: the bytes sent so far; `window.end`: the outcome.
UPLOAD = """([token, piece]) => {
    const [file] = document.querySelector("#chosen").files;
    const upload = new tus.Upload(file, {
        endpoint: "/api/uploads",
        headers: { Authorization: `Bearer ${token}` },
        metadata: { filename: file.name, transcribe: "false" },
        chunkSize: piece,
        retryDelays: Array(300).fill(100),
        onChunkComplete: (_size, sent) => { window.sent = sent; },
        onError: (error) => { window.end = String(error); },
        onSuccess: () => { window.end = "done"; },
    });
    upload.start();
}"""
CHOOSER = "document.body.insertAdjacentHTML('beforeend', '<input type=file id=chosen>')"


@pytest.mark.slow
async def test_a_gigabyte_comes_through_a_bad_network_to_a_server_that_is_killed(
    browser: Browser, tmp_path: Path
) -> None:
    file = await asyncio.to_thread(gigabyte, tmp_path / "long.wav", librivox()[0].path.read_bytes())
    product = Product(tmp_path / "data", ASR_API_URL="http://127.0.0.1:9/v1")
    await asyncio.to_thread(product.start)
    context = await browser.new_context(bypass_csp=True)  # `wait_for_function` needs eval
    page = await context.new_page()
    try:
        with BadNetwork(product) as network:
            await page.goto(str(product.link()).replace(product.url, network.url))
            await page.evaluate(CHOOSER)
            await page.set_input_files("#chosen", file)
            token = (await asyncio.to_thread(product.manage, "create_token", "mei", "--create")).strip()
            await page.evaluate(UPLOAD, [token, PIECE])
            for part in (0.3, 0.7):
                await page.wait_for_function(f"window.end || window.sent > {part * SIZE}", timeout=PATIENCE)
                await asyncio.to_thread(product.kill)
                await asyncio.to_thread(product.start)
            await page.wait_for_function("window.end", timeout=PATIENCE)
            assert await page.evaluate("window.end") == "done"
            network.check()
    finally:
        await context.close()
        await asyncio.to_thread(product.stop)
    (kept,) = (path for path in product.data_dir.glob("media/originals/**/*") if path.is_file())
    assert await asyncio.to_thread(digest, kept) == await asyncio.to_thread(digest, file)
    assert list((product.data_dir / "incoming").iterdir()) == []


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
