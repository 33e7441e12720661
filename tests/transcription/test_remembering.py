"""What was learnt of a server outlives the process: it is kept in the database, and taken up at the next start."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from tests.support.jobs import whisper_at
from tests.support.product import Product
from tests.support.waiting import until, until_it_is
from tests.support.whisper_stub import WhisperStub
from transcription import remembering, service
from transcription.learnt import Gain, LimitState
from transcription.memory import ServerMemory, Service, written
from transcription.models import KeptMemory
from transcription.snapshot import GateSnapshot

pytestmark = pytest.mark.django_db(transaction=True)

LEARNT = ServerMemory(LimitState(3, 2, 5, 0.5, 40, 0.1, (Gain(2, 3, 0.4, 9.0),)), (Service(6.0, 28.0),) * 10, version=1)
TAKEN_UP = "[ASR并发] 接续所学"


@pytest.fixture
def stub() -> Iterator[WhisperStub]:
    with WhisperStub() as running:
        yield running


def gate() -> GateSnapshot:
    return service.snapshot().servers[0].gate


def restore() -> None:
    pool = service.client().pool
    pool.gate.restore(pool.servers[0], LEARNT)


async def learn(stub: WhisperStub, **options: object) -> None:
    """Run a process that has learnt LEARNT of the server."""
    with whisper_at(stub, **{"ASR_MAX_CONCURRENT": "auto"} | options):
        restore()
        async with service.running():
            pass


async def test_probes_are_not_kept_since_each_start_sends_one(stub: WhisperStub) -> None:
    with whisper_at(stub):
        async with service.running():
            await until(lambda: bool(gate().services))
            assert gate().audio == (0.0,)
    assert (await KeptMemory.objects.aget()).state["services"] == []


async def test_the_next_process_takes_up_limit_gains_and_service_times(stub: WhisperStub) -> None:
    await learn(stub)
    with whisper_at(stub, ASR_MAX_CONCURRENT="auto"):
        server = service.client().pool.servers[0]
        assert (gate().limit, server.mean_service) == (1, 1.0)
        async with service.running():
            now = gate()
            assert now.learnt
            assert (now.limit, now.learnt.home, now.learnt.failed, now.learnt.inherited) == (3, 3, 5, "unproven")
            assert now.learnt.gains == (Gain(2, 3, 0.4, 9.0),)
            assert server.mean_service == pytest.approx(6.0, rel=0.2)  # the probe at the start may have been answered
            assert [change.limit for _, change in now.changes] == [3]


@pytest.mark.parametrize("other", [{"ASR_MODEL": "large-v3"}, {"ASR_API_URL": "http://127.0.0.1:9/v1"}])
async def test_another_model_or_address_gets_nothing(stub: WhisperStub, other: dict[str, str]) -> None:
    await learn(stub)
    with whisper_at(stub, **{"ASR_MAX_CONCURRENT": "auto"} | other):
        async with service.running():
            assert (gate().limit, gate().changes) == (1, ())


async def test_a_server_of_a_file_gets_nothing_when_its_models_change(stub: WhisperStub, tmp_path: Path) -> None:
    file = tmp_path / "servers.toml"
    limits = []
    for models in ('["small"]', '["small"]', '["large-v3"]'):
        file.write_text(f'[[server]]\nurl = "{stub.url}"\nlimit = "auto"\nmodels = {models}\n')
        with whisper_at(stub, ASR_API_URL="", ASR_SERVERS=str(file)):
            async with service.running():
                limits.append(gate().limit)
                if len(limits) == 1:
                    restore()
    assert limits == [1, 3, 1]


@pytest.mark.parametrize("state", [{}, [], "nonsense", written(LEARNT) | {"version": 2}])  # type: ignore[operator]
async def test_what_cannot_be_read_is_logged_and_the_process_begins_anew(
    stub: WhisperStub, state: object, caplog: pytest.LogCaptureFixture
) -> None:
    await learn(stub)
    await KeptMemory.objects.aupdate(state=state)
    with whisper_at(stub, ASR_MAX_CONCURRENT="auto"):
        async with service.running():
            assert (gate().limit, gate().changes) == (1, ())
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith(f"What was learnt of the server {stub.url.split('/')[2]} cannot be used: ")
    assert "\n" not in warning
    assert (await KeptMemory.objects.aget()).state != state  # it was replaced by what this process knows


async def test_it_is_kept_while_the_process_runs_since_a_killed_one_has_no_end(
    stub: WhisperStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "EVERY", 0.01)
    with whisper_at(stub, ASR_MAX_CONCURRENT="auto"):
        async with service.running():
            restore()
            await until_it_is(_kept_home, 3)


async def _kept_home() -> Any:
    row = await KeptMemory.objects.afirst()
    return row and row.state["limit"]["home"]


async def test_a_write_that_fails_is_logged_and_made_up_for(
    stub: WhisperStub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keep = KeptMemory.keep
    # So many that nothing else is learnt after them, for which it would be written again.
    failures = [OperationalError("database or disk is full")] * 50

    def failing(states: dict[str, Any]) -> None:
        if failures and any(state["limit"]["home"] == 3 for state in states.values()):
            raise failures.pop()
        keep(states)

    monkeypatch.setattr(KeptMemory, "keep", failing)
    monkeypatch.setattr(remembering, "EVERY", 0.01)
    with whisper_at(stub, ASR_MAX_CONCURRENT="auto"):
        async with service.running():
            restore()
            await until_it_is(_kept_home, 3)
    assert "cannot be kept: OperationalError('database or disk is full')" in caplog.text


async def test_all_states_are_kept_or_none() -> None:
    await sync_to_async(KeptMemory.keep)({"a": 1, "b": 1})
    with pytest.raises(TypeError):
        await sync_to_async(KeptMemory.keep)({"a": 2, "b": object()})
    assert await sync_to_async(KeptMemory.states)(["a", "b", "c"]) == {"a": 1, "b": 1}


@pytest.mark.slow
def test_a_killed_process_takes_nothing_along(tmp_path: Path) -> None:
    with WhisperStub() as stub:
        product = Product(tmp_path / "data", ASR_API_URL=stub.url)
        with product:
            assert TAKEN_UP not in product.log.read_text()  # there was no earlier run
        product.start()
        assert TAKEN_UP in product.log.read_text()
        product.kill()
        with product:
            assert TAKEN_UP in product.log.read_text()
