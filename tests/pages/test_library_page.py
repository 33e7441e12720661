"""The library: its rows follow every change without a reload, and files that people choose become rows."""

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.files.storage import default_storage
from django.test import Client
from playwright.async_api import FilePayload, Page, Route, expect
from pytest_django import DjangoAssertNumQueries

from recordings.events import recording_changed, recording_gone
from recordings.models import Recording, Transcription, Upload
from tests.support.audio_files import tone
from tests.support.page_server import Server
from tests.support.rows import Status, add_segment, make_recording, make_transcription
from tests.support.waiting import until_it_is

FILE: FilePayload = {"name": "会议 & <b>notes.wav", "mimeType": "audio/wav", "buffer": tone(1)}


@sync_to_async
def waiting(owner: User, title: str) -> tuple[Recording, Transcription]:
    recording = make_recording(owner, title)
    return recording, make_transcription(recording, Status.QUEUED)


@sync_to_async
def finish(transcription: Transcription, text: str) -> None:
    add_segment(transcription, 0, text)
    Transcription.objects.filter(pk=transcription.pk).update(status=Status.DONE)


async def open_library(page: Page) -> None:
    """Open the library, and wait until its socket is open: the rail is then loaded again. Later changes are told."""
    async with page.expect_response(lambda answer: urlsplit(answer.url).path == "/rail"):
        await page.goto("/")


