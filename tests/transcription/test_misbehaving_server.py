"""What the client makes of each answer of a Whisper server, and of each way not to answer. The HTTP server is real."""

import asyncio
import gzip
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.calls import SENT_WITHIN, caller, client, request
from tests.support.waiting import until
from tests.support.whisper_stub import Reply, WhisperStub, http, raw, reset, said
from transcription.answer import Transcript, read_answer
from transcription.client import WhisperClient
from transcription.errors import (
    AnswerError,
    BrokenOff,
    ProtocolError,
    Rejected,
    ServerBusy,
    ServerError,
    TimedOut,
)
from transcription.exchange import MAX_ANSWER_BYTES
from transcription.snapshot import Calls

MIB = 1024**2


def headers(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()


def stalling(content: bytes) -> Reply:
    """A reply that sends these bytes, and then nothing on the open connection."""

    async def reply(writer: Any) -> None:
        writer.write(content)
        await writer.drain()
        await asyncio.sleep(3600)

    return reply


async def dripping(writer: Any) -> None:
    writer.write(headers(10_000))
    for _ in range(10_000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def gigabytes(writer: Any) -> None:
    writer.write(headers(4 * 1024 * MIB))
    while not writer.transport.is_closing():
        writer.write(b" " * MIB)
        await writer.drain()


OOM_WORDS = [
    "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.79 GiB total capacity)",
    "CUDA failed with error out of memory",
    "RuntimeError: cuBLAS error CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)",
    "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: allocation",
    "Model actor is out of memory, model id: whisper-large-v3",
    "ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 1234",
    "推理失败：显存不足",
    "torch.OutOfMemoryError",
    "worker killed: OOM",
    "Traceback (most recent call last):\n" + '  File "whisper.py", line 7\n' * 300 + "CUDA out of memory",
]

OOM_ANSWERS = [http(500, {"error": {"message": words}}) for words in OOM_WORDS] + [
    http(400, {"detail": OOM_WORDS[0]}),
    http(500, OOM_WORDS[1]),
    http(200, {"error": OOM_WORDS[4]}),
    http(503, {"error": {"message": OOM_WORDS[5]}}),
    http(507),
]

PACKED = http(200, gzip.compress(b'{"text": "a"}'), Content_Encoding="gzip")

ANSWERS: list[tuple[str, Reply, type[AnswerError], str | None]] = [
    ("a reset", reset, BrokenOff, None),
    ("a connection closed without a word", raw(b""), BrokenOff, "disconnected"),
    ("half a head", raw(b"HTTP/1.1 200 OK\r\nContent-Le"), BrokenOff, None),
    ("half an answer", raw(headers(1000) + b'{"text": "hel'), BrokenOff, "without sending complete"),
    ("garbage", raw(b"\x00\xff" * 500 + b"\r\n\r\n"), BrokenOff, None),
    ("a proxy without its server", http(502, "<html>Bad Gateway</html>"), BrokenOff, "502"),
    ("HTML", http(200, "<html><body>Welcome to nginx!</body></html>"), ProtocolError, "Welcome to nginx"),
    ("nothing", http(200), ProtocolError, "b''"),
    ("an empty object", http(200, {}), ProtocolError, None),
    ("a list", http(200, "[1, 2]"), ProtocolError, None),
    ("a number for a text", http(200, {"text": 42}), ProtocolError, "42"),
    ("depths", http(200, "[" * 100_000), ProtocolError, r"\[\["),
    ("what we did not ask to be packed", PACKED, ProtocolError, None),
    ("no content", http(204), ServerError, "204"),
    ("an error", http(500, {"error": {"message": "something broke"}}), ServerError, "something broke"),
    ("an error in a proper answer", http(200, {"error": "something broke"}), ServerError, "something broke"),
    ("busy", http(503, {"error": "queue is full"}), ServerBusy, "queue is full"),
    ("busy in a proper answer", http(200, {"error": "The queue is full"}), ServerBusy, "queue is full"),
    ("too many requests", http(429), ServerBusy, "429"),
    ("a wrong request", http(400, {"error": "bad language"}), Rejected, "refused the request.*bad language"),
    ("too large", http(413), Rejected, "413"),
]  # fmt: skip


async def call(whisper: WhisperClient, name: str = "", **options: Any) -> Transcript:
    return await whisper.call_remote_asr_api(request(name), caller(**options))


async def settled(whisper: WhisperClient) -> Calls:
    """Wait until no exchange is in flight, and return the counts. No permit, waiter or task may be left."""
    await until(lambda: not whisper.in_flight.tasks)
    for server in whisper.snapshot().servers:
        assert (server.gate.active, server.gate.queued, server.gate.abandoned) == (0, 0, 0)
    await whisper.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return whisper.snapshot().calls


@pytest.mark.parametrize(("reply", "error", "words"), [pytest.param(*rest, id=name) for name, *rest in ANSWERS])
async def test_an_answer_is_taken_for_what_it_is_and_costs_one_call_its_retry(
    reply: Reply, error: type[AnswerError], words: str | None
) -> None:
    with WhisperStub(seconds=0, replies=[reply, reply, said()]) as stub:
        once = client(stub.url, max_attempts=1)
        with pytest.raises(error, match=words) as raised:
            await call(once)
        assert raised.type is error
        assert str(raised.value).isprintable()
        await settled(once)

        whisper = client(stub.url)
        if issubclass(error, Rejected):  # final: nothing is sent again
            with pytest.raises(Rejected):
                await call(whisper)
            assert len(stub.received) == 2
        else:
            assert (await call(whisper)).text == "hello"
            assert len(stub.received) == 3
            assert (await settled(whisper)).retries == 1


@pytest.mark.parametrize("reply", OOM_ANSWERS)
async def test_out_of_memory_is_known_in_all_its_wordings_and_counted(reply: Reply) -> None:
    with WhisperStub(seconds=0, replies=[reply, said()]) as stub:
        whisper = client(stub.url)
        assert (await call(whisper)).text == "hello"
        calls = await settled(whisper)
        assert (calls.oom_errors, calls.retries, calls.completed) == (1, 1, 1)
        assert calls.last_oom_at
        assert whisper.snapshot().servers[0].oom_errors == 1


@pytest.mark.parametrize("text", ["in the room we zoom", "it ran out of memory", "显存不足", "queue is full"])
async def test_a_transcript_that_speaks_of_memory_or_queues_is_a_transcript(text: str) -> None:
    with WhisperStub(seconds=0, replies=said(text)) as stub:
        whisper = client(stub.url)
        assert (await call(whisper)).text == text
        assert (await settled(whisper)).oom_errors == 0


@pytest.mark.parametrize("words", ["no room left in the zoom call", "boom", "the mushroom is bloomy"])
async def test_oom_as_a_part_of_other_words_is_no_lack_of_memory(words: str) -> None:
    with WhisperStub(seconds=0, replies=http(500, {"error": words})) as stub:
        whisper = client(stub.url, max_attempts=1)
        with pytest.raises(ServerError) as raised:
            await call(whisper)
        assert raised.type is ServerError
        assert (await settled(whisper)).oom_errors == 0


@pytest.mark.parametrize(
    "reply",
    [stalling(b""), stalling(b"HTTP/1.1 200 OK\r\n"), stalling(headers(100) + b'{"te'), dripping],
    ids=["before the answer", "inside its head", "inside its body", "dripping"],
)
async def test_a_server_that_hangs_costs_its_caller_the_time_out_and_its_permit_the_grace(reply: Reply) -> None:
    with WhisperStub(seconds=0, replies=[reply, said()]) as stub:
        whisper = client(stub.url, request_timeout=SENT_WITHIN, abandoned_grace=0.15)
        start = asyncio.get_running_loop().time()
        assert (await call(whisper)).text == "hello"
        assert asyncio.get_running_loop().time() - start >= SENT_WITHIN + 0.15
        assert stub.peak == 1
        assert (await settled(whisper)).retries == 1


async def test_a_call_that_times_out_is_sent_once_more_and_not_a_third_time() -> None:
    with WhisperStub(seconds=0, replies=stalling(b"")) as stub:
        whisper = client(stub.url, request_timeout=SENT_WITHIN, abandoned_grace=0.05, max_attempts=9)
        with pytest.raises(TimedOut):
            await call(whisper)
        assert len(stub.received) == 2
        await settled(whisper)


async def test_an_answer_of_gigabytes_is_cut_off_and_costs_little_memory() -> None:
    with WhisperStub(seconds=0, replies=[gigabytes, said()]) as stub:
        whisper = client(stub.url)
        tracemalloc.start()
        assert (await call(whisper)).text == "hello"
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5 * MAX_ANSWER_BYTES  # what is kept, a second copy while it grows, and what is on the wire
        await settled(whisper)


@pytest.mark.parametrize(
    "after",
    ["0.4", format_datetime(datetime.now(UTC) + timedelta(days=900), usegmt=True), None, "soon", "nan", "-3"],
    ids=["seconds", "a date", "not said", "not understood", "not a number", "the past"],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_asked_again_after_the_time_it_names_or_a_backoff(
    status: int, after: str | None
) -> None:
    answer = http(status, {"error": "busy"}, **({} if after is None else {"Retry-After": after}))
    delays: list[float] = []
    with WhisperStub(seconds=0, replies=[answer, said()]) as stub:
        whisper = client(stub.url, retry_delay=0.05)
        waiting = asyncio.create_task(call(whisper, durable=True, on_retry=lambda error, delay: delays.append(delay)))
        await until(lambda: bool(delays))
        if after and after.endswith("GMT"):
            assert delays == [86400.0]  # at most a day
            waiting.cancel()
        else:
            await waiting
            low, high = {"0.4": (0.4, 0.4), "-3": (0, 0)}.get(after or "", (0, 0.05))
            assert low <= delays[0] <= high
            assert stub.received[1].at - stub.received[0].at >= low
        await asyncio.wait([waiting])
        await settled(whisper)


async def test_a_call_that_cannot_wait_is_told_at_once_that_the_server_asks_for_hours() -> None:
    with WhisperStub(seconds=0, replies=http(503, Retry_After="7200")) as stub:
        whisper = client(stub.url)
        with pytest.raises(ServerBusy) as raised:
            await call(whisper)
        assert raised.value.retry_after == 7200
        await settled(whisper)


async def test_the_servers_words_are_cut_and_cannot_forge_a_line() -> None:
    with WhisperStub(seconds=0, replies=http(500, {"error": "a\r\nb\x1b[31m" + "x" * 9000})) as stub:
        whisper = client(stub.url, max_attempts=1)
        with pytest.raises(ServerError) as raised:
            await call(whisper)
        assert str(raised.value).startswith("HTTP 500: a  b [31mxxx")
        assert len(str(raised.value)) < 2100
        await settled(whisper)


async def test_what_servers_leave_out_or_write_in_their_own_way_is_tolerated() -> None:
    answers: list[Reply] = [
        http(200, {"text": " hi "}),
        http(200, {"text": "hi", "duration": "2.5", "language": "Chinese", "segments": None}),
        http(200, {"text": "hi", "segments": [
            {"start": "0", "end": 1, "text": " hi", "words": [{"start": 0, "end": 1, "word": "hi"}]},
        ]}),
        http(200, '{"text": "h\\u0000i\\ud800"}'),
    ]  # fmt: skip
    with WhisperStub(seconds=0, replies=answers) as stub:
        whisper = client(stub.url)
        plain, strings, words, surrogate = [await call(whisper) for _ in answers]
        assert plain == Transcript("hi", None, None, (), ())
        assert (strings.duration, strings.language) == (2.5, "zh")
        assert [word.word for word in words.words] == ["hi"]
        assert words.segments[0].text == "hi"
        assert surrogate.text == "hi?"  # text that any database and encoding takes
        await settled(whisper)


@given(
    status=st.sampled_from([200, 200, 200, 400, 500, 503]),
    body=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(
                st.sampled_from(["text", "error", "detail", "message", "segments", "words", "start", "language"]), inner
            ),
        ).map(lambda answer: json.dumps(answer).encode()),
        st.integers(900, 1100).map(lambda depth: b'{"error": ' * depth + b"1" + b"}" * depth),
    ),
    retry_after=st.one_of(st.none(), st.text(), st.floats().map(str)),
)  # fmt: skip
def test_no_answer_is_anything_but_a_transcript_or_an_error_of_the_family(
    status: int, body: bytes, retry_after: str | None
) -> None:
    try:
        transcript = read_answer(status, {} if retry_after is None else {"retry-after": retry_after}, body)
    except AnswerError as error:
        words, seconds = str(error), error.retry_after or 0
    else:
        words, seconds = transcript.text, 0
    words.encode()
    assert 0 <= seconds <= 86400
