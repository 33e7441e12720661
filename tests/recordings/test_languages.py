"""Every door takes a language in any usual form, gives it out as a code, and refuses others in the same words."""

import asyncio
import importlib
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.db import connection

from recordings.management.commands.retranscribe import Command
from recordings.models import LiveSession, Recording, Segment, Transcription
from recordings.transcripts.sentences import text_language
from recordings.work.jobs import aqueue_transcription
from tests.support.jobs import finished, jobs_running, recording, someone
from tests.support.live_client import speaking
from tests.support.openai_clients import Door, open_door
from tests.support.site import Site
from tests.support.tus import PIECE, encoded
from tests.support.whisper_stub import WhisperStub, http
from transcription.languages import LANGUAGES

FORMS = {
    "zh-CN": "zh", "zh_Hant_TW": "zh", "cmn": "zh", "Mandarin": "zh", "中文": "zh", "yue-HK": "yue", "EN": "en",
    "en_US": "en", "eng": "en", "English": "en", "jp": "ja", "iw": "he", "nb-NO": "no", "fil": "tl", "Français": "fr",
    "Norwegian (Nynorsk)": "nn", "auto": "", "unknown": "", "": "",
}  # fmt: skip
REFUSED = "language: Whisper does not know this language. Use a code such as “en” or “zh”."
Said = tuple[Any, str]  # the status of an answer, and the language that was taken or the reason of a refusal

pytestmark = pytest.mark.usefixtures("own_sessions")


@pytest.fixture
def door(site: Site) -> Iterator[Door]:
    with open_door(site, WhisperStub(0.001)) as opened:
        yield opened


class Doors:
    """The doors that take a language: each method sends one through its door, and returns the outcome."""

    def __init__(self, door: Door, clip: bytes) -> None:
        self.door = door
        self.clip = clip
        self.api = door.site.program()
        self.browser = door.site.browser()
        owner, _ = User.objects.get_or_create(username="mei")
        self.made = Recording.objects.create(owner=owner, bytes=1, duration=1, source="upload", language="la")
        self.path = f"/api/recordings/{self.made.pk}"

    def _job(self, answer: httpx.Response) -> Said:
        if answer.status_code >= 400:
            return _refusal(answer)
        job = Transcription.objects.latest("pk")
        Transcription.objects.all().delete()
        return answer.status_code, job.language

    def upload(self, language: str) -> Said:
        files = {"file": ("clip.wav", self.clip)}
        answer = self.api.post("/api/recordings", files=files, data={"language": language, "transcribe": "false"})
        return _refusal(answer) if answer.is_error else (answer.status_code, answer.json()["language"] or "")

    def change(self, language: str) -> Said:
        answer = self.api.patch(self.path, json={"language": language})
        return _refusal(answer) if answer.is_error else (answer.status_code, answer.json()["language"] or "")

    def again(self, language: str) -> Said:
        return self._job(self.api.post(f"{self.path}/transcribe", json={"language": language}))

    def page(self, language: str) -> Said:
        self.browser.cookies["csrftoken"] = "a" * 32
        url = f"/recordings/{self.made.pk}/transcribe"
        answer = self.browser.post(url, data={"language": language}, headers={"X-CSRFToken": "a" * 32})
        return (answer.status_code, answer.text) if answer.is_error else self._job(answer)

    def resumable(self, language: str) -> Said:
        metadata = encoded(language=language, transcribe="false")
        headers = PIECE | {"Upload-Length": str(len(self.clip)), "Upload-Metadata": metadata}
        answer = self.api.post("/api/uploads", headers=headers, content=self.clip)
        if answer.is_error:
            return _refusal(answer)
        return answer.status_code, Recording.objects.get(pk=answer.headers["Stile-Recording"]).language

    def openai(self, language: str) -> Said:
        files = {"file": ("clip.wav", self.clip)}
        answer = self.api.post("/v1/audio/transcriptions", files=files, data={"language": language})
        if answer.is_error:
            assert answer.json()["error"]["param"] == "language"
            return _refusal(answer)
        return answer.status_code, self.door.stub.received[-1].fields.get("language", "")

    def live(self, language: str) -> Said:
        async def say() -> Said:
            async with speaking(self.api) as client:
                told = await client.start(language=language)
                if told["type"] == "error":
                    return await client.closed(), told["message"]
                await client.send("stop")
                await client.told_of("done")
                session = await LiveSession.objects.aget(pk=told["session"])
                return told["type"], session.language

        return asyncio.run(say())

    def command(self, language: str) -> Said:
        try:
            options = Command().create_parser("manage.py", "retranscribe").parse_args(["1", "--language", language])
        except CommandError as error:
            return "error", str(error).removeprefix("Error: argument --")
        return "taken", options.language


