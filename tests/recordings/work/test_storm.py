"""The product is killed again and again while people work. `bench.crash` does so for longer."""

from pathlib import Path

import pytest

from tests.support.jobs import CLIPS, speech_with_pauses
from tests.support.product import Product, transcribed, upload
from tests.support.storm import storm
from tests.support.waiting import wait_for
from tests.support.whisper_stub import WhisperStub, said


@pytest.mark.slow
def test_a_storm_of_kills_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    answers = storm(tmp_path / "data", rounds=3, seed=1)
    assert answers["upload 201"] >= 3


def test_a_killed_server_does_not_forget_what_whisper_computes_and_a_stopped_one_leaves_nothing(tmp_path: Path) -> None:
    five = tmp_path / "five.wav"
    five.write_bytes(speech_with_pauses())
    with WhisperStub(seconds=15) as stub:
        limits = {"ASR_REQUEST_TIMEOUT": "14", "ASR_ABANDONED_GRACE": "2"}
        product = Product(tmp_path / "data", ASR_API_URL=stub.url, **limits)
        product.start()
        with product.client() as api:

            def abandoned() -> int:
                stats = api.get("/api/recordings/stats/asr-concurrency").json()
                assert ("That is waited for." in str(stats["servers"][0]["trouble"])) == (stats["abandoned"] > 0)
                return int(stats["abandoned"])

            pk = upload(api, five)["id"]
            wait_for(lambda: stub.computing == 1, "the first segment")
            product.kill()
            stub.answer(said(), seconds=0.01)
            product.start()
            if stub.computing:  # on a slow machine the exchange may end before the product has started
                assert (abandoned(), len(stub.received)) == (1, 1)
            assert transcribed(api, pk)["status"] == "done"
            assert (stub.peak, len(stub.received)) == (1, 1 + CLIPS)
            product.stop()
            with product:
                assert abandoned() == 0
