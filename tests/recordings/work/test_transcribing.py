"""A job from its row to its text, with an HTTP server that tests can break in the place of Whisper."""

import asyncio
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage

from bench.segments import sound
from recordings.library.organising import adelete_recording
from recordings.models import Recording, Segment, Transcription
from recordings.work.jobs import acancel_transcription, aqueue_transcription
from recordings.work.places import standing
from recordings.work.transcribing import _limiters, run_transcription
from tests.support.audio_files import clip
from tests.support.jobs import CLIPS, finished, jobs_running, recording, someone, whisper_at
from tests.support.openai_clients import heard
from tests.support.speech import audioeval, librivox
from tests.support.waiting import PATIENCE, until
from tests.support.whisper_stub import OUT_OF_MEMORY, WhisperStub, http, reset, said
from transcription import service
from transcription.audio import RATE, wav

pytestmark = pytest.mark.django_db(transaction=True)

PAUSE = np.zeros(RATE, np.int16)


async def texts(transcription: Transcription) -> list[tuple[int, str]]:
    return [(segment.index, segment.text) async for segment in transcription.segments.order_by("index")]


async def test_every_segment_passes_the_gate_by_itself_and_is_kept_once_and_in_order() -> None:
    with WhisperStub(replies=[said(f"sentence {number}") for number in range(CLIPS)]) as stub, whisper_at(stub):
        async with jobs_running():
            job = await finished(await aqueue_transcription(await recording(await someone())))
    assert (job.status, job.error_code) == ("done", "")
    assert await texts(job) == [(number, f"sentence {number}") for number in range(CLIPS)]
    assert (job.segments_done, job.segments_total, job.attempts) == (CLIPS, CLIPS, 1)
    assert stub.peak == 1
    segments = [segment async for segment in Segment.objects.order_by("index")]
    assert all(before.end <= after.start for before, after in pairwise(segments))
    made = await Recording.objects.aget()
    assert made.peaks
    assert max(made.peaks) > 0.1


async def test_a_job_at_work_uses_permits_that_are_added() -> None:
    with WhisperStub() as stub, whisper_at(stub, ASR_MAX_CONCURRENT=str(CLIPS), ASR_ADAPTIVE=False):
        stub.hold()
        name = service.snapshot().servers[0].gate.name
        service.set_ceiling(name, 1)
        async with jobs_running():
            job = await aqueue_transcription(await recording(await someone()))
            await until(lambda: stub.computing == 1)
            service.set_ceiling(name, CLIPS)
            stub.let_one_go()
            await until(lambda: stub.computing == CLIPS - 1)
            stub.let_go()
            job = await finished(job)
    assert [index for index, _ in await texts(job)] == list(range(CLIPS))


async def test_a_run_that_was_killed_goes_on_after_the_segments_that_are_committed() -> None:
    with WhisperStub(seconds=0.2, replies=[said(f"sentence {n}") for n in range(2 * CLIPS)]) as stub, whisper_at(stub):
        job = await aqueue_transcription(await recording(await someone()))
        first = asyncio.create_task(run_transcription(job.pk))
        async with asyncio.timeout(PATIENCE):
            while await job.segments.acount() < 2 or len(stub.received) < 3:  # noqa: ASYNC110 it happens in a database
                await asyncio.sleep(0.005)
        first.cancel()
        await asyncio.wait({first})
        committed = await texts(job)
        assert [index for index, _ in committed] == [0, 1]
        await job.arefresh_from_db()
        assert job.status == "transcribing"

        async with jobs_running():  # as in a new process, which goes on with the jobs of the old one
            job = await finished(job)
    assert job.status == "done"
    assert [index for index, _ in await texts(job)] == list(range(CLIPS))
    assert (await texts(job))[:2] == committed
    assert len(stub.received) == CLIPS + 1  # only the segment that was under way was sent again


async def test_two_requests_at_once_make_one_job() -> None:
    made = await recording(await someone())
    first, second = await asyncio.gather(aqueue_transcription(made), aqueue_transcription(made))
    assert first.pk == second.pk
    assert await Transcription.objects.acount() == 1


