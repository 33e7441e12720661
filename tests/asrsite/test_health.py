"""/healthz says that the process lives, /readyz which of its parts can do their work."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connections
from django.test import AsyncClient

from asrsite import health
from transcription import service
from transcription.audio import apart
from transcription.errors import Misconfigured
from transcription.sentence import Sentence
from transcription.servers.dialect import Dialect
from web import readiness
from web.readiness import Readiness

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def whisper(settings: Any, tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that listens in place of a Whisper server, an empty storage, and no earlier answer of /readyz."""
    settings.MEDIA_ROOT = tmp_path / "media"
    health.readiness._asking = None
    asyncio.run(apart.network_closed())  # the first time takes long
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.ASR_API_URL = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        service.engine.cache_clear()
        service.client.cache_clear()
        yield listener
    service.engine.cache_clear()
    service.client.cache_clear()


async def ready() -> tuple[int, dict[str, Any]]:
    answer = await AsyncClient().get("/readyz")
    return answer.status_code, answer.json()


async def test_a_process_that_lives_says_so_whatever_else_is_down(settings: Any) -> None:
    settings.ASR_API_URL = "http://127.0.0.1:9/v1"
    answer = await AsyncClient().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


async def test_it_is_ready_when_each_part_is_and_leaves_nothing_behind(whisper: socket.socket) -> None:
    status, said = await ready()
    assert (status, said["status"]) == (200, "ok"), said
    assert said["parts"].keys() == {"database", "channel_layer", "storage", "decoder", "gate"}
    assert default_storage.listdir("") == ([], [])


async def down() -> tuple[int, set[str]]:
    status, said = await ready()
    return status, {name for name, part in said["parts"].items() if not part["ok"]}


async def test_a_whisper_server_that_is_gone_is_named_but_keeps_nobody_from_being_served(
    whisper: socket.socket, tmp_path: Path
) -> None:
    whisper.close()
    status, said = await ready()
    assert (status, said["status"]) == (200, "degraded")
    assert await down() == (200, {"gate"})
    (tmp_path / "media").rmdir()
    await asyncio.to_thread((tmp_path / "media").write_text, "a file where the folder should be")
    health.readiness._asking = None
    assert await down() == (503, {"gate", "storage"})


async def test_what_was_found_of_the_whisper_server_is_said_and_one_that_does_not_fit_is_named(
    whisper: socket.socket,
) -> None:
    known = service.client().pool.servers[0].profile
    assert (await ready())[1]["parts"]["gate"]["words"] == ["Not asked yet."]

    async def refuse() -> Dialect:
        raise Misconfigured("its own words: secret", Sentence("Check ASR_API_KEY."), "key")

    known.doubt()
    with pytest.raises(Misconfigured):
        await known.renew(refuse)
    health.readiness._asking = None
    status, said = await ready()
    assert (status, said["status"]) == (200, "degraded")
    assert (said["parts"]["gate"]["error"], said["parts"]["gate"]["reason"]) == ("NotReady", "Check ASR_API_KEY.")
    assert "secret" not in str(said)


async def test_a_storage_that_cannot_be_written_is_named(whisper: socket.socket, tmp_path: Path) -> None:
    media = tmp_path / "media"
    await asyncio.to_thread(media.write_text, "a file where the folder should be")
    assert await down() == (503, {"storage"})
    await asyncio.to_thread(media.unlink)
    health.readiness._asking = None
    assert await down() == (200, set())


async def test_a_database_that_is_away_is_named(whisper: socket.socket, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "nowhere" / "db"))
    assert await down() == (503, {"database"})


async def test_where_files_are_read_with_the_network_at_hand_it_is_said(
    whisper: socket.socket, monkeypatch: Any
) -> None:
    async def open_to_all() -> bool:
        return False

    monkeypatch.setattr(apart, "network_closed", open_to_all)  # as on a system without seccomp
    status, said = await ready()
    assert (status, said["status"], said["parts"]["decoder"]["error"]) == (200, "degraded", "NetworkOpen")


async def test_many_requests_at_once_cost_one_probe_and_the_next_second_asks_again(monkeypatch: Any) -> None:
    asked = 0

    async def probe() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)

    monkeypatch.setattr(readiness, "FRESH", 3600.0)
    shared = Readiness({"part": probe})
    await asyncio.gather(*(shared.parts() for _ in range(50)))
    await shared.parts()
    assert asked == 1
    monkeypatch.setattr(readiness, "FRESH", 0.0)
    await shared.parts()
    assert asked == 2


async def test_a_part_that_hangs_is_down_after_a_while_and_holds_nobody_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(readiness, "PATIENCE", 0.05)
    parts = await Readiness({"stuck": lambda: asyncio.sleep(60), "well": lambda: asyncio.sleep(0)}).parts()
    assert (parts["stuck"]["ok"], parts["stuck"]["error"], parts["well"]["ok"]) == (False, "TimeoutError", True)
    assert parts["stuck"]["seconds"] < 1
