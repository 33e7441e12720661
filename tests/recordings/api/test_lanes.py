"""The lane of a program's work, at every door: token and header may lower it to `batch`, and never raise it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from recordings.models import Recording, Transcription
from tests.support.openai_clients import Door, open_door
from tests.support.rows import recording
from tests.support.site import Site
from tests.support.tus import PIECE, TUS, create, encoded, send
from tests.support.waiting import PATIENCE, wait_for
from tests.support.whisper_stub import WhisperStub
from transcription import service

# The token's lane and the header, and the lane of the work; None: refused with 400 `invalid_lane`.
LANES = {
    ("interactive", None): "interactive",
    ("interactive", "interactive"): "interactive",
    ("interactive", "batch"): "batch",
    ("batch", None): "batch",
    ("batch", "interactive"): "batch",
    ("batch", "batch"): "batch",
    ("interactive", "live"): None,
    ("batch", "live"): None,
    ("batch", ""): None,
}


@pytest.fixture
def door(site: Site) -> Iterator[Door]:
    with open_door(site, WhisperStub()) as opened:
        yield opened


def without_lane(program: httpx.Client) -> httpx.Client:
    return httpx.Client(base_url=program.base_url, headers={"Authorization": program.headers["Authorization"]})


def uploaded(program: httpx.Client, clip: bytes) -> httpx.Response:
    return program.post("/api/recordings", files={"file": ("clip.wav", clip)})


def uploaded_whole(program: httpx.Client, clip: bytes) -> httpx.Response:
    """Make a job by a resumable upload that is one request."""
    headers = PIECE | {"Upload-Length": str(len(clip)), "Upload-Metadata": encoded(filename="clip.wav")}
    return program.post("/api/uploads", content=clip, headers=headers)


def uploaded_in_pieces(program: httpx.Client, clip: bytes) -> httpx.Response:
    """Make a job by a resumable upload that was begun without a lane: only the request that ends it has one."""
    with without_lane(program) as beginner:
        place = create(beginner, len(clip), filename="clip.wav")
    return send(program, place, 0, clip)


def insisted(program: httpx.Client, clip: bytes) -> httpx.Response:
    """Make a job by a resumable upload of bytes that the library has: the last request decides to keep them."""
    with without_lane(program) as beginner:
        uploaded(beginner, clip)
        place = create(beginner, len(clip), filename="clip.wav", duplicate="ask")
        send(beginner, place, 0, clip)
        Recording.objects.all().delete()
    return program.post(place, headers=TUS)


def transcribed(program: httpx.Client, clip: bytes) -> httpx.Response:
    made = recording("mei", duration=7.0)
    return program.post(f"/api/recordings/{made.pk}/transcribe")


@pytest.mark.parametrize("through", [uploaded, uploaded_whole, uploaded_in_pieces, insisted, transcribed])
def test_a_job_stands_in_the_lane_that_token_and_header_ask_for(
    door: Door, clip: bytes, through: Callable[[httpx.Client, bytes], httpx.Response]
) -> None:
    found: dict[tuple[str, str | None], str | None] = {}
    for lane, header in LANES:
        program = door.site.program(lane=lane)
        if header is not None:
            program.headers["X-Stile-Lane"] = header
        answer = through(program, clip)
        if refused(answer):
            found[lane, header] = None
        else:
            assert answer.is_success, answer.text
            found[lane, header] = Transcription.objects.latest("pk").lane
        Recording.objects.all().delete()
    assert found == LANES


def refused(answer: httpx.Response) -> bool:
    return answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_lane"


@pytest.mark.parametrize("kind", ["transcriptions", "translations"])
def test_a_call_at_v1_stands_in_the_lane_that_token_and_header_ask_for(door: Door, clip: bytes, kind: str) -> None:
    found: dict[tuple[str, str | None], str | None] = {}
    door.stub.hold()
    with ThreadPoolExecutor() as pool:
        for lane, header in LANES:
            program = door.site.program(lane=lane)
            if header is not None:
                program.headers["X-Stile-Lane"] = header
            answer = pool.submit(program.post, f"/v1/audio/{kind}", files={"file": ("clip.wav", clip)})
            wait_for(lambda answer=answer: answer.done() or active(), "the exchange")  # type: ignore[misc]
            found[lane, header] = active()
            if not answer.done():
                door.stub.let_one_go()
                assert answer.result(PATIENCE).is_success
                wait_for(lambda: not active(), "the end of the exchange")
            else:
                assert refused(answer.result())
        door.stub.let_go()
    assert found == LANES


def active() -> str | None:
    """The lane of the one exchange under way."""
    lanes = service.snapshot().servers[0].gate.lanes
    return next((lane for lane, count in lanes.items() if count.active), None)


def test_a_page_may_ask_for_the_lane_of_programs(door: Door, clip: bytes) -> None:
    person = door.site.browser()
    person.get("/")
    headers = {"X-CSRFToken": person.cookies["csrftoken"], "X-Stile-Lane": "batch", "Origin": door.site.url}
    answer = person.post("/api/recordings", files={"file": ("clip.wav", clip)}, headers=headers)
    assert answer.status_code == 201, answer.text
    assert Transcription.objects.get().lane == "batch"


def order(door: Door, clip: bytes, *calls: tuple[httpx.Client, str]) -> list[str]:
    """The prompts in the order in which the server got them, if the first call is under way when the others come."""
    door.stub.hold()

    def call(program: httpx.Client, prompt: str) -> httpx.Response:
        form = {"file": ("clip.wav", clip)}
        return program.post("/v1/audio/transcriptions", files=form, data={"prompt": prompt})

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = []
        for number, (program, prompt) in enumerate(calls):
            answers.append(pool.submit(call, program, prompt))
            wait_for(lambda number=number: waiting() == number, "the call")  # type: ignore[misc]
        door.stub.let_go()
        assert all(answer.result(PATIENCE).is_success for answer in answers)
    return door.stub.prompts


def test_a_script_that_empties_an_archive_does_not_stand_before_people(door: Door, clip: bytes) -> None:
    script, person = door.site.program("mei", lane="batch"), door.site.program("ann")
    came = order(door, clip, *[(script, "archive")] * 3, (person, "question"))
    assert came == ["archive", "question", "archive", "archive"]


def test_a_weight_lets_in_as_many_calls_at_one_turn_of_the_owner(door: Door, clip: bytes) -> None:
    heavy, light, other = door.site.program("mei", weight=3), door.site.program("ann"), door.site.program("bob")
    came = order(door, clip, (other, "other"), *[(heavy, "heavy")] * 4, *[(light, "light")] * 2)
    assert came == ["other", "heavy", "heavy", "heavy", "light", "heavy", "light"]


def waiting() -> int:
    """The number of calls in line, or -1 as long as no exchange is under way."""
    gate = service.snapshot().servers[0].gate
    return gate.queued if gate.active else -1


def test_the_description_has_the_header_at_every_door(site: Site) -> None:
    paths = site.program().get("/api/openapi.json").json()["paths"]
    found = {
        (method, path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method != "parameters" and "X-Stile-Lane" in str(operation.get("parameters"))
    }
    assert found == {
        ("post", "/api/recordings"),
        ("post", "/api/recordings/{id}/transcribe"),
        ("post", "/api/uploads"),
        ("get", "/api/uploads/{key}"),
        ("patch", "/api/uploads/{key}"),
        ("post", "/api/uploads/{key}"),
        ("post", "/v1/audio/transcriptions"),
        ("post", "/v1/audio/translations"),
    }
