"""The live pages without their sockets: rights, lists, and resampling."""

from datetime import timedelta
from typing import Any

import pytest
import segno
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.contrib.staticfiles.storage import staticfiles_storage
from django.test import Client
from django.utils import timezone
from playwright.async_api import Page, expect

from recordings.live.messages import group
from recordings.models import LiveSession, Segment
from tests.support.page_server import Server
from tests.support.rows import Status, make_recording, make_transcription
from tests.support.speaking import assert_accessible


def make_session(owner: User, **fields: Any) -> LiveSession:
    return LiveSession.objects.create(owner=owner, **fields)


def ended(owner: User, title: str) -> LiveSession:
    recording = make_recording(owner, title)
    make_transcription(recording, Status.DONE, "Words.")
    return make_session(owner, recording=recording, ended_at=timezone.now())


def statuses(client: Client, session: LiveSession) -> set[int]:
    return {client.get(f"/live/{session.pk}{page}").status_code for page in ("", "/overlay", "/qr")}


def test_a_session_is_for_its_owner_until_it_is_public(mei: User, jonas: User, client: Client) -> None:
    session = make_session(mei, title="Board meeting")
    for page in ("/record", "/live"):
        assert client.get(page)["Location"].startswith("/accounts/login")
    assert statuses(client, session) == {404}
    client.force_login(jonas)
    assert statuses(client, session) == {404}
    client.force_login(mei)
    assert statuses(client, session) == {200}
    assert client.post(f"/live/{session.pk}/public", {"public": "on"}).status_code == 204
    client.logout()
    assert statuses(client, session) == {200}
    assert statuses(client, LiveSession(pk="0" * 16)) == {404}


def test_a_link_can_be_made_before_anybody_speaks(mei: User, jonas: User, client: Client) -> None:
    assert client.post("/live/new/link")["Location"].startswith("/accounts/login")
    client.force_login(jonas)
    his = client.post("/live/new/link").json()["session"]
    client.force_login(mei)
    assert client.get("/live/new/link").status_code == 405
    assert client.get("/live").context["prepared"] is None
    link = client.post("/live/new/link").json()
    assert link == {"session": link["session"], "public": False}
    assert link["session"] != his
    assert client.post(f"/live/{link['session']}/public", {"public": "on"}).status_code == 204
    assert client.post("/live/new/link").json() == link | {"public": True}
    page = client.get("/live")
    assert list(page.context["running"]) == []  # it does not go on
    assert page.context["prepared"].pk == link["session"]
    client.logout()
    assert client.get(f"/live/{link['session']}").status_code == 200
    assert client.get(f"/live/{his}").status_code == 404


def test_viewers_keep_the_text_when_a_session_has_ended(mei: User, jonas: User, client: Client) -> None:
    session = ended(mei, "Stand-up & more")
    Segment.objects.update(correction="<b>Corrected</b> words.", version=1)
    pages = {form: f"/live/{session.pk}/text.{form}" for form in ("txt", "srt", "vtt", "docx")}
    for person in (None, jonas):  # not public
        if person:
            client.force_login(person)
        assert {client.get(page).status_code for page in (f"/live/{session.pk}", *pages.values())} == {404}
    client.logout()
    LiveSession.objects.update(public=True)
    text = client.get(f"/live/{session.pk}").content.decode()
    assert "&lt;b&gt;Corrected&lt;/b&gt; words." in text
    assert f"/recordings/{session.recording_id}" not in text
    read = {form: client.get(page) for form, page in pages.items()}
    assert read["txt"].content.decode() == "<b>Corrected</b> words.\n"
    assert read["srt"].content.decode().startswith("1\n00:00:00,000 --> ")
    assert read["vtt"].content.decode().startswith("WEBVTT")
    assert read["docx"].content.startswith(b"PK")
    assert read["txt"]["Content-Disposition"] == 'attachment; filename="Stand-up & more.txt"'
    assert client.get(f"/live/{session.pk}/text.json").status_code == 404  # Whisper's own words under a correction
    client.force_login(mei)
    assert f"/recordings/{session.recording_id}" in client.get(f"/live/{session.pk}").content.decode()
    assert session.recording
    session.recording.delete()
    assert client.get(f"/live/{session.pk}").status_code == 404


