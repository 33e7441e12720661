"""Live captions in virtual time, with simulated speakers and servers.

A word is 0.32 s of sound. Its loudness is the number of the word in the text, and its last 32 ms are quiet. So a
simulated server can tell the words in a piece of sound, and their times, as Whisper does. `Loudness` takes the place of
Silero, which would find no speech in such sound. In Chinese each character is a word.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from transcription.answer import HeardWord, Transcript, TranscriptSegment
from transcription.audio.vad import RATE, WINDOW
from transcription.captions import Captioner, CaptionState, Pace
from transcription.errors import Rejected

Samples = npt.NDArray[np.int16]
WORD = 10  # windows
LOUD = 1000  # the loudness of the first word; the next is one louder
PIECE = 1600  # samples that are pushed at a time, 100 ms


class Loudness:
    """Takes the place of `VoiceActivity`: loud sound is speech."""

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        return np.where(samples.reshape(-1, WINDOW).max(axis=1) >= LOUD, np.float32(1), np.float32(0))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE / WINDOW) * WINDOW, np.int16)


class Speaker:
    """Speaks a text. `say` makes the sound of the next words; `words_in` tells the words in a piece of sound."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, text: str) -> Samples:
        words = re.findall(r"[\u4e00-\u9fff][，。]?|[^\s\u4e00-\u9fff]+", text)
        numbers = LOUD + len(self.words) + np.arange(len(words))
        self.words += words
        sound = np.repeat(numbers, WORD * WINDOW).reshape(-1, WORD * WINDOW).astype(np.int16)
        sound[:, -WINDOW:] = 0
        return sound.reshape(-1)

    def words_in(self, samples: Samples) -> list[HeardWord]:
        """The words of which at least half lies in the samples."""
        edges = np.flatnonzero(np.diff(samples, prepend=0, append=0))
        return [
            HeardWord(first / RATE, last / RATE, self._written(samples[first] - LOUD), 0.9)
            for first, last in pairwise(edges.tolist())
            if samples[first] >= LOUD and last - first >= WORD * WINDOW / 2
        ]

    def _written(self, number: int) -> str:
        word = self.words[number]
        return word if ord(word[0]) > 0x2E80 else f" {word}"

    @property
    def text(self) -> str:
        return "".join(self._written(number) for number in range(len(self.words))).strip()


def transcript(words: list[HeardWord], language: str = "en") -> Transcript:
    text = "".join(word.word for word in words).strip()
    segments = (TranscriptSegment(words[0].start, words[-1].end, text, -0.2, 0.0, 1.0),) if words else ()
    return Transcript(text, language, None, segments, tuple(words))


def written(text: str) -> Transcript:
    """The answer of a server that gives no times."""
    return Transcript(text, "en", None, (), ())


@dataclass(eq=False)
class Call:
    """A recognition that the captioner asked for. `began`, `ended`: seconds on the loop's clock."""

    samples: Samples
    prompt: str
    final: bool
    began: float
    ended: float | None = None

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


Answer = Callable[[Call], Awaitable[Transcript]]


@dataclass(eq=False)
class Stage:
    """One captioned session. All calls and captions are noted, and checked when they happen."""

    answer: Answer
    pace: Pace
    first_index: int = 0
    start: float = 0.0
    prompt: str = ""
    calls: list[Call] = field(default_factory=list)
    told: list[tuple[float, CaptionState]] = field(default_factory=list)
    shown: dict[int, CaptionState] = field(default_factory=dict)
    telling: float = 0.0  # seconds that it takes to tell a final
    broken: Exception | None = None  # `tell` raises it

    def __post_init__(self) -> None:
        clock = asyncio.get_running_loop().time
        self.clock = clock
        self.captioner = Captioner(
            self.recognize,
            self.tell,
            self.pace,
            first_index=self.first_index,
            start=self.start,
            prompt=self.prompt,
            clock=clock,
        )

    async def recognize(self, samples: Samples, *, prompt: str, final: bool) -> Transcript:
        under_way = [call.final for call in self.calls if call.ended is None]
        assert final not in under_way, "two of a kind are under way"
        assert True not in under_way, "a partial was started while a final waited"
        assert (samples >= LOUD).any(), "silence was recognised"
        call = Call(samples, prompt, final, self.clock())
        self.calls.append(call)
        try:
            return await self.answer(call)
        finally:
            call.ended = self.clock()

    async def tell(self, caption: CaptionState) -> None:
        if self.broken:
            raise self.broken
        self.check(caption)
        self.shown[caption.index] = caption
        self.told.append((self.clock(), caption))
        if caption.final:
            settled = self.captioner.settled
            await asyncio.sleep(self.telling)
            assert self.captioner.settled == settled <= caption.start, "settled before it was told"

    def check(self, caption: CaptionState) -> None:
        before = self.shown.get(caption.index)
        if before:
            assert not before.final, "a final changed"
            assert caption.text.startswith(before.text[: before.stable]), "what was stable changed"
            assert caption.stable >= before.stable, "what was stable is so no longer"
            assert caption.start >= before.start
        else:
            assert caption.index == self.first_index + len(self.shown), "an index was left out"
        earlier = self.shown.get(caption.index - 1)
        assert not earlier or (earlier.final and earlier.end <= caption.start), "captions out of order"
        assert self.start <= caption.start <= caption.end <= self.captioner.heard, "times that cannot be"
        assert caption.stable <= len(caption.text)
        assert caption.text == caption.text.strip()
        if caption.final:
            assert caption.stable == len(caption.text)
            times = [second for word in caption.words for second in (word.start, word.end)]
            assert not times or "".join(word.word for word in caption.words).strip() == caption.text
        else:
            assert caption.words == ()

    async def push(self, sound: Samples, *, live: bool = True) -> None:
        """Push sound at the pace of speech if it is `live`, or all at once."""
        for at in range(0, len(sound), PIECE):
            if live:
                await asyncio.sleep(len(sound[at : at + PIECE]) / RATE)
            await self.captioner.push(sound[at : at + PIECE])
            assert self.start <= self.captioner.settled <= self.captioner.heard

    async def finish(self) -> None:
        await self.captioner.finish()
        assert all(caption.final for caption in self.shown.values()), "a caption was left tentative"
        assert self.captioner.behind == 0

    @property
    def finals(self) -> list[CaptionState]:
        return [caption for _, caption in self.told if caption.final]

    @property
    def partials(self) -> list[Call]:
        return [call for call in self.calls if not call.final]

    @property
    def texts(self) -> list[str]:
        return [caption.text for caption in self.finals]


def hearing(speaker: Speaker, service: float = 0.3) -> Answer:
    """A server that makes no mistakes and serves one call at a time."""
    gate = asyncio.Lock()

    async def answer(call: Call) -> Transcript:
        async with gate:
            await asyncio.sleep(service)
        return transcript(speaker.words_in(call.samples))

    return answer


def refusing(answer: Answer, refused: Callable[[Call], bool]) -> Answer:
    """A server that refuses the calls for which `refused` is true, and answers the others with `answer`."""

    async def answer_or_refuse(call: Call) -> Transcript:
        if refused(call):
            raise Rejected("no")
        return await answer(call)

    return answer_or_refuse
