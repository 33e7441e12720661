"""The recordings API: the shapes of its answers, the rights that each route needs, and the one form of its errors."""

import io
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.db.backends.utils import CursorWrapper
from django.urls import get_resolver
from docx import Document

from recordings.models import Recording, Segment, Transcription
from tests.support.answers import code
from tests.support.rows import recording, transcribed
from tests.support.site import Site

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SHAPE = {
    "id",
    "title",
    "status",
    "source",
    "duration",
    "bytes",
    "damaged",
    "tracks",
    "media_type",
    "language",
    "created_at",
    "transcription",
    "text",
}
RUN_SHAPE = {"id", "status", "position", "eta_seconds", "segments_done", "segments_total", "error"}


def ids(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def test_a_recording_has_the_agreed_shape_through_its_life(site: Site) -> None:
    program = site.program()
    made = recording()
    path = f"/api/recordings/{made.pk}"
    new = program.get(path).json()
    assert new.keys() == SHAPE
    assert (new["status"], new["transcription"], new["text"]) == ("new", None, None)

    asked = program.post(f"{path}/transcribe", json={"language": "ZH", "model": "base", "prompt": "听序"})
    assert (asked.status_code, asked.headers["Location"]) == (202, path)
    queued = asked.json()["transcription"]
    assert queued.keys() == RUN_SHAPE
    assert (queued["status"], queued["position"], queued["error"]) == ("queued", 1, None)
    run = Transcription.objects.get()
    assert (run.language, run.model, run.prompt) == ("zh", "base", "听序")
    again = program.post(f"{path}/transcribe")
    assert (again.status_code, again.json()["transcription"]["id"]) == (202, queued["id"])

    canceled = program.post(f"{path}/cancel")
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    assert program.post(f"{path}/cancel").json()["status"] == "canceled"

    transcribed(made, "Hello there.", "你好。")
    done = program.get(path).json()
    assert (done["status"], done["text"]) == ("done", "Hello there. 你好。")

    Transcription.objects.create(recording=made, status="failed", error_code="out_of_memory", error_message="secret")
    failed = program.get(path).json()
    assert (failed["status"], failed["transcription"]["error"]["code"]) == ("failed", "out_of_memory")
    assert "secret" not in failed["transcription"]["error"]["message"]
    assert failed["text"] == "Hello there. 你好。"  # the newest finished text is still shown

    assert program.delete(path).status_code == 204
    assert code(program.get(path)) == (404, "not_found")
    assert not Recording.objects.exists()


def test_title_and_language_can_be_changed_and_nothing_else(site: Site) -> None:
    program = site.program()
    path = f"/api/recordings/{recording().pk}"
    changed = program.patch(path, json={"title": " New\ntitle ", "language": "auto"}).json()
    assert (changed["title"], changed["language"]) == ("New title", None)
    assert program.patch(path, json={"language": "yue"}).json()["title"] == "New title"
    assert program.patch(path, json={"status": "done", "owner": 1}).json()["status"] == "new"
    wrong: list[Any] = [{"title": ""}, {"title": "x" * 256}, {"language": "klingon"}, {"title": 1}, [], "x"]
    for body in wrong:
        assert code(program.patch(path, json=body)) == (422, "invalid_request")
    assert code(program.patch(path, content=b"{")) == (400, "bad_request")
    assert code(program.patch(path, content=b'{"title": "\\ud800"}')) == (422, "invalid_request")


def test_a_list_is_newest_first_and_goes_on_where_it_stopped(site: Site) -> None:
    program = site.program()
    made = [recording(title=f"n{number}").pk for number in range(5)][::-1]
    recording("ann")
    first = program.get("/api/recordings", params={"limit": 2})
    assert ids(first) == made[:2]
    recording(title="made meanwhile")
    second = program.get("/api/recordings", params={"limit": 2, "cursor": first.json()["next_cursor"]})
    assert ids(second) == made[2:4]
    last = program.get("/api/recordings", params={"limit": 2, "cursor": second.json()["next_cursor"]})
    assert (ids(last), last.json()["next_cursor"]) == (made[4:], None)
    for wrong in (
        {"limit": 0},
        {"limit": 101},
        {"cursor": "x"},
        {"cursor": "9" * 30},
        {"status": "x"},
        {"q": "x" * 201},
    ):
        assert code(program.get("/api/recordings", params=wrong)) == (422, "invalid_request")


def test_search_looks_at_titles_and_the_text_that_is_shown(site: Site) -> None:
    program = site.program()
    titled = recording(title="季度会议 100%").pk
    said = recording()
    transcribed(said, "old words")
    transcribed(said, "先说预算", "then the sheep")
    corrected = recording()
    Segment.objects.filter(transcription=transcribed(corrected, "ship")).update(correction="sheep")
    transcribed(recording("ann"), "sheep")

    def search(words: str) -> list[int]:
        return ids(program.get("/api/recordings", params={"q": words}))

    assert search("会议") == search("100%") == [titled]
    assert search("预算") == [said.pk]
    assert search("SHEEP") == [corrected.pk, said.pk]
    assert search("ship") == search("old words") == search("100_") == search("nothing\x00") == []


def test_a_list_is_filtered_by_the_status_of_the_newest_transcription(site: Site) -> None:
    program = site.program()
    new, failed, queued = recording(), recording(), recording()
    transcribed(failed, status="done")
    transcribed(failed, status="failed")
    transcribed(queued, status="failed")
    transcribed(queued, status="queued")

    def having(status: str) -> list[int]:
        return ids(program.get("/api/recordings", params={"status": status}))

    assert [having(status) for status in ("new", "failed", "queued", "done")] == [
        [new.pk],
        [failed.pk],
        [queued.pk],
        [],
    ]


def test_a_list_shows_the_beginning_of_a_text_only(site: Site) -> None:
    transcribed(recording(), *["word " * 100] * 5)
    item = site.program().get("/api/recordings").json()["items"][0]
    assert len(item["text"]) <= 300
    assert item["text"].startswith("word word")
    assert item["text"].endswith("…")


def test_a_list_gives_no_text_that_is_not_finished(site: Site) -> None:
    transcribed(recording(), "Good morning.", status="transcribing")
    assert site.program().get("/api/recordings").json()["items"][0]["text"] is None


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every SQL statement of the process."""
    seen: list[str] = []
    execute = CursorWrapper.execute

    def counted(self: Any, sql: Any, params: Any = None) -> Any:
        seen.append(str(sql))
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", counted)
    return seen


def test_a_long_list_takes_no_more_queries_than_a_short_one(site: Site, statements: list[str]) -> None:
    program = site.program()

    def count() -> int:
        statements.clear()
        assert program.get("/api/recordings", params={"limit": 100}).status_code == 200
        return len(statements)

    transcribed(recording(), "one")
    program.get("/api/recordings")  # the first call of a token also writes when it was used
    few = count()
    for _ in range(30):
        transcribed(recording(), "two", "three")
    assert count() == few <= 8


def everything(made: Recording) -> list[tuple[str, str]]:
    path = f"/api/recordings/{made.pk}"
    return [
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/transcribe"),
        ("POST", f"{path}/cancel"),
        ("GET", f"{path}/transcript"),
        ("GET", f"{path}/audio"),
        ("HEAD", f"{path}/audio"),
        ("PATCH", f"{path}/segments/0"),
    ]


BODY = {"PATCH": {"title": "x", "text": "x"}}


def test_someone_elses_recording_is_not_there_at_any_door(site: Site) -> None:
    theirs = recording("ann")
    transcribed(theirs, "secret")
    gone = Recording(pk=10**30)
    program = site.program("mei")
    for method, path in everything(theirs) + everything(gone):
        answer = program.request(method, path, json=BODY.get(method))
        assert answer.status_code == 404, (method, path)
    assert ids(program.get("/api/recordings")) == []
    assert Recording.objects.get().title == "Meeting"


def test_nobody_gets_in_without_a_session_or_a_good_token(site: Site) -> None:
    made = recording()
    doors = [*everything(made), ("GET", "/api/recordings"), ("GET", "/api/recordings/stats/asr-concurrency")]
    for headers in (
        {},
        {"Authorization": "Bearer asr_wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic eDp4"},
    ):
        with site.client(headers=headers) as stranger:
            for method, path in doors:
                answer = stranger.request(method, path, json=BODY.get(method))
                assert answer.status_code == 401, (method, path)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_bad_token_is_not_excused_by_a_good_session(site: Site) -> None:
    browser = site.browser()
    assert browser.get("/api/recordings").status_code == 200
    assert browser.get("/api/recordings", headers={"Authorization": "Bearer asr_wrong"}).status_code == 401


def test_a_token_does_what_its_scopes_say(site: Site) -> None:
    allowed = {
        "read": {"GET list", "GET one"},
        "write": {"PATCH one", "POST transcribe", "POST cancel"},
        "transcribe": {"POST transcribe", "POST cancel"},
        "stats": {"GET stats"},
    }
    made = recording()
    path = f"/api/recordings/{made.pk}"
    doors = {
        "GET list": "/api/recordings",
        "GET one": path,
        "PATCH one": path,
        "POST transcribe": f"{path}/transcribe",
        "POST cancel": f"{path}/cancel",
        "GET stats": "/api/recordings/stats/asr-concurrency",
    }
    for scope, may in allowed.items():
        program = site.program(scopes=[scope])
        for name, door in doors.items():
            method = name.split()[0]
            answer = program.request(method, door, json=BODY.get(method))
            if name in may:
                assert answer.is_success, (scope, name)
            else:
                assert code(answer) == (403, "missing_scope"), (scope, name)


def test_a_session_needs_the_csrf_token_for_what_changes_something(site: Site) -> None:
    made = recording()
    browser = site.browser()
    for method, path in everything(made):
        if method not in {"GET", "HEAD"}:
            assert code(browser.request(method, path, json=BODY.get(method))) == (403, "csrf_failed")


def test_stats_have_the_agreed_shape(site: Site) -> None:
    transcribed(recording(), status="queued")
    stats = site.program(scopes=["stats"]).get("/api/recordings/stats/asr-concurrency").json()
    assert stats["jobs"] == {"queued": 1, "transcribing": 0}
    assert {"max_concurrent", "limit", "active_tasks", "queued_tasks", "success_rate", "oom_errors"} <= stats.keys()
    assert stats["wait_seconds"].keys() == {"p50", "p95", "p99"}
    assert stats["lanes"].keys() == {"live", "interactive", "batch"}
    assert {"name", "limit", "active", "queued", "breaker", "oom_errors"} <= stats["servers"][0].keys()


def test_errors_of_the_framework_have_the_same_form(site: Site) -> None:
    program = site.program()
    for path in (
        "/api/nothing",
        "/api/recordings/",
        "/api/recordings/x",
        "/api/recordings/-1",
        "/api/recordings/1/nothing",
    ):
        for method in ("GET", "POST", "DELETE"):
            assert code(program.request(method, path)) == (404, "not_found"), path
    wrong_method = program.put("/api/recordings")
    assert code(wrong_method) == (405, "method_not_allowed")
    assert wrong_method.headers["Allow"] == "GET, POST"


def test_an_unexpected_error_is_a_500_that_tells_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr("recordings.api.stats.read_stats", broken)
    answer = site.program().get("/api/recordings/stats/asr-concurrency")
    assert code(answer) == (500, "internal_error")
    assert "42" not in answer.text


def test_what_is_wrong_with_a_request_is_said_in_the_callers_language(site: Site) -> None:
    program = site.program()

    def message(language: str, **parameters: Any) -> str:
        answer = program.get("/api/recordings", params=parameters, headers={"Accept-Language": language})
        assert code(answer) == (422, "invalid_request")
        words: str = answer.json()["error"]["message"]
        return words

    assert message("en", limit=101) == "limit: This must be at most 100."
    assert message("zh-CN", limit=101) == "limit: 此项不能大于 100。"
    assert message("en", status="x").startswith("status: This must be one of 'new', 'queued'")


def test_answers_are_kept_by_no_cache(site: Site) -> None:
    assert site.program().get("/api/recordings").headers["Cache-Control"] == "no-store"


def test_a_correction_stands_beside_the_machines_text(site: Site) -> None:
    program = site.program()
    made = recording()
    run = transcribed(made, "Helo there.", "Bye.")
    path = f"/api/recordings/{made.pk}/segments/0"
    segment = program.patch(path, json={"text": "Hello\x07 there."}).json()
    assert (segment["text"], segment["index"], segment["start"], segment["end"]) == ("Hello there.", 0, 0.0, 2.0)
    assert [word["word"].strip() for word in segment["words"]] == ["Hello", "there."]
    stored = Segment.objects.get(transcription=run, index=0)
    assert (stored.text, stored.correction) == ("Helo there.", "Hello there.")
    assert program.get(f"/api/recordings/{made.pk}/transcript").json()["text"] == "Hello there. Bye."
    assert program.patch(path, json={"text": None}).json()["text"] == "Helo there."
    assert program.patch(path, json={"text": ""}).json()["text"] == ""
    assert code(program.patch(path, json={})) == (422, "invalid_request")
    assert code(program.patch(path.removesuffix("0") + "7", json={"text": "x"})) == (404, "not_found")
    assert code(program.patch(path.removesuffix("0") + "9" * 30, json={"text": "x"})) == (404, "not_found")


def test_transcripts_come_in_every_format_and_say_so_before_there_is_one(site: Site) -> None:
    program = site.program()
    made = recording(title='会议/"1"')
    path = f"/api/recordings/{made.pk}/transcript"
    assert code(program.get(path)) == (404, "no_transcript")
    run = transcribed(made, "So far.", status="transcribing", detected_language="en")
    assert program.get(path).json()["text"] == "So far."
    assert code(program.get(path, params={"format": "srt"})) == (409, "not_finished")
    assert code(program.get(path, params={"format": "exe"})) == (422, "invalid_request")
    Transcription.objects.filter(pk=run.pk).update(status="done")
    transcript = program.get(path).json()
    assert transcript.keys() == {"text", "language", "duration", "transcription", "segments"}
    assert transcript["segments"][0].keys() == {"index", "start", "end", "text", "machine_text", "version", "words"}
    for format, media_type in {"txt": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}.items():
        answer = program.get(path, params={"format": format})
        assert answer.headers["Content-Type"] == f"{media_type}; charset=utf-8"
        assert answer.headers["Content-Disposition"].endswith(f"%E4%BC%9A%E8%AE%AE__1_.{format}")
        assert "So far." in answer.text
    answer = program.get(path, params={"format": "docx"})
    assert answer.headers["Content-Type"] == WORD
    assert answer.headers["Content-Disposition"].endswith("%E4%BC%9A%E8%AE%AE__1_.docx")
    assert "So far." in Document(io.BytesIO(answer.content)).paragraphs[-1].text


def routes() -> Iterator[str]:
    """Every route of the two APIs, in Django's spelling."""
    for resolver in get_resolver().url_patterns:
        before = str(resolver.pattern)
        if before.startswith(("api/", "v1/")):
            inside = getattr(resolver, "url_patterns", None)
            yield from [before] if inside is None else (before + str(pattern.pattern) for pattern in inside)


def test_the_specification_names_every_route_with_its_errors_and_its_auth(site: Site) -> None:
    spec = site.client().get("/api/openapi.json").json()
    assert spec["openapi"].startswith("3.1")
    schemes = spec["components"]["securitySchemes"]
    assert {(scheme["type"], scheme.get("scheme", scheme.get("in"))) for scheme in schemes.values()} == {
        ("http", "bearer"),
        ("apiKey", "cookie"),
    }
    paths = {re.sub(r"<(?:\w+:)?(\w+)>|{\w+:(\w+)}", r"{\1\2}", route) for route in routes()}
    own = {"api/", "api/docs", "api/openapi.json", "api/{rest}", "v1/{rest}"}
    assert spec["paths"].keys() == {f"/{path}" for path in paths - own}
    operations = [
        operation for path in spec["paths"].values() for method, operation in path.items() if method != "parameters"
    ]
    for operation in operations:
        ways = {tuple(way) for way in operation["security"]}
        if operation["operationId"] != "upload_abilities":
            assert ways in ({("BearerToken",), ("SessionCookie",)}, {("BearerToken",)})
            assert {"401", "403", "429", "500", "503"} <= operation["responses"].keys()
        assert operation["summary"]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert spec["components"]["schemas"]["RecordingOut"]["example"].keys() == SHAPE


def test_the_docs_page_loads_nothing_from_elsewhere(site: Site) -> None:
    page = site.client().get("/api/docs")
    assert page.status_code == 200
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    assert "'unsafe-inline'" not in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b'{"title":' + b"9" * 10_000 + b"}"])
def test_json_that_is_nested_without_end_or_counts_without_end_is_refused(site: Site, body: bytes) -> None:
    program, made = site.program(), recording()
    answer = program.patch(f"/api/recordings/{made.pk}", content=body, headers={"Content-Type": "application/json"})
    assert code(answer)[0] in (400, 413, 422)
    assert program.get(f"/api/recordings/{made.pk}").json()["title"] == "Meeting"