def _refusal(answer: httpx.Response) -> Said:
    return answer.status_code, answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("at", "taken", "refused"),
    [
        (Doors.upload, 201, 422),
        (Doors.change, 200, 422),
        (Doors.again, 202, 422),
        (Doors.page, 204, 422),
        (Doors.resumable, 201, 422),
        (Doors.openai, 200, 400),
        (Doors.live, "ready", 4400),
        (Doors.command, "taken", "error"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_door_takes_every_form_and_names_the_field_where_it_takes_none(
    door: Door, clip: bytes, at: Callable[[Doors, str], Said], taken: Any, refused: Any
) -> None:
    doors = Doors(door, clip)
    assert {form: at(doors, form) for form in FORMS} == {form: (taken, code) for form, code in FORMS.items()}
    for wrong in ("klingon", "xx", "en,zh"):
        assert at(doors, wrong) == (refused, REFUSED)


@pytest.mark.parametrize(
    ("answered", "code", "name"),
    [
        ("Latin", "la", "latin"), ("thai", "th", "thai"), ("zh-CN", "zh", "chinese"), ("jpn", "ja", "japanese"),
        ("en-US", "en", "english"), ("nb", "no", "norwegian"), ("unknown", "", ""), ("Klingon", "", ""), ("", "", ""),
    ],
)  # fmt: skip
def test_every_door_gives_out_the_detected_language_as_a_code(
    door: Door, clip: bytes, answered: str, code: str, name: str
) -> None:
    segment = {"start": 0.5, "end": 2.0, "text": "What was said."}
    door.stub.answer(http(200, {"text": "What was said.", "language": answered, "segments": [segment]}), 0.001)

    async def transcribed() -> Transcription:
        async with jobs_running():
            return await finished(await aqueue_transcription(await recording(await someone(), clip)))

    job = asyncio.run(transcribed())
    assert (job.status, job.detected_language) == ("done", code)
    api, browser = door.site.program(), door.site.browser()
    path = f"/recordings/{job.recording_id}"
    assert api.get(f"/api{path}").json()["language"] == (code or None)
    assert api.get(f"/api{path}/transcript").json()["language"] == (code or None)
    assert api.get(f"/api{path}/transcriptions").json()["items"][0]["detected_language"] == (code or None)
    page = browser.get(path).text
    assert re.findall(r'<p lang="([^"]*)"><span class="line"', page) == [text_language("", code)]
    files, wanted = {"file": ("clip.wav", clip)}, {"response_format": "verbose_json"}
    said = api.post("/v1/audio/transcriptions", files=files, data=wanted).json()
    assert said["language"] == name  # OpenAI's shape has names, not codes


def test_the_migration_turns_a_stored_name_into_a_code(door: Door) -> None:
    owner, _ = User.objects.get_or_create(username="mei")
    made = Recording.objects.create(owner=owner, bytes=1, duration=1, source="upload", language="")
    stored = {"latin": "la", "unknown": "", "thai": "th", "zh": "zh", "klingon": "", "": ""}
    for said in stored:
        run = Transcription.objects.create(recording=made, status="done", detected_language=said)
        Segment.objects.create(transcription=run, index=0, start=0, end=1, text="…", language=said)
    importlib.import_module("recordings.migrations.0007_language_codes").to_codes(
        apps, SimpleNamespace(connection=connection)
    )
    assert list(Transcription.objects.order_by("pk").values_list("detected_language", flat=True)) == [*stored.values()]
    assert list(Segment.objects.order_by("pk").values_list("language", flat=True)) == [*stored.values()]


def test_every_picker_offers_all_languages_by_their_names(site: Site) -> None:
    browser = site.browser()
    owner = User.objects.get(username="mei")
    made = Recording.objects.create(owner=owner, bytes=1, duration=1, source="upload", language="yue")
    for page in (f"/recordings/{made.pk}", "/live", "/record"):
        for reader, name in (("en", "Cantonese"), ("zh-hans", "粤语")):
            shown = browser.get(page, headers={"Accept-Language": reader}).text
            picker = re.search(r'<select id="language".*?</select>', shown, re.DOTALL)
            assert picker, page
            assert set(re.findall(r'value="(\w+)"', picker[0])) - {"auto"} == LANGUAGES.keys()
            assert name in picker[0]
