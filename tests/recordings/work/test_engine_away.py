"""The product with its embedded engine, when the engine cannot start, and when it is killed again and again."""

from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.jobs import CLIPS, speech_with_pauses
from tests.support.product import Product, transcribed, upload
from tests.support.speech import librivox
from tests.support.waiting import wait_for

STATS = "/api/recordings/stats/asr-concurrency"


def asked(api: httpx.Client) -> httpx.Response:
    """A request to /v1, which gets its answer now or is refused."""
    with librivox()[0].path.open("rb") as file:
        return api.post("/v1/audio/transcriptions", files={"file": file}, data={"model": "whisper-1"})


def test_an_engine_that_cannot_start_fails_no_job_and_everybody_is_told_why(tmp_path: Path) -> None:
    folder = tmp_path / "no-model"
    folder.mkdir()
    with Product(tmp_path / "data", ASR_EMBEDDED_MODEL=str(folder)) as product, product.client() as api:
        pk = upload(api, librivox()[0].path)["id"]
        why = "The embedded Whisper server ended with exit code 1."
        [server] = wait_for(
            lambda: [each for each in api.get(STATS).json()["servers"] if each["trouble"] == why], "the reason"
        )
        assert f"The Whisper model folder {folder} has no model.bin in it." in server["said"]
        assert server["retry_in_seconds"] > 0
        refused = asked(api)
        assert (refused.status_code, refused.json()["error"]["message"]) == (503, f"{why} Try again.")
        assert int(refused.headers["Retry-After"]) >= 1
        ready = api.get("/readyz").json()
        assert (ready["status"], ready["parts"]["gate"]["reason"]) == ("degraded", why)
        assert api.get(f"/api/recordings/{pk}").json()["status"] in ("queued", "transcribing")


@pytest.mark.slow
def test_an_engine_that_is_killed_again_and_again_fails_no_job(tmp_path: Path) -> None:
    five = tmp_path / "five.wav"
    five.write_bytes(speech_with_pauses())
    with Product(tmp_path / "data") as product, product.client() as api:

        def engine() -> psutil.Process | None:
            if not api.get(STATS).json()["active_tasks"]:
                return None
            with suppress(psutil.NoSuchProcess):  # it has just ended
                for child in psutil.Process(product.process.pid).children():
                    if "whisper_server" in child.cmdline():
                        return child
            return None

        assert asked(api).status_code in (200, 503)  # the engine may still load
        pk = upload(api, five)["id"]
        for _ in range(3):
            wait_for(engine, "a call at the engine").kill()
            wait_for(lambda: api.get("/readyz").json()["status"] == "degraded", "it is known")
        recording = transcribed(api, pk)
        assert recording["status"] == "done"
        assert len(api.get(f"/api/recordings/{pk}/transcript").json()["segments"]) == CLIPS
