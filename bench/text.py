"""The growth of work on text with its length, and the time for which it holds up the event loop.

    python -m bench.text [--hours 12] [--most 8000]

First: seconds for texts of doubled sizes, of the kinds that once took long, and the growth with each doubling (2.0 is
linear). Then a recording of --hours is asked for through the ASGI application, as JSON, as its transcript in each
format, as its page, and one segment of a long text is corrected. Prints the seconds of each, and the longest time for
which the event loop stood still. A thread that only counts comes first: its figure is the interpreter's and the
machine's share.
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

FOLDER = tempfile.TemporaryDirectory()
os.environ["DATA_DIR"] = FOLDER.name
os.environ["ASR_API_URL"] = "http://127.0.0.1:9/v1"
os.environ["ALLOWED_HOSTS"] = "testserver"  # as which Django's client asks
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django  # noqa: E402 the settings read the environment

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import AsyncClient  # noqa: E402
from django.utils import timezone  # noqa: E402

from recordings.models import Recording, Segment, Transcription  # noqa: E402
from recordings.transcripts.exports import FORMATS, as_srt, segment_json  # noqa: E402
from recordings.transcripts.sentences import lines  # noqa: E402
from recordings.transcripts.transcript import FullTranscript  # noqa: E402

LONG_ENOUGH = 20.0  # seconds, after which a kind of text is not tried any larger
BEAT = 0.001  # seconds between two signs of life of the event loop
PACE = 0.33  # seconds per word: three words a second is the usual speed of speech


def said(words: Sequence[str], index: int = 0, start: float = 0.0, *, typed: str | None = None) -> Segment:
    """A segment with these words at an even pace, and the correction `typed`, if there is one."""
    timed = [
        {"start": start + n * PACE, "end": start + (n + 1) * PACE, "word": f" {word}", "probability": 0.9}
        for n, word in enumerate(words)
    ]
    end = start + len(words) * PACE
    return Segment(index=index, start=start, end=end, text=" ".join(words), words=timed, correction=typed)


def srt_of(segment: Segment) -> str:
    recording = Recording(title="Long", duration=segment.end)
    return as_srt(FullTranscript(recording, Transcription(), [segment]))


def shuffled(size: int) -> Segment:
    words = [f"w{n}" for n in range(size)]
    return said(words, typed=" ".join(random.Random(size).sample(words, size)))


KINDS: dict[str, Callable[[int], object]] = {
    "a repeated word, corrected": lambda n: segment_json(
        said(["a"] * n, typed="a " * (n // 2) + "b" + " a" * (n // 2))
    ),
    "three words in turns, corrected": lambda n: segment_json(
        said(["a", "b", "c"] * (n // 3), typed="c b a d " * (n // 4))
    ),
    "shuffled words as subtitles": lambda n: srt_of(shuffled(n)),
    "one long word as subtitles": lambda n: srt_of(said(["x" * n])),
    "Chinese without a comma as subtitles": lambda n: srt_of(said(["你"] * n)),
    "opening brackets as subtitles": lambda n: srt_of(said(["（" * n])),
    "a sentence without an end, on its page": lambda n: lines(said(["so"] * n)),
    "short segments, joined": lambda n: FullTranscript(Recording(), Transcription(), [said(["Yes."])] * n).text,
}


def grow(kind: str, work: Callable[[int], object], sizes: Sequence[int]) -> None:
    print(f"{kind:<40}", end="", flush=True)
    before = 0.0
    for size in sizes:
        started = time.process_time()
        work(size)
        seconds = time.process_time() - started
        growth = f" x{seconds / before:.1f}" if before else ""
        print(f"  {size}: {seconds:.3f} s{growth}", end="", flush=True)
        before = seconds
        if seconds > LONG_ENOUGH:
            break
    print(flush=True)


def long_recording(owner: User, hours: float) -> Recording:
    """A finished recording of so many hours, with a segment of 90 words for each 30 seconds."""
    recording = Recording.objects.create(
        owner=owner, title="Long", duration=hours * 3600, bytes=1, sha256="0" * 64, media_type="audio/wav", source="api"
    )
    run = Transcription.objects.create(recording=recording, status="done", finished_at=timezone.now())
    words = ["word"] * 89 + ["end."]
    made = [said(words, index, 30.0 * index) for index in range(int(hours * 120))]
    for segment in made:
        segment.transcription = run
    Segment.objects.bulk_create(made, batch_size=500)
    return recording


async def standing_still(answer: Awaitable[Any]) -> tuple[float, float]:
    """Seconds until the answer, and the longest time for which nothing else ran on the event loop."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        latest = time.perf_counter()
        while True:
            await asyncio.sleep(BEAT)
            now = time.perf_counter()
            longest, latest = max(longest, now - latest), now

    heart = asyncio.create_task(beat())
    await asyncio.sleep(10 * BEAT)
    started = time.perf_counter()
    response = await answer
    seconds = time.perf_counter() - started
    await asyncio.sleep(2 * BEAT)
    heart.cancel()
    assert getattr(response, "status_code", 200) == 200, response.content[:300]
    return seconds, longest


def count() -> None:
    for _ in range(30_000_000):
        pass


async def ask(owner: User, recording: Recording) -> None:
    client = AsyncClient()
    await client.aforce_login(owner)
    base = f"/api/recordings/{recording.pk}"
    paths = [base, *(f"{base}/transcript?format={name}" for name in FORMATS), f"/recordings/{recording.pk}"]
    typed = {"text": "again " * 1_600}
    await client.get("/api/recordings")  # the first request loads things
    asked: list[tuple[str, Awaitable[Any]]] = [
        ("a thread that only counts", asyncio.to_thread(count)),
        *((path, client.get(path)) for path in paths),
        ("a segment of a repeated word", client.patch(f"{base}/segments/0", typed, content_type="application/json")),
    ]
    for what, answer in asked:
        seconds, still = await standing_still(answer)
        print(f"  {what:<48}{seconds:>7.2f} s, the loop stood still for {1000 * still:>6.0f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--most", type=int, default=8_000, help="words of the largest text")
    options = parser.parse_args()
    for kind, work in KINDS.items():
        grow(kind, work, [options.most // 8, options.most // 4, options.most // 2, options.most])
    call_command("migrate", verbosity=0)
    owner = User.objects.create(username="owner")
    print(f"a recording of {options.hours:g} hours")
    recording = long_recording(owner, options.hours)
    asyncio.run(ask(owner, recording))


if __name__ == "__main__":
    main()