async def hold_rail(page: Page) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold the rail's next answer back. The first event is set when the server has answered; set the second to let the
    answer go on."""
    answered, go_on = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        answered.set()
        await go_on.wait()
        await route.fulfill(response=answer)

    await page.route(lambda url: urlsplit(url).path == "/rail", hold, times=1)
    return answered, go_on


async def test_a_chosen_file_becomes_a_row_that_waits_in_line(page: Page) -> None:
    await page.goto("/")
    await expect(page.get_by_text("No recordings yet.")).to_be_visible()
    await page.set_input_files("#files", [FILE])
    row = page.locator("#rows .row")
    await expect(row).to_have_count(1)
    await expect(row.locator("h2")).to_have_text("会议 & <b>notes")
    await expect(row.locator(".status")).to_have_text("Next in line")
    await expect(page.locator("#rail")).to_contain_text("1 waiting · yours: next in line")
    await expect(page.locator("#uploads li")).to_have_count(0)
    await expect(page.get_by_text("No recordings yet.")).to_be_hidden()


async def test_the_same_file_again_is_asked_about(page: Page, mei: User) -> None:
    await page.goto("/")
    await page.set_input_files("#files", [FILE])
    await expect(page.locator("#rows .row")).to_have_count(1)
    for answer in ("Upload again", "Open it"):
        await page.set_input_files("#files", [FILE])
        row = page.locator("#uploads .row")
        await expect(row).to_contain_text("You already uploaded this on ")
        await row.get_by_text(answer).click()
        await expect(row).to_have_count(0)
        if answer == "Upload again":
            await expect(page.locator("#rows .row")).to_have_count(2)
    newest = await Recording.objects.alatest("pk")
    await page.wait_for_url(f"/recordings/{newest.pk}")
    assert await Recording.objects.acount() == 2
    assert not await Upload.objects.filter(recording=None).aexists()


async def test_files_dropped_anywhere_on_the_page_are_uploaded(page: Page) -> None:
    await page.goto("/")
    dropped = await page.evaluate_handle(
        """(sound) => {
            const files = new DataTransfer();
            for (const [number, name] of ["one.wav", "two.wav", "three.wav"].entries())
                files.items.add(new File([Uint8Array.from([...sound, 0, number])], name, { type: "audio/wav" }));
            return files;
        }""",
        list(tone(0.5)),
    )
    await page.dispatch_event("h1", "dragover", {"dataTransfer": dropped})
    await expect(page.get_by_text("Let go to upload")).to_be_visible()
    await page.dispatch_event("h1", "drop", {"dataTransfer": dropped})
    await expect(page.locator("#rows .row")).to_have_count(3)
    ids = await page.locator("#rows .row").evaluate_all("rows => rows.map(row => Number(row.id.split('-')[1]))")
    assert ids == sorted(ids, reverse=True)  # newest first, in whatever order they arrived
    await expect(page.get_by_text("Let go to upload")).to_be_hidden()


async def test_what_cannot_be_accepted_is_refused_before_a_byte_is_sent(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    await page.goto("/")
    await page.evaluate("document.getElementById('drop').dataset.maxBytes = 100")
    refused: list[FilePayload] = [
        {"name": "large.wav", "mimeType": "audio/wav", "buffer": b"x" * 101},
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"notes"},
        {"name": "empty.wav", "mimeType": "audio/wav", "buffer": b""},
    ]
    await page.set_input_files("#files", refused)
    notes = page.locator("#uploads .note")
    await expect(notes).to_have_text(
        [
            "Larger than 2.0\N{NO-BREAK SPACE}GB, the most this server accepts.",
            "This isn’t audio or video we can read.",
            "The file is empty.",
        ]
    )
    assert sent == []
    await page.get_by_role("button", name="Remove").first.click()
    await expect(notes).to_have_count(2)


async def test_a_file_the_server_refuses_says_why_in_its_row(page: Page, faults: list[str]) -> None:
    await page.goto("/")
    words: FilePayload = {**FILE, "buffer": b"These are words, not sound."}
    await page.set_input_files("#files", [words])
    await expect(page.locator("#uploads .note")).to_have_text("This isn’t audio or video we can read.")
    await expect(page.locator("#rows .row")).to_have_count(0)
    assert len(faults) == 1  # Chromium notes every answer of 4xx
    faults.clear()


async def test_a_row_follows_its_transcription_without_a_reload(page: Page, mei: User, server: Server) -> None:
    recording, transcription = await waiting(mei, "Standup")
    await open_library(page)
    await expect(page.locator(".status")).to_have_text("Next in line")
    await page.evaluate("window.same = true")
    await Transcription.objects.filter(pk=transcription.pk).aupdate(status=Status.TRANSCRIBING, seconds_done=37.2)
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await expect(page.locator(".status")).to_have_text("Transcribing 62%")
    await expect(page.locator("#rows progress")).to_have_attribute("value", "62")
    await finish(transcription, "So the root cause was nesting.")
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await expect(page.locator(".what p")).to_have_text("So the root cause was nesting.")
    assert await page.evaluate("window.same")


async def test_those_behind_move_up_when_one_finishes(page: Page, mei: User, server: Server) -> None:
    first, transcription = await waiting(mei, "First")
    await waiting(mei, "Second")
    await open_library(page)
    await expect(page.locator(".status")).to_have_text(["Number 2 in line", "Next in line"])
    await finish(transcription, "Done.")
    await server.do(sync_to_async(recording_changed)(first.pk, mei.pk))
    await expect(page.locator(".status")).to_have_text(["Next in line"])  # nothing is said of what went well


WATCH = """() => {
    window.seen = [];
    const look = () => {
        const shown = document.querySelectorAll("#rows .row:not([hidden]) .status");
        const rows = Array.from(shown, (one) => one.textContent.trim());
        const places = rows.filter((words) => /in line|^Waiting/.test(words)).map((words) => words.split(" · ")[0]);
        const [, waiting] = document.getElementById("rail").textContent.match(/(\\d+) waiting/) ?? [0, 0];
        window.seen.push([Number(waiting), places, rows.filter((words) => words.startsWith("Transcribing")).length,
            Number(document.getElementById("rail").textContent.match(/(\\d+) of/)[1])]);
    };
    new MutationObserver(look).observe(document.getElementById("main"), { subtree: true, childList: true });
}"""


async def test_rail_and_rows_never_contradict_each_other(page: Page, mei: User, server: Server) -> None:
    """Whenever the page changes, all its numbers are those of one moment, in whatever order notices come."""
    made = [await waiting(mei, f"Number {number}") for number in range(4)]
    await open_library(page)
    await page.evaluate(WATCH)
    for recording, run in made:
        await Transcription.objects.filter(pk=run.pk).aupdate(status=Status.TRANSCRIBING)
        await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
        another, _ = await waiting(mei, "Another")
        await server.do(sync_to_async(recording_changed)(another.pk, mei.pk))
        await expect(page.locator(f"#recording-{recording.pk} .status")).to_contain_text("Transcribing")
        await finish(run, "Done.")
        await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
        await page.locator(f"#recording-{recording.pk} [data-status=done]").wait_for(state="attached")
    await page.get_by_label("Actions for Number 0").click()
    await page.locator(".row", has_text="Number 0").get_by_role("button", name="Transcribe again").click()
    await expect(page.locator("#rail")).to_contain_text("5 waiting")
    seen = await page.evaluate("window.seen")
    assert len(seen) >= 9  # two for each of the four, and one for the last
    for number, places, transcribing, busy in seen:
        assert (len(places), len(set(places))) == (number, number), seen
        assert transcribing <= busy, seen


async def test_a_change_told_while_the_rail_is_asked_is_asked_for_afterwards(
    page: Page, mei: User, server: Server
) -> None:
    _, transcription = await waiting(mei, "First")
    second = await sync_to_async(make_recording)(mei, "Second")
    await page.clock.install()
    await open_library(page)
    await page.clock.pause_at(await page.evaluate("Date.now()"))  # so that the rail does not poll
    answered, go_on = await hold_rail(page)
    await Transcription.objects.filter(pk=transcription.pk).aupdate(status=Status.TRANSCRIBING)
    await server.do(sync_to_async(recording_changed)(transcription.recording_id, mei.pk))
    while not answered.is_set():
        await page.clock.run_for(100)
    await Recording.objects.filter(pk=second.pk).aupdate(title="Renamed elsewhere")
    await server.do(sync_to_async(recording_changed)(second.pk, mei.pk))
    await expect(page.locator(f"#recording-{second.pk} [name=row]")).to_have_count(1)  # the message has come
    await page.clock.run_for(2_000)
    go_on.set()
    await expect(page.locator(".status").last).to_contain_text("Transcribing")
    await page.clock.run_for(5_000)
    await expect(page.locator("#rows h2").first).to_have_text("Renamed elsewhere")


async def test_the_tab_counts_ones_own_unfinished_recordings(
    page: Page, mei: User, jonas: User, server: Server
) -> None:
    recording, first = await waiting(mei, "First")
    await waiting(mei, "Second")
    await waiting(jonas, "Somebody else's")
    await Transcription.objects.filter(pk=first.pk).aupdate(status=Status.TRANSCRIBING)
    await open_library(page)
    await expect(page).to_have_title("(2) Library · Stile 听序")
    await finish(first, "Done.")
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await expect(page).to_have_title("(1) Library · Stile 听序")
    await page.get_by_label("Actions for Second").click()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page).to_have_title("Library · Stile 听序")


async def test_a_recording_made_elsewhere_comes_up_by_itself(page: Page, mei: User, server: Server) -> None:
    await open_library(page)
    recording, _ = await waiting(mei, "From a script")
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await expect(page.locator("#rows h2")).to_have_text(["From a script"])


async def test_without_a_socket_the_page_says_so_and_polls(page: Page, mei: User, server: Server) -> None:
    await page.clock.install()
    await page.route_web_socket("/ws/recordings", lambda socket: socket.close())
    _, transcription = await waiting(mei, "Standup")
    await page.goto("/")
    await expect(page.get_by_text("Reconnecting…")).to_be_visible()
    await finish(transcription, "Done.")
    await page.clock.fast_forward(21_000)
    await page.locator("#rows [data-status=done]").wait_for(state="attached")


async def test_a_session_that_ended_leads_to_the_sign_in(page: Page, mei: User, server: Server) -> None:
    recording, _ = await waiting(mei, "Standup")
    await open_library(page)
    await Session.objects.all().adelete()
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_an_open_menu_is_not_taken_from_under_the_pointer(page: Page, mei: User, server: Server) -> None:
    recording, transcription = await waiting(mei, "Standup")
    await open_library(page)
    row = page.locator("#rows .row")
    await row.get_by_label("Actions for Standup").click()
    await finish(transcription, "Done.")
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await expect(page.locator("#rail")).not_to_contain_text("waiting")  # the message has come
    await expect(row.get_by_role("button", name="Cancel")).to_be_visible()
    await page.keyboard.press("Escape")
    await row.locator("[data-status=done]").wait_for(state="attached")


async def test_a_recording_is_renamed_in_its_row(page: Page, mei: User) -> None:
    for title in ("Standup", "Library"):
        await sync_to_async(make_recording)(mei, title)
    await open_library(page)
    await page.get_by_label("Actions for Library").click()
    await page.get_by_role("button", name="Rename…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Title", exact=True)).to_have_value("Library")
    await dialog.get_by_label("Title", exact=True).fill("周会")
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#rows h2")).to_have_text(["周会", "Standup"])
    await expect(page.get_by_label("Actions for 周会")).to_be_visible()
    await expect(page).to_have_title("Library · Stile 听序")


async def test_a_waiting_recording_can_be_canceled_and_retried(page: Page, mei: User) -> None:
    await waiting(mei, "Standup")
    await page.goto("/")
    row = page.locator("#rows .row")
    await row.get_by_label("Actions for Standup").click()
    await row.get_by_role("button", name="Cancel").click()
    await expect(row.locator(".status")).to_have_text("Canceled")
    await row.get_by_label("Actions for Standup").click()
    await row.get_by_role("button", name="Transcribe").click()
    await expect(row.locator(".status")).to_have_text("Next in line")


async def delete(page: Page, title: str) -> None:
    await page.get_by_label(f"Actions for {title}").click()
    await page.locator(".row", has_text=title).get_by_role("button", name="Delete").click()


async def test_a_deleted_recording_can_be_had_back_for_ten_seconds(page: Page, mei: User, server: Server) -> None:
    await page.clock.install()
    recording, transcription = await waiting(mei, "Standup")
    await page.goto("/")
    row = page.locator("#rows .row")
    await delete(page, "Standup")
    await expect(row).to_be_hidden()
    await expect(page.get_by_text("No recordings yet.")).to_be_visible()
    await Transcription.objects.filter(pk=transcription.pk).aupdate(status=Status.TRANSCRIBING)
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))  # brings a newer row
    await page.clock.run_for(5_000)
    await expect(row).to_be_hidden()
    await expect(page.locator("#toast")).to_have_text("Deleted “Standup”.Undo")
    await expect(page.get_by_role("button", name="Undo")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(row.locator(".status")).to_contain_text("Transcribing")
    await expect(page.locator("#toast")).to_be_hidden()
    assert await Recording.objects.acount() == 1

    await delete(page, "Standup")
    await page.clock.run_for(10_000)
    await expect(row).to_have_count(0)
    await expect(page.locator("#toast")).to_be_hidden()
    assert not await Recording.objects.filter(pk=recording.pk).aexists()
    assert not await sync_to_async(default_storage.exists)(str(recording.original.name))


async def test_a_second_deletion_or_leaving_the_page_makes_a_deletion_final(page: Page, mei: User) -> None:
    for title in ("One", "Two"):
        await waiting(mei, title)
    await page.goto("/")
    await delete(page, "One")
    await delete(page, "Two")
    await until_it_is(Recording.objects.acount, 1)
    assert (await Recording.objects.aget()).title == "Two"
    await page.get_by_role("link", name="API docs").click()
    await until_it_is(Recording.objects.acount, 0)


async def test_what_cannot_be_deleted_comes_back(page: Page, mei: User, faults: list[str]) -> None:
    await waiting(mei, "Standup")
    await page.goto("/")
    await page.route("**/delete", lambda route: route.abort())
    await delete(page, "Standup")
    await page.evaluate("dispatchEvent(new Event('pagehide'))")  # deletes now, not after ten seconds
    await expect(page.locator("#rows .row")).to_be_visible()
    faults.clear()


async def test_a_late_answer_does_not_bring_a_deleted_recording_back(page: Page, mei: User, server: Server) -> None:
    """The rail's answer names a row of the page, and brings a new one. Both recordings are deleted before it comes."""
    old, _ = await waiting(mei, "Old")
    await open_library(page)
    answered, go_on = await hold_rail(page)
    new, _ = await waiting(mei, "New")
    await server.do(sync_to_async(recording_changed)(new.pk, mei.pk))
    await answered.wait()
    for pk in (new.pk, old.pk):
        await Recording.objects.filter(pk=pk).adelete()
        await server.do(sync_to_async(recording_gone)(pk, mei.pk))
    await expect(page.get_by_text("No recordings yet.")).to_be_visible()
    go_on.set()
    await expect(page.locator("#rail")).not_to_contain_text("1 waiting")
    await expect(page.locator("#rows li")).to_have_count(0)