def test_a_session_without_sound_has_no_text(mei: User, client: Client) -> None:
    session = make_session(mei, public=True, ended_at=timezone.now())
    assert client.get(f"/live/{session.pk}/text.txt").status_code == 404
    assert 'class="viewer"' in client.get(f"/live/{session.pk}").content.decode()


async def test_the_owner_closes_an_ended_session_to_others(page: Page, mei: User) -> None:
    session = await sync_to_async(ended)(mei, "Over")
    await LiveSession.objects.aupdate(public=True)
    await page.goto("/live")
    await page.get_by_role("button", name="Close it to others").click()
    await expect(page.get_by_text("Anyone with the link can read it.")).to_be_hidden()
    await expect(page.get_by_role("link", name="Over")).to_be_visible()
    await session.arefresh_from_db()
    assert not session.public


def test_only_the_owner_opens_a_session_to_others(mei: User, jonas: User, client: Client) -> None:
    session = make_session(mei)
    place = f"/live/{session.pk}/public"
    assert client.post(place, {"public": "on"})["Location"].startswith("/accounts/login")
    client.force_login(jonas)
    assert client.post(place, {"public": "on"}).status_code == 404
    session.refresh_from_db()
    assert not session.public
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(mei)
    assert strict.post(place, {"public": "on"}).status_code == 403
    assert client.get(place).status_code == 405


async def test_the_rights_of_viewers_are_checked_again_when_a_session_is_closed(mei: User, client: Client) -> None:
    session = await sync_to_async(make_session)(mei, public=True)
    layer = get_channel_layer()
    await layer.group_add(group(session.pk), "viewer")
    await sync_to_async(client.force_login)(mei)
    await sync_to_async(client.post)(f"/live/{session.pk}/public", {"public": "off"})
    assert await layer.receive("viewer") == {"type": "live.look"}
    await layer.group_discard(group(session.pk), "viewer")


def test_the_list_has_ones_own_sessions_those_that_go_on_first(mei: User, jonas: User, client: Client) -> None:
    make_session(jonas, title="Jonas's own")
    going_on, past = make_session(mei, title="Going on"), ended(mei, "Over")
    make_session(mei, title="Nothing said", ended_at=timezone.now() - timedelta(days=1))
    client.force_login(mei)
    page = client.get("/live")
    assert list(page.context["running"]) == [going_on]
    assert list(page.context["past"]) == [past]
    text = page.content.decode()
    assert f'href="/live/{going_on.pk}"' in text
    assert f'href="/recordings/{past.recording_id}"' in text
    assert "Jonas" not in text
    assert page["Cache-Control"].startswith("max-age=0, no-cache")


