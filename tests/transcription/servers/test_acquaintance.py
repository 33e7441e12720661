"""The product finds out by itself how a Whisper server wants to be asked, and says what it cannot find out."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.calls import caller, client, request
from tests.support.waiting import until
from tests.support.whisper_servers import (
    FasterWhisperServer,
    LiteLlm,
    OldVoxBox,
    OpenAi,
    OpenAsrServer,
    Speaches,
    Standin,
    Vllm,
    VoxBox,
    WhisperCpp,
    WhisperLiveKit,
    Xinference,
    field,
    served,
)
from tests.support.whisper_stub import WhisperStub
from transcription.answer import Transcript
from transcription.client import WhisperClient
from transcription.errors import Misconfigured, Rejected, UnknownModel
from transcription.servers.dialect import Dialect

BRACKETS, BOTH = ("timestamp_granularities[]",), ("timestamp_granularities[]", "timestamp_granularities")
OPENAI_PATH = "/v1/audio/transcriptions"


def asked(*models: str, at: str = OPENAI_PATH, model: str = "", **more: Any) -> Dialect:
    """The dialect of a server with these models. It asks for `model`, or else for the only one of them."""
    names = [name for name in models if "*" not in name]
    only = names[0] if len(names) == 1 else "whisper-1"
    return Dialect(at, model or only, **{"granularities": BOTH, "models": models} | more)


def no_times(*models: str, model: str = "") -> Dialect:
    return asked(*models, model=model, response_format="json", granularities=BRACKETS)


INFERENCE = asked(at="/inference", whisper_cpp=True)
EARS = asked(at="/my/ears", whisper_cpp=True)
V3, BOX = "openai/whisper-large-v3", "faster-whisper-base"
LITE = ("gpt-4o", "whisper", "openai/*")
GPT = ("gpt-4o", "gpt-4o-transcribe", "whisper-1")

# For each server: the path and the model in the settings; the dialect; how many words of an answer have times.
SERVERS: dict[str, tuple[Callable[[], Standin], str, str, Dialect, int]] = {
    "whisper.cpp": (WhisperCpp, "/v1", "", INFERENCE, 2),
    "whisper.cpp, its bare address": (WhisperCpp, "", "", INFERENCE, 2),
    "whisper.cpp, its full address": (WhisperCpp, "/inference", "", INFERENCE, 2),
    "whisper.cpp, a path of its own": (lambda: WhisperCpp("/my/ears"), "/my/ears", "", EARS, 2),
    "whisper.cpp at OpenAI's path": (lambda: WhisperCpp(OPENAI_PATH), "/v1", "", asked(whisper_cpp=True), 2),
    "speaches with one model": (lambda: Speaches("small"), "/v1", "", asked("small"), 2),
    "speaches without /v1": (lambda: Speaches("small"), "", "", asked("small"), 2),
    "speaches with two, one named": (lambda: Speaches("a", "b"), "/v1", "b", asked("a", "b", model="b"), 2),
    "vLLM": (Vllm, "/v1", "", asked(V3), 0),
    "vLLM without times": (lambda: Vllm(times=False), "/v1", "", no_times(V3), 0),
    "vLLM that wants a language": (
        lambda: Vllm(wants_language=True), "/v1", "", asked(V3, granularities=BRACKETS, wants_language=True), 0,
    ),
    "vox-box": (VoxBox, "/v1", "", asked(BOX), 2),
    "vox-box that cannot give times": (OldVoxBox, "/v1", "", no_times(BOX), 0),
    "OpenAI": (OpenAi, "/v1", "", asked(*GPT, granularities=BRACKETS), 2),
    "OpenAI, a model without times": (OpenAi, "/v1", GPT[1], no_times(*GPT, model=GPT[1]), 0),
    "LiteLLM": (LiteLlm, "/v1", "whisper", asked(*LITE, model="whisper", granularities=BRACKETS), 2),
    "faster-whisper-server": (FasterWhisperServer, "/v1", "", asked(), 0),
    "open-asr-server": (OpenAsrServer, "/v1", "", asked("base*", "large*", "tiny*", "tiny.en"), 0),
    "WhisperLiveKit": (WhisperLiveKit, "/v1", "", asked("faster-whisper/base"), 2),
    "Xinference": (Xinference, "/v1", "", asked("my-whisper"), 2),
}  # fmt: skip


def asking(server: Standin, path: str = "/v1", model: str = "", **options: Any) -> WhisperClient:
    """A client of this server that does not know its dialect yet."""
    whisper = client(f"{server.url}{path}", model=model, **options)
    whisper.pool.servers[0].profile.doubt()
    return whisper


async def transcript(whisper: WhisperClient, **fields: Any) -> Transcript:
    return await whisper.call_remote_asr_api(request(**fields), caller())


@pytest.mark.parametrize(("make", "path", "model", "dialect", "words"), SERVERS.values(), ids=SERVERS)
async def test_the_first_call_is_made_as_the_server_wants_it(
    make: Callable[[], Standin], path: str, model: str, dialect: Dialect, words: int
) -> None:
    with served(server := make()):
        whisper = asking(server, path, model)
        heard = await transcript(whisper)
        known = whisper.pool.servers[0].profile
        assert replace(known.dialect, url=known.dialect.url.removeprefix(server.url)) == dialect
        assert heard.text in ("Hello there.", "Guten Tag.")
        assert len(heard.words) == words
        sent = len(server.forms)
        await transcript(whisper)
        assert len(server.forms) == sent + 1  # the dialect is known now
        assert "Ready" in known.snapshot().finding
        await whisper.aclose()


async def test_whisper_cpp_is_told_to_find_out_the_language_and_its_tokens_become_words() -> None:
    with served(server := WhisperCpp()):
        whisper = asking(server)
        assert [word.word for word in (await transcript(whisper)).words] == [" Guten", " Tag."]
        assert (await transcript(whisper, language="en")).text == "Good day."
        await transcript(whisper, translate=True)
        assert (field(server.fields, "translate"), field(server.fields, "language")) == ("true", "auto")
        await whisper.aclose()


async def test_where_times_need_a_language_only_recordings_that_name_one_get_them() -> None:
    with served(server := Vllm(wants_language=True)):
        whisper = asking(server)
        assert not (await transcript(whisper)).segments
        assert (await transcript(whisper, language="de")).segments
        assert field(server.fields, "language") == "de"
        await whisper.aclose()


@pytest.mark.parametrize(
    ("make", "path", "model", "words"),
    [
        (lambda: Speaches("small", "large"), "/v1", "", "has no model whisper-1. .* ASR_MODEL: small, large"),
        (lambda: Speaches("small", "large"), "/v1", "huge", "has no model huge. .* ASR_MODEL: small, large"),
        (LiteLlm, "/v1", "", "has no model whisper-1. .* ASR_MODEL: gpt-4o, whisper, openai/"),
        (Xinference, "/v1", "whisper-1", "has no model whisper-1. .*: my-whisper"),
        (lambda: WhisperCpp("/my/ears"), "/v1", "", "no Whisper server at this address. Check ASR_API_URL"),
        (lambda: Speaches("small"), "/api/v9", "", None),  # the right path is found all the same
    ],
)
async def test_what_cannot_be_found_out_is_said_with_what_to_do(
    make: Callable[[], Standin], path: str, model: str, words: str | None
) -> None:
    with served(server := make()):
        whisper = asking(server, path, model)
        if words is None:
            assert (await transcript(whisper)).text
        else:
            with pytest.raises(Misconfigured) as raised:
                await transcript(whisper)
            with pytest.raises(AssertionError, match=words):
                raise AssertionError(raised.value.finding)
        await whisper.aclose()


async def test_a_recording_waits_until_the_administrator_has_mended_it_and_no_request_is_wasted() -> None:
    with served(server := Speaches("small", "large")):
        whisper = asking(server)
        waiting = [asyncio.create_task(whisper.call_remote_asr_api(request(), caller(durable=True))) for _ in range(5)]
        await until(lambda: whisper.pool.servers[0].profile.fault is not None)
        await asyncio.sleep(0)
        assert not any(call.done() for call in waiting)
        assert len(server.forms) == 1  # one probe; the recordings were not sent
        snapshot = whisper.snapshot().servers[0].profile
        assert (snapshot.fault, snapshot.models) == (True, ("small", "large"))
        assert "is not installed locally" in (snapshot.said or "")
        server.models = server.models[:1] if server.models else []  # now there is only one model
        assert [heard.text for heard in await asyncio.gather(*waiting)] == ["Hello there."] * 5
        assert not whisper.snapshot().servers[0].profile.fault
        await whisper.aclose()


async def test_a_call_that_cannot_wait_is_told_at_once_while_the_server_does_not_fit() -> None:
    with served(server := Speaches("small", "large")):
        whisper = asking(server)
        for _ in range(3):
            with pytest.raises(Misconfigured, match="not installed locally"):
                await whisper.call_remote_asr_api(request(), caller("interactive"))
        assert len(server.forms) == 1
        await whisper.aclose()


async def test_another_server_takes_what_one_that_does_not_fit_refuses() -> None:
    with served(wrong := Speaches("small", "large"), right := FasterWhisperServer()):
        whisper = client(f"{wrong.url}/v1", f"{right.url}/v1", limit=1)
        texts = await asyncio.gather(*(whisper.call_remote_asr_api(request(), caller("interactive")) for _ in range(6)))
        assert {heard.text for heard in texts} == {"Hello there."}
        await whisper.aclose()


async def test_another_software_behind_the_address_is_noticed() -> None:
    """The port stays. The server behind it is speaches first, then whisper.cpp, vLLM, and speaches again."""
    with served(server := Speaches("small")):
        whisper = asking(server)
        await transcript(whisper)
        known = whisper.pool.servers[0].profile
        for other in (WhisperCpp(), Vllm(times=False), Speaches("large")):
            known._asked_at -= 60  # as if a minute had passed
            server.handle = other.handle  # type: ignore[method-assign]
            assert (await transcript(whisper)).text in ("Hello there.", "Guten Tag.")
        assert known.dialect.model == "large"
        await whisper.aclose()


async def test_a_single_call_that_is_refused_after_good_ones_fails_alone_and_spares_the_server() -> None:
    class Moody(FasterWhisperServer):
        def transcribe(self, form: dict[str, list[str]]) -> object:  # type: ignore[override]
            return self.missing("") if field(form, "prompt") == "odd" else super().transcribe(form)

    with served(server := Moody()):
        whisper = asking(server)
        await transcript(whisper)
        with pytest.raises(Misconfigured, match="404"):
            await whisper.call_remote_asr_api(request("odd"), caller(durable=True))
        assert (await transcript(whisper)).text == "Hello there."
        assert len(server.forms) <= 8
        await whisper.aclose()


async def test_a_model_that_the_caller_names_is_the_callers_affair() -> None:
    with served(server := Speaches("small")):
        whisper = asking(server)
        with pytest.raises(UnknownModel):
            await transcript(whisper, model="nova")
        assert (await transcript(whisper)).text == "Hello there."
        assert not whisper.snapshot().servers[0].profile.fault
        await whisper.aclose()


async def test_a_server_that_does_not_translate_refuses_that_and_goes_on() -> None:
    with served(server := WhisperLiveKit()):
        whisper = asking(server)
        with pytest.raises(Rejected, match="does not translate"):
            await transcript(whisper, translate=True)
        assert (await transcript(whisper)).text == "Hello there."
        assert not whisper.snapshot().servers[0].profile.fault
        await whisper.aclose()


async def test_servers_are_asked_at_the_start_without_a_recording_and_once_by_many_calls() -> None:
    with served(server := WhisperLiveKit()):
        whisper = asking(server, limit=4)
        await asyncio.gather(*(transcript(whisper) for _ in range(8)))
        assert len(server.forms) == 8 + 1
        keeping = asyncio.create_task(whisper.keep_acquainted())
        await until(lambda: len(server.forms) == 8 + 2)
        await until(lambda: not whisper.pool.servers[0].profile.doubtful)
        keeping.cancel()
        await asyncio.wait({keeping})
        await whisper.aclose()


async def test_asking_keeps_to_the_limit() -> None:
    """A probe is work for the server, too."""
    with WhisperStub(seconds=0.05) as stub:
        whisper = client(stub.url, limit=1)
        keeping = asyncio.create_task(whisper.keep_acquainted())
        await asyncio.gather(*(transcript(whisper) for _ in range(4)))
        await until(lambda: stub.silences > 0)
        assert (stub.peak, len(stub.received)) == (1, 4)
        keeping.cancel()
        await asyncio.wait({keeping})
        await whisper.aclose()