def test_a_long_library_is_paged_and_asks_as_few_queries(
    mei: User, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client.force_login(mei)
    for number in range(51):
        recording = make_recording(mei, f"Recording {number}", seconds=0.1)
        make_transcription(recording, Status.DONE, "Text.")
        make_transcription(recording, Status.QUEUED)
    with django_assert_max_num_queries(11):  # two begin and end the transaction
        newest = client.get("/")
    assert [row.recording.title for row in newest.context["rows"]][::49] == ["Recording 50", "Recording 1"]
    rows = [row.recording.pk for row in newest.context["rows"]]
    with django_assert_max_num_queries(11):  # two begin and end the transaction
        assert len(client.get("/rail", {"row": rows}).context["moved"]) == 50
    older = client.get(f"/?before={newest.context['older']}")
    assert [row.recording.title for row in older.context["rows"]] == ["Recording 0"]
    assert older.context["older"] is None
    assert [">Newest</a>" in page.content.decode() for page in (newest, older)] == [False, True]


def test_titles_and_texts_are_searched(mei: User, client: Client) -> None:
    client.force_login(mei)
    make_transcription(make_recording(mei, "Standup"), Status.DONE, "第二个请求是不是在排队。")
    make_recording(mei, "Workshop")
    found = client.get("/", {"q": "排队"})
    assert [row.recording.title for row in found.context["rows"]] == ["Standup"]
    assert "Nothing matches “lunch”." in client.get("/", {"q": "lunch"}).content.decode()


def test_a_row_tells_the_day(mei: User, client: Client) -> None:
    client.force_login(mei)
    recording = make_recording(mei, "Standup")
    assert ">Today</time>" in client.get("/").content.decode()
    Recording.objects.filter(pk=recording.pk).update(created_at=datetime(2026, 3, 5, 12, 30, tzinfo=UTC))
    assert 'title="March 5, 2026, 12:30 p.m.">March 5, 2026</time>' in client.get("/").content.decode()
    client.cookies["django_language"] = "zh-hans"
    assert ">2026年3月5日</time>" in client.get("/").content.decode()


def test_a_row_shows_what_was_heard_so_far(mei: User, client: Client) -> None:
    client.force_login(mei)
    run = make_transcription(make_recording(mei, "Standup"), Status.TRANSCRIBING)
    assert "Listening…" in client.get("/").content.decode()
    add_segment(run, 0, "Good morning.")
    page = client.get("/").content.decode()
    assert "Good morning." in page
    assert "Listening…" not in page
