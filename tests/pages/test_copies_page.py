"""The page of a recording that browsers cannot play has a copy, which plays from any moment."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from playwright.async_api import Page

from recordings.intake.copies import make_copies
from recordings.models import Recording, want_copy
from tests.support.audio_files import clip, encode
from tests.support.waiting import PATIENCE

LONG = np.concatenate([clip()] * 3)  # 21.3 s
KINDS: dict[str, dict[str, Any]] = {
    "phone.amr": {"codec": "libopencore_amrnb", "rate": 8000, "encoder": {"b": "12200"}},
    "windows.wma": {"codec": "wmav2", "encoder": {"b": "64000"}},
    "browser.webm": {"codec": "libopus", "rate": 48_000, "muxer": {"live": "1"}},
}
SEEK = """async (time) => {
    const audio = document.getElementById("audio");
    if (!audio.readyState) await new Promise((done) => audio.addEventListener("loadedmetadata", done));
    audio.currentTime = time;
    await new Promise((done) => audio.addEventListener("seeked", done, { once: true }));
    await audio.play();
    await new Promise((done) => audio.addEventListener("timeupdate", done, { once: true }));
    audio.pause();
    return [audio.duration, audio.currentTime];
}"""


async def with_copy(owner: User, path: Path) -> Recording:
    data = await asyncio.to_thread(path.read_bytes)
    made = Recording(owner=owner, title=path.stem, original_name=path.name, sha256="0" * 64, bytes=len(data))
    made.duration, made.media_type, made.source = 21.3, "audio/x", Recording.Source.UPLOAD
    await asyncio.to_thread(made.original.save, path.name, ContentFile(data), save=False)
    await made.asave()
    await sync_to_async(want_copy)(made)
    making = asyncio.create_task(make_copies())
    async with asyncio.timeout(PATIENCE):
        while not made.playable:
            await asyncio.sleep(0.05)
            await made.arefresh_from_db()
    making.cancel()
    await asyncio.wait({making})
    return made


@pytest.mark.parametrize("name", KINDS)
async def test_a_copy_plays_from_any_moment(
    page: Page, mei: User, name: str, tmp_path: Path, settings: LazySettings
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    made = await with_copy(mei, await asyncio.to_thread(encode, tmp_path / name, LONG, **KINDS[name]))
    await page.goto(f"/recordings/{made.pk}")
    duration, time = await page.evaluate(SEEK, 15)
    assert duration == pytest.approx(21.3, abs=0.06)
    assert 15 <= time < 17


async def test_what_could_not_be_read_is_told(page: Page, mei: User, tmp_path: Path, settings: LazySettings) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    how = KINDS["windows.wma"]
    made = await with_copy(mei, await asyncio.to_thread(encode, tmp_path / "x.wma", LONG, **how))
    await Recording.objects.filter(pk=made.pk).aupdate(damaged=[(3.2, 7.9), (62.0, 67.5)], duration=90)
    await page.goto(f"/recordings/{made.pk}")
    assert await page.get_by_text("1:02–1:07 could not be read: the file is damaged there.").count() == 1