async def test_a_server_that_is_away_fails_nothing_and_the_job_goes_on_when_it_is_back() -> None:
    with WhisperStub() as stub, whisper_at(stub):
        stub.stop()
        async with jobs_running():
            job = await aqueue_transcription(await recording(await someone()))
            await until(lambda: service.snapshot().servers[0].breaker == "open")
            await job.arefresh_from_db()
            assert job.status == "transcribing"
            stub.start()
            job = await finished(job)
    assert (job.status, job.segments_done) == ("done", CLIPS)


async def test_a_server_that_is_busy_fails_nothing() -> None:
    busy = [http(503, {"error": "queue is full"}, Retry_After="0")] * 7
    with WhisperStub(seconds=0.01, replies=[*busy, said()]) as stub, whisper_at(stub):
        async with jobs_running():
            job = await finished(await aqueue_transcription(await recording(await someone())))
    assert job.status == "done"
    assert len(stub.received) == 7 + CLIPS


async def test_out_of_memory_three_times_fails_with_a_reason_and_keeps_what_was_transcribed() -> None:
    with WhisperStub(replies=[said("kept"), OUT_OF_MEMORY]) as stub, whisper_at(stub, ASR_ADAPTIVE=False):
        async with jobs_running():
            job = await finished(await aqueue_transcription(await recording(await someone())))
    assert (job.status, job.error_code) == ("failed", "out_of_memory")
    assert "CUDA out of memory" in job.error_message
    assert await texts(job) == [(0, "kept")]
    assert Counter(request.fields["model"] for request in stub.received)["whisper-1"] >= 4


async def test_a_refusal_fails_at_once_with_the_servers_words() -> None:
    with WhisperStub(replies=http(404, {"error": {"message": "model 'nova' not found"}})) as stub, whisper_at(stub):
        async with jobs_running():
            job = await finished(await aqueue_transcription(await recording(await someone()), model="nova"))
    assert (job.status, job.error_code) == ("failed", "rejected")
    assert "does not know this model" in job.error_message
    assert {request.fields["model"] for request in stub.received} == {"nova"}


async def test_a_connection_that_breaks_off_is_tried_again() -> None:
    with WhisperStub(replies=[reset, said()]) as stub, whisper_at(stub):
        async with jobs_running():
            job = await finished(await aqueue_transcription(await recording(await someone())))
    assert job.status == "done"
    assert len(stub.received) == CLIPS + 1


async def test_a_canceled_job_stops_and_the_next_one_moves_up() -> None:
    with WhisperStub(seconds=0.3) as stub, whisper_at(stub):
        mei = await someone()
        async with jobs_running():
            running = await aqueue_transcription(first := await recording(mei))
            await until(lambda: stub.computing == 1)
            waiting = await aqueue_transcription(await recording(mei))
            last = await aqueue_transcription(third := await recording(mei))
            assert {pk: place.position for pk, place in (await sync_to_async(standing)()).places.items()} == {
                running.pk: None,
                waiting.pk: 1,
                last.pk: 2,
            }
            await acancel_transcription(third)
            assert (await finished(last)).status == "canceled"
            await acancel_transcription(first)
            assert (await finished(running)).status == "canceled"
            assert (await finished(waiting)).status == "done"
    assert stub.peak == 1


async def test_one_owners_long_work_does_not_keep_another_owner_waiting() -> None:
    with WhisperStub(seconds=0.1) as stub, whisper_at(stub):
        mei, jonas = await someone("mei"), await someone("jonas")
        async with jobs_running():
            many = [await aqueue_transcription(await recording(mei)) for _ in range(3)]
            await until(lambda: stub.computing == 1)
            one = await finished(await aqueue_transcription(await recording(jonas)))
            assert one.status == "done"
            await many[-1].arefresh_from_db()
            assert many[-1].status == "queued"
            for job in many:
                await acancel_transcription(await Recording.objects.aget(transcriptions=job))


async def test_deleting_a_recording_that_is_transcribed_leaves_nothing_behind() -> None:
    with WhisperStub(seconds=0.2) as stub, whisper_at(stub):
        async with jobs_running() as runner:
            made = await recording(await someone())
            name = made.original.name
            await aqueue_transcription(made)
            await until(lambda: len(stub.received) == 2)
            await asyncio.gather(adelete_recording(made), adelete_recording(await Recording.objects.aget(pk=made.pk)))
            await until(lambda: not runner._tasks)
            await until(lambda: service.snapshot().servers[0].gate.active == 0)
    assert not await Recording.objects.aexists()
    assert not await Transcription.objects.aexists()
    assert not await Segment.objects.aexists()
    assert not default_storage.exists(str(name))


