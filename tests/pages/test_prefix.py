"""The product below a path of a host, in a browser: no link or request on its pages leads out of the prefix."""

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import PATIENCE, note_faults
from tests.support.product import Product
from tests.support.speech import librivox
from tests.support.whisper_stub import WhisperStub


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("below")
    with WhisperStub() as whisper, Product(folder, ASR_API_URL=whisper.url, URL_PREFIX="/stile") as product:
        yield product


async def test_a_file_is_uploaded_read_and_corrected_below_the_prefix(below: Product, browser: Browser) -> None:
    link = below.link()
    assert link
    assert link.startswith(f"{below.url}/stile/setup?token=")
    faults: list[str] = []
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    note_faults(page, f"{below.url}/stile/", faults)
    page.on("response", lambda answer: faults.append(answer.url) if answer.status >= 400 else None)
    await page.goto(link)
    await page.goto(f"{below.url}/stile/")
    async with page.expect_file_chooser() as chosen:
        await page.get_by_text("Choose files").click()
    await (await chosen.value).set_files(librivox()[0].path)
    await expect(page.get_by_role("listitem")).to_contain_text("hello")
    await page.get_by_role("link", name=librivox()[0].path.stem).click()
    await page.wait_for_url("**/stile/recordings/*")
    line = page.locator(".segment > p").first
    await line.dblclick(position={"x": 20, "y": 15})
    await page.keyboard.press("End")
    await page.keyboard.type(" world")
    await page.keyboard.press("Enter")
    await expect(page.locator("#saved")).to_have_text(re.compile("^Saved"))
    await page.reload()
    await expect(line).to_have_text("hello world")
    await page.wait_for_function("document.getElementById('audio').readyState > 0")
    await page.locator("a.brand").click()
    await page.wait_for_url("**/stile/")
    for name in ("Record", "Live", "API docs"):
        await page.get_by_role("navigation").get_by_role("link", name=name).click()
        await page.wait_for_load_state("networkidle")
        assert "/stile/" in page.url
    await context.close()
    assert faults == []