def test_the_list_asks_the_database_the_same_however_long_it_is(
    mei: User, client: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr("recordings.live.views.SHOWN", 6)
    for number in range(8):
        ended(mei, f"Talk {number}")
    client.force_login(mei)
    with django_assert_max_num_queries(5):
        past = client.get("/live").context["past"]
    assert [session.recording.title for session in past] == [f"Talk {number}" for number in range(7, 1, -1)]


async def test_the_qr_code_is_the_link(page: Page, mei: User, server: Server) -> None:
    """Compare the picture in the browser, module by module, with a code that is made for the link."""
    session = await sync_to_async(make_session)(mei)
    link = f"{server.url}/live/{session.pk}"
    await page.goto(f"/live/{session.pk}")
    drawn = await page.evaluate(
        """async (place) => {
            const image = new Image();
            image.src = place;
            await image.decode();
            const [width, height] = [image.naturalWidth, image.naturalHeight];
            const canvas = new OffscreenCanvas(width, height).getContext("2d");
            canvas.drawImage(image, 0, 0);
            const { data } = canvas.getImageData(0, 0, width, height);
            const rows = [];
            for (let y = 3; y < height; y += 6) {
                rows.push([]);
                for (let x = 3; x < width; x += 6) rows.at(-1).push(data[4 * (y * width + x)] < 128 ? 1 : 0);
            }
            return rows;
        }""",
        f"{link}/qr",
    )
    assert drawn == [list(row) for row in segno.make(link, micro=False).matrix_iter()]


# Boxes in which a person would have to scroll sideways.
SIDEWAYS = """[...document.querySelectorAll("main, main *, footer, footer *")]
    .filter((box) => box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX))
    .map((box) => box.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_pages_hold_together(page: Page, mei: User, server: Server, language: str, theme: str) -> None:
    session = await sync_to_async(make_session)(mei, title="Averylongwordwithoutanyspaceinit" * 6)
    past = await sync_to_async(ended)(mei, "产品周会" * 20)
    await LiveSession.objects.filter(pk=past.pk).aupdate(public=True)
    cookies = {"django_language": language, "theme": theme}
    await page.context.add_cookies([{"name": n, "value": v, "url": server.url} for n, v in cookies.items()])
    for path in ("/record", "/live", f"/live/{session.pk}", f"/live/{session.pk}/overlay", f"/live/{past.pk}"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.lang") == language
        for width in (195, 320, 390, 768, 1280):  # 195: a phone at twice its size
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)
            assert await page.evaluate(SIDEWAYS) == [], (path, width)
        await assert_accessible(page)
    await page.goto("/record")
    words = "开始录音" if language == "zh-hans" else "Start recording"
    await expect(page.get_by_role("button", name=words)).to_be_visible()
    await page.goto("/live")
    words = "开始字幕" if language == "zh-hans" else "Start captions"
    await expect(page.get_by_role("button", name=words)).to_be_visible()


RESAMPLED = """async ([module, from, frequencies]) => {
    const { Resampler } = await import(module);
    const through = (input) => {
        const resampler = new Resampler(from, 16000), made = [];
        for (let at = 0; at < input.length; at += 128) made.push(...resampler.push(input.subarray(at, at + 128)));
        return made;
    };
    return frequencies.map((frequency) => {
        const tone = (i, rate) => Math.sin(2 * Math.PI * frequency * i / rate);
        const made = through(Float32Array.from({ length: from / 4 }, (_, i) => tone(i, from)));
        const steady = made.slice(500, 3500);
        const wrong = steady.map((y, i) => y - tone(i + 500, 16000));
        const power = (signal) => Math.sqrt(signal.reduce((sum, y) => sum + y * y, 0) / signal.length * 2);
        return { length: made.length, level: power(steady), error: power(wrong) };
    });
}"""


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 96000])
async def test_sound_of_any_device_becomes_16_khz(page: Page, rate: int) -> None:
    """Tones that 16 kHz can hold keep their level and their time. Higher tones are gone."""
    await page.goto("/live")
    module = staticfiles_storage.url("js/live/resampler.js")
    passed = [f for f in (80, 1000, 3500, 7000) if f <= 0.44 * rate]
    for frequency, tone in zip(passed, await page.evaluate(RESAMPLED, [module, rate, passed]), strict=True):
        assert tone["error"] < 0.002, (frequency, tone)
        assert 4000 - 100 <= tone["length"] <= 4000
    stopped = [f for f in (8100, 12000, 15900, 23000, 47000) if f < rate / 2]
    for frequency, tone in zip(stopped, await page.evaluate(RESAMPLED, [module, rate, stopped]), strict=True):
        assert tone["level"] < 0.001, (frequency, tone)  # 60 dB
