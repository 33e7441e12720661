"""Correcting a text and restoring an earlier one: no text that a person wrote is lost, however many write at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from recordings.models import Recording, Segment, Transcription
from recordings.transcripts import exports, transcript
from recordings.transcripts.words import ShownWord, shown_words
from tests.support.answers import code
from tests.support.rows import recording, transcribed
from tests.support.site import Site


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Make all calls at the same moment, each in a thread of its own."""
    start = Barrier(len(calls))

    def call(one: Callable[[], httpx.Response]) -> httpx.Response:
        start.wait()
        return one()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call, calls))


def correct(caller: httpx.Client, made: Recording, text: str | None, **fields: Any) -> httpx.Response:
    return caller.patch(f"/api/recordings/{made.pk}/segments/0", json={"text": text, **fields})


def text_of(caller: httpx.Client, made: Recording, **query: Any) -> str:
    text: str = caller.get(f"/api/recordings/{made.pk}/transcript", params=query).json()["text"]
    return text


@pytest.fixture
def made() -> Recording:
    return recording()


# --- Corrections -------------------------------------------------------------------------------


def test_each_change_raises_the_version_and_keeps_the_machines_text(site: Site, made: Recording) -> None:
    program, run = site.program(), transcribed(made, "Helo.")
    segment = program.get(f"/api/recordings/{made.pk}/transcript").json()["segments"][0]
    assert (segment["version"], segment["machine_text"]) == (0, None)
    first = correct(program, made, "Hello.", version=0, transcription=run.pk).json()
    assert (first["text"], first["version"], first["machine_text"]) == ("Hello.", 1, "Helo.")
    back = correct(program, made, None, version=1, transcription=run.pk).json()
    assert (back["text"], back["version"], back["machine_text"]) == ("Helo.", 2, None)


def test_a_change_of_what_was_changed_meanwhile_is_told_what_stands_there(site: Site, made: Recording) -> None:
    program = site.program()
    transcribed(made, "Helo.")
    assert correct(program, made, "Hello.", version=0).status_code == 200
    late = correct(program, made, "Hullo.", version=0)
    assert late.status_code == 409
    assert late.json()["error"]["code"] == "edit_conflict"
    assert (late.json()["segment"]["text"], late.json()["segment"]["version"]) == ("Hello.", 1)
    assert text_of(program, made) == "Hello."
    assert correct(program, made, "Hullo.", version=1).json()["text"] == "Hullo."


def test_the_same_change_again_is_no_conflict(site: Site, made: Recording) -> None:
    """A client sends a change again, because the first answer was lost on the way."""
    program = site.program()
    transcribed(made, "Helo.")
    answers = [correct(program, made, "Hello.", version=0) for _ in range(2)]
    assert [(answer.status_code, answer.json()["version"]) for answer in answers] == [(200, 1), (200, 1)]


def test_of_many_changes_at_once_one_wins_and_the_others_are_told(site: Site, made: Recording) -> None:
    transcribed(made, "Helo.")
    programs = [site.program() for _ in range(6)]
    calls = [lambda n=n, p=p: correct(p, made, f"Text {n}.", version=0) for n, p in enumerate(programs)]
    answers = at_once(*calls)
    won = [answer.json()["text"] for answer in answers if answer.status_code == 200]
    lost = [answer.json()["segment"]["text"] for answer in answers if answer.status_code == 409]
    assert (len(won), len(lost)) == (1, 5)
    assert set(lost) == set(won)
    stored = Segment.objects.get()
    assert (stored.text, stored.correction, stored.version) == ("Helo.", won[0], 1)


def test_changes_without_a_version_all_count(site: Site, made: Recording) -> None:
    transcribed(made, "Helo.")
    programs = [site.program() for _ in range(4)]
    calls = [lambda n=n, p=p: correct(p, made, f"Text {n}.") for n, p in enumerate(programs)]
    answers = at_once(*calls)
    assert {answer.status_code for answer in answers} == {200}
    assert Segment.objects.get().version == 4


def test_an_edit_lands_in_the_transcription_that_was_read(site: Site, made: Recording) -> None:
    """A new transcription is finished while the person corrects the old one."""
    program, old = site.program(), transcribed(made, "Helo.")
    new = transcribed(made, "Helo again.")
    assert correct(program, made, "Hello.", transcription=old.pk, version=0).status_code == 200
    assert Segment.objects.get(transcription=new).correction is None
    assert text_of(program, made) == "Helo again."
    assert text_of(program, made, transcription=old.pk) == "Hello."


def test_an_edit_of_another_recordings_transcription_finds_nothing(site: Site, made: Recording) -> None:
    transcribed(made, "Mine.")
    elsewhere = transcribed(recording(), "Mine too.")
    theirs = transcribed(recording("ann"), "Ann's.")
    for run in (elsewhere, theirs):
        assert code(correct(site.program(), made, "x", transcription=run.pk)) == (404, "not_found")
    assert code(correct(site.program(), made, "x", transcription=10**30)) == (404, "not_found")
    assert not Segment.objects.exclude(correction=None).exists()