async def test_a_recording_without_speech_is_done_with_no_text() -> None:
    silence = (
        b"RIFF"
        + (36 + 64000).to_bytes(4, "little")
        + b"WAVEfmt "
        + bytes.fromhex("1000000001000100803e0000007d000002001000")
        + b"data"
        + (64000).to_bytes(4, "little")
        + bytes(64000)
    )
    with WhisperStub() as stub, whisper_at(stub):
        async with jobs_running():
            job = await finished(await aqueue_transcription(await recording(await someone(), silence)))
    assert (job.status, job.segments_total) == ("done", 0)
    assert stub.received == []


async def test_a_file_that_is_gone_fails_with_a_reason() -> None:
    with WhisperStub() as stub, whisper_at(stub):
        made = await recording(await someone())
        default_storage.delete(str(made.original.name))
        async with jobs_running():
            job = await finished(await aqueue_transcription(made))
    assert (job.status, job.error_code) == ("failed", "source_missing")


async def test_a_job_that_another_process_put_in_line_is_found() -> None:
    with WhisperStub() as stub, whisper_at(stub):
        async with jobs_running():
            await asyncio.sleep(0.2)
            job = await Transcription.objects.acreate(recording=await recording(await someone()))
            assert (await finished(job)).status == "done"


async def test_a_process_that_stops_lets_the_segment_under_way_end_and_leaves_the_rest_in_line() -> None:
    with WhisperStub() as stub, whisper_at(stub):
        stub.hold()
        async with jobs_running():
            job = await aqueue_transcription(await recording(await someone()))
            await until(lambda: stub.computing == 1)
            await until(lambda: any(places.statistics().tasks_waiting for places in _limiters.values()))
            begun = len(stub.received)
            asyncio.get_running_loop().call_soon(stub.let_go)  # runs after the runner is told to stop
        await job.arefresh_from_db()
        assert job.status == "transcribing"
        assert job.segments_done == len(stub.received) == begun < CLIPS  # every answer was kept, and no new call made

        async with jobs_running():
            assert (await finished(job)).segments_done == CLIPS
    assert len(stub.received) == CLIPS


async def test_a_run_that_is_killed_while_it_hears_a_second_time_commits_the_segment_once_and_whole() -> None:
    content = b"".join(wav(np.concatenate((clip(), PAUSE, clip()))))
    answers = [heard("first"), heard("second")]  # the call for both sentences has the text of the first
    with WhisperStub(seconds=0.3, replies=[*answers, *answers]) as stub, whisper_at(stub):
        job = await aqueue_transcription(await recording(await someone(), content))
        first = asyncio.create_task(run_transcription(job.pk))
        await until(lambda: len(stub.received) == 2)
        first.cancel()
        await asyncio.wait({first})
        assert await texts(job) == []

        async with jobs_running():
            job = await finished(job)
    assert (job.status, await texts(job)) == ("done", [(0, "first second")])
    whole, part = [request.audio_seconds for request in stub.received[2:]]
    assert part < whole / 2
    segment = await job.segments.aget()
    assert [round(word["start"] / 8) for word in segment.words] == [0, 1]


@pytest.mark.slow
async def test_a_recording_that_mixes_chinese_and_english_keeps_both(whisper_server: str) -> None:
    chinese = next(sentence for sentence in audioeval("zh") if sentence.text.startswith("天地"))
    parts = [sound(one) for one in (librivox()[1], chinese, librivox()[2])]
    content = b"".join(wav(np.concatenate([piece for part in parts for piece in (part, PAUSE)])))
    with WhisperStub() as stub, whisper_at(stub, ASR_API_URL=whisper_server):  # the stub gets no call
        mei = await someone()
        async with jobs_running():
            anything = await finished(await aqueue_transcription(await recording(mei, content)))
            english = await finished(await aqueue_transcription(await recording(mei, content), language="en"))
    ((_, mixed),) = await texts(anything)
    assert "young man" in mixed
    assert "天地" in mixed
    assert "cold-hearted" in mixed
    assert mixed.index("young man") < mixed.index("天地") < mixed.index("cold-hearted")
    ((_, obedient),) = await texts(english)
    assert obedient.isascii()
