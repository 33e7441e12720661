"""Each door takes a file with several tracks or a missing end, and its answers tell of both."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from django.test import Client

from recordings.models import LooseFile, Recording, Transcription, copy_name
from recordings.work.transcribing import run_transcription
from tests.support.audio_files import clip, encode
from tests.support.jobs import whisper_at
from tests.support.openai_clients import open_door
from tests.support.site import Site
from tests.support.tus import create, send
from tests.support.whisper_stub import WhisperStub, said
from transcription.audio import wav

SILENCE = np.zeros_like(clip())
CUT = b"".join(wav(clip()))[: 32_000 * 4 + 44]  # 4 of 7.1 seconds


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file with silence on its first track and speech on its second."""
    path = tmp_path_factory.mktemp("two") / "two.mp4"
    return encode(path, SILENCE, clip(), codec="aac").read_bytes()


def upload(api: httpx.Client, content: bytes, **fields: str) -> httpx.Response:
    return api.post("/api/recordings", files={"file": ("x.mp4", content)}, data=fields)


def heard(made: dict[str, Any]) -> list[bool]:
    return [track["heard"] for track in made["tracks"]]


def run(recording: int) -> None:
    """Run the recording's queued job to its end."""
    job = Transcription.objects.get(recording=recording, status="queued")
    with WhisperStub(replies=said("hello")) as stub, whisper_at(stub):
        asyncio.run(run_transcription(job.pk))
    job.refresh_from_db()
    assert job.status == "done"


def page(recording: int) -> str:
    browser = Client()
    browser.force_login(Recording.objects.get(pk=recording).owner)
    return browser.get(f"/recordings/{recording}").content.decode()


def test_all_tracks_are_heard_and_the_recording_says_so(site: Site, two: bytes) -> None:
    made = upload(site.program(), two).json()
    assert heard(made) == [True, True]
    assert LooseFile.objects.filter(name=copy_name(made["id"])).exists()  # browsers would play the first track only
    run(made["id"])
    now = site.program().get(f"/api/recordings/{made['id']}").json()
    assert (now["text"], heard(now), now["damaged"]) == ("hello", [True, True], [])
    assert "The file has 2 sound tracks. Heard: 1, 2." in page(made["id"])


def test_one_track_is_chosen_when_the_file_comes(site: Site, two: bytes) -> None:
    made = upload(site.program(), two, track="2").json()
    assert heard(made) == [False, True]
    assert Transcription.objects.get().track == 2
    refused = upload(site.program(), two, track="3")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "no_such_track")
    assert "2" in refused.json()["error"]["message"]
    assert upload(site.program(), two, track="-1").json()["error"]["code"] == "invalid_request"


def test_one_track_is_chosen_when_it_is_transcribed_again(site: Site, two: bytes) -> None:
    api = site.program()
    made = upload(api, two, track="1", transcribe="false").json()
    LooseFile.objects.all().delete()  # as if its copy had been made
    address = f"/api/recordings/{made['id']}/transcribe"
    refused = api.post(address, json={"track": 3})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "no_such_track")
    assert api.post(address, json={"track": 2}).status_code == 202
    assert LooseFile.objects.filter(name=copy_name(made["id"])).exists()
    run(made["id"])
    now = api.get(f"/api/recordings/{made['id']}").json()
    assert (now["text"], heard(now)) == ("hello", [False, True])
    assert api.post(address, json={}).status_code == 202  # takes the track that the recording has now
    assert Transcription.objects.latest("id").track == 2


def test_one_track_is_chosen_by_a_resumable_upload(site: Site, two: bytes) -> None:
    api = site.program()
    assert send(api, create(api, len(two), filename="x.mp4", track="2"), 0, two).status_code == 204
    assert [track["heard"] for track in Recording.objects.get().tracks] == [False, True]


def test_a_file_that_was_cut_off_is_taken_and_told(site: Site) -> None:
    made = upload(site.program(), CUT).json()
    assert made["duration"] == pytest.approx(4.0, abs=0.1)
    assert made["damaged"] == [{"start": pytest.approx(4.0, abs=0.1), "end": pytest.approx(7.1, abs=0.1)}]
    run(made["id"])
    now = site.program().get(f"/api/recordings/{made['id']}").json()
    assert (now["text"], now["damaged"]) == ("hello", made["damaged"])
    assert "The file breaks off at 0:04: what came after is missing." in page(made["id"])


def test_openais_door_tells_of_tracks_and_damage_in_every_format(site: Site, two: bytes) -> None:
    address = "/v1/audio/transcriptions"
    with open_door(site, WhisperStub(replies=said("hello"))):
        api = site.program()
        for response_format in ("json", "verbose_json", "text", "srt", "vtt"):
            options = {"response_format": response_format}
            both = api.post(address, files={"file": ("x.mp4", two)}, data=options)
            assert (both.status_code, both.headers["Stile-Tracks"]) == (200, "1, 2 of 2")
            assert "Stile-Damaged" not in both.headers
            cut = api.post(address, files={"file": ("x.wav", CUT)}, data=options)
            start, _, end = cut.headers["Stile-Damaged"].partition("-")
            assert float(start) == pytest.approx(4.0, abs=0.1)
            assert float(end) == pytest.approx(7.1, abs=0.1)
            assert "Stile-Tracks" not in cut.headers
            if "json" in response_format:
                assert heard(both.json()) == [True, True]
                assert cut.json()["damaged"] == [{"start": float(start), "end": float(end)}]
        streamed = api.post(address, files={"file": ("x.wav", CUT)}, data={"stream": "true"}).text
        assert '"damaged": [{"start": 4.0' in streamed


def test_openais_door_hears_the_track_that_is_asked_for(site: Site, two: bytes) -> None:
    address = "/v1/audio/transcriptions"
    with open_door(site, WhisperStub(replies=said("hello"))):
        api = site.program()
        texts = [api.post(address, files={"file": ("x.mp4", two)}, data={"track": track}) for track in ("1", "2", "0")]
        assert [answer.json()["text"] for answer in texts] == ["", "hello", "hello"]
        refused = api.post(address, files={"file": ("x.mp4", two)}, data={"track": "3"})
    assert refused.status_code == 400
    assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == ("no_such_track", "track")


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_refusal_names_the_codec_to_people(site: Site, tmp_path: Path, language: str) -> None:
    data = encode(tmp_path / "x.mka", clip(), codec="aac", container="matroska").read_bytes()
    unknown = data.replace(b"A_AAC", b"A_XYZ")
    answer = site.program().post(
        "/api/recordings", files={"file": ("x.mka", unknown)}, headers={"Accept-Language": language}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unknown_codec")
    assert "A_XYZ" in answer.json()["error"]["message"]