def test_an_edit_of_what_is_being_deleted_is_kept_or_refused(site: Site, made: Recording) -> None:
    transcribed(made, "Helo.")
    writer, remover = site.program(), site.program()
    edited, deleted = at_once(
        lambda: correct(writer, made, "Hello.", version=0), lambda: remover.delete(f"/api/recordings/{made.pk}")
    )
    assert edited.status_code in (200, 404)
    assert deleted.status_code == 204
    assert not Segment.objects.exists()


def test_line_breaks_that_people_make_stay_and_files_have_one_line(site: Site, made: Recording) -> None:
    program = site.program()
    transcribed(made, "Helo.")
    correct(program, made, "  Hello,\r\n\r\nthere.\n")
    assert Segment.objects.get().correction == "Hello,\nthere."
    assert text_of(program, made) == "Hello, there."


# --- Earlier transcriptions --------------------------------------------------------------------


def test_all_transcriptions_are_listed_the_newest_first(site: Site, made: Recording) -> None:
    program = site.program()
    first = transcribed(made, "Helo.", "Bye.", language="en", model="base", detected_language="en")
    correct(program, made, "Hello.")
    second = transcribed(made, "Bonjour.", detected_language="fr")
    third = transcribed(made, status="failed")
    items = program.get(f"/api/recordings/{made.pk}/transcriptions").json()["items"]
    assert [item["id"] for item in items] == [third.pk, second.pk, first.pk]
    assert [item["shown"] for item in items] == [False, True, False]
    assert [item["corrections"] for item in items] == [0, 0, 1]
    oldest = items[2]
    assert (oldest["language"], oldest["detected_language"], oldest["model"]) == ("en", "en", "base")
    assert (items[1]["language"], items[1]["model"], items[1]["status"]) == (None, None, "done")


def test_a_restored_transcription_is_the_text_everywhere(site: Site, made: Recording) -> None:
    program = site.program()
    first = transcribed(made, "Hello.", "会议开始。")
    second = transcribed(made, "Jello.")
    path = f"/api/recordings/{made.pk}"
    assert program.get(path).json()["text"] == "Jello."
    assert text_of(program, made, transcription=first.pk) == "Hello. 会议开始。"

    restored = program.post(f"{path}/transcriptions/{first.pk}/restore")
    assert (restored.status_code, restored.json()["text"]) == (200, "Hello. 会议开始。")
    assert restored.json()["transcription"]["id"] == second.pk  # the newest one: its state is the recording's
    (item,) = program.get("/api/recordings", params={"q": "会议"}).json()["items"]
    assert item["text"] == "Hello. 会议开始。"
    assert program.get("/api/recordings", params={"q": "Jello"}).json()["items"] == []
    for kind in ("txt", "srt", "vtt", "md", "json"):
        file = program.get(f"{path}/transcript", params={"format": kind}).text
        assert "Hello." in file
        assert "Jello" not in file
        other = program.get(f"{path}/transcript", params={"format": kind, "transcription": second.pk}).text
        assert "Jello." in other
    assert correct(program, made, "Hallo.").status_code == 200  # corrects the one that is shown
    assert Segment.objects.get(transcription=second).correction is None


def test_only_what_is_done_can_be_restored(site: Site, made: Recording) -> None:
    program = site.program()
    transcribed(made, "Hello.")
    for status in ("failed", "canceled", "queued"):
        run = transcribed(made, "Hel", status=status)
        answer = program.post(f"/api/recordings/{made.pk}/transcriptions/{run.pk}/restore")
        assert code(answer) == (409, "not_done")
    made.refresh_from_db()
    assert made.shown is None


def test_somebody_elses_transcription_looks_as_none_does(site: Site, made: Recording) -> None:
    program = site.program()
    transcribed(made, "Mine.")
    for run in (transcribed(recording(), "Mine too."), transcribed(recording("ann"), "Ann's.")):
        path = f"/api/recordings/{made.pk}"
        assert code(program.post(f"{path}/transcriptions/{run.pk}/restore")) == (404, "not_found")
        assert code(program.get(f"{path}/transcript", params={"transcription": run.pk})) == (404, "not_found")


def test_a_restored_recording_can_be_deleted(site: Site, made: Recording) -> None:
    first = transcribed(made, "Hello.")
    transcribed(made, "Jello.")
    Recording.objects.filter(pk=made.pk).update(shown=first)
    assert site.program().delete(f"/api/recordings/{made.pk}").status_code == 204
    assert not Transcription.objects.exists()


def test_texts_are_never_aligned_on_the_event_loop(
    site: Site, made: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_loop = []

    def watched(segment: Segment) -> list[ShownWord]:
        on_a_loop.append(asyncio._get_running_loop() is not None)
        return shown_words(segment)

    for module in (exports, transcript):
        monkeypatch.setattr(module, "shown_words", watched)
    program = site.program()
    transcribed(made, "so " * 500)
    assert correct(program, made, "so " * 400 + "and " * 400, version=0).status_code == 200
    assert correct(program, made, "so " * 300, version=0).status_code == 409
    assert program.get(f"/api/recordings/{made.pk}/transcript").status_code == 200
    assert program.get(f"/api/recordings/{made.pk}/transcript", params={"format": "srt"}).status_code == 200
    assert on_a_loop == [False] * 4
