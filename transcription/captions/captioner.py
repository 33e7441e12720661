"""Captions for one live session: sound is pushed in, tentative and final captions come out.

1. `UtteranceFinder` finds utterances. In silence nothing is recognised.
2. While an utterance grows, *partial* recognitions of it are made: one at a time, each of all its sound so far, as
   often as the `Pace` allows. Words that two in a row agree on are stable.
3. Where a stable sentence ends, the caption ends too, and becomes final. Its sound is dropped and its text goes into
   the next prompts. So partials stay short, and words become final within seconds even in speech without a pause.
4. A pause is a good moment for a partial: if the utterance turns out to have ended there, the partial has heard all of
   it and serves as the final. Else a *final* recognition is made, which waits as long as it takes.
5. Finals are made and told in the order of time. While one waits, no partial is started: a session that is late
   catches up first. Utterances that wait together are recognised together, because a call takes about as long for 3 s
   of sound as for 30.

All this is one module because it is one order: a single task takes partials and makes finals, in turn.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from transcription.answer import HeardWord, Transcript
from transcription.audio.vad import RATE
from transcription.captions.catch_up import CatchUp
from transcription.captions.drafts import Draft
from transcription.captions.pace import Pace
from transcription.captions.prompts import Prompt
from transcription.captions.recognition import Recognitions, RecognitionTask, Recognize, result
from transcription.captions.utterances import (
    BLOCK,
    LONGEST,
    PADDING,
    SHORTEST,
    Samples,
    Utterance,
    UtteranceFinder,
    seconds,
    windows,
)
from transcription.captions.words import CaptionWord, caption_words, whole_words, without_loops

FIRST = windows(0.8)  # of speech, before the first partial of an utterance: from less, Whisper guesses single words
FRESH = windows(1.0)  # of new speech, before the next one: two that heard nearly the same make the same mistakes
PAUSE = windows(0.2)  # of silence, before a partial that may serve as the final
TAIL = windows(0.1)  # of silence behind the last word, in a partial that has heard all of an utterance
TOGETHER = windows(28.0)  # the longest utterances that are recognised as one, together
APART = windows(2.0)  # the longest silence between two of them
BACKLOG = windows(60.0)  # of utterances that wait to become final, before `push` waits
INSTANT = 0.01  # seconds; the shortest wait, so that rounding never makes a busy loop


@dataclass(frozen=True, slots=True)
class CaptionState:
    """A caption as it is now, tentative or final. A later state with the same index replaces it; a final stays.

    start, end  seconds of the session
    stable      leading characters of the text that will not change; all of them in a final
    words       with their times; empty in tentative captions, and where the server does not tell times
    """

    index: int
    start: float
    end: float
    text: str
    final: bool
    stable: int
    language: str
    words: tuple[HeardWord, ...]


@dataclass(eq=False)
class _Partial:
    utterance: Utterance
    place: int  # the place at which its sound ends
    task: RecognitionTask


class Captioner:
    """Captions of one stream of sound.

    tell                is awaited with each new state, in order; `push` and `finish` raise what it raises
    first_index, start  of the first caption, and the second at which the stream begins: a session that was interrupted
                        goes on after its last final
    prompt              names and terms to expect
    """

    def __init__(
        self,
        recognize: Recognize,
        tell: Callable[[CaptionState], Awaitable[None]],
        pace: Pace,
        *,
        first_index: int = 0,
        start: float = 0.0,
        prompt: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._pace = pace
        self._index = first_index
        self._start = start
        self._prompt = Prompt(prompt)
        self._clock = clock
        self._samples = 0
        self._catch_up = CatchUp(clock)
        self._finder = UtteranceFinder()
        self._waiting: deque[Utterance] = deque()  # ended, but not final; the draft is of the first of them
        self._draft = Draft()  # of the first waiting utterance; if there is none, of the current one
        self._telling: int | None = None  # the place where the speech of the final begins that is being told
        self._partial: _Partial | None = None
        self._partial_since = -math.inf
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._recognitions = Recognitions(recognize, pace, self._news.set)
        self._worker: asyncio.Task[None] | None = None
        self._finished = self._closed = False

    @property
    def heard(self) -> float:
        """The second of the session up to which sound was pushed."""
        return self._start + self._samples / RATE

    @property
    def settled(self) -> float:
        """The second of the session up to which everything is final or silence."""
        if self._done_with_everything:
            return self.heard
        place = self._waiting[0].first if self._waiting else self._finder.silent_until
        return min(self._second(place if self._telling is None else self._telling), self.heard)

    @property
    def behind(self) -> float:
        return self.heard - self.settled

    @property
    def _done_with_everything(self) -> bool:
        return self._finished and not self._waiting

    async def push(self, samples: Samples) -> None:
        """Take the next sound. Waits while too much speech is not final yet."""
        for at in range(0, len(samples), BLOCK):
            while self._backlog > BACKLOG and self._goes_on():
                self._room.clear()
                await self._room.wait()
            if not self._goes_on():
                return
            self._hear(samples[at : at + BLOCK])
            await asyncio.sleep(0)  # let other tasks run during a long piece

    async def finish(self) -> None:
        """End the stream. Returns when the last final is told."""
        if self._goes_on():
            self._finished = True
            self._hear(np.empty(0, np.int16), last=True)
        await self._ended()

    async def aclose(self) -> None:
        """Give up all that is not final. Nothing is told any more."""
        self._closed = True
        self._pace.falls_silent(self)
        self._room.set()
        if self._worker:
            self._worker.cancel()
            with suppress(Exception):  # raised by `tell`; it does not matter any more
                await self._ended()

    async def _ended(self) -> None:
        if self._worker:
            await asyncio.wait([self._worker])
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._worker and self._worker.done() and not self._worker.cancelled():
            self._worker.result()

    def _goes_on(self) -> bool:
        self._raise_failure()
        return not self._closed and not self._finished

    # --- utterances ----------------------------------------------------------------------------

    def _hear(self, samples: Samples, *, last: bool = False) -> None:
        self._catch_up.add(len(samples) / RATE)
        self._samples += len(samples)
        self._waiting.extend(self._finder.hear(samples, last=last))
        current = self._finder.current
        if current and current.last - current.first >= LONGEST and not self._finder.pausing:
            self._waiting.append(self._cut(current))
        if current:
            self._pace.speaks(self)
        else:
            self._pace.falls_silent(self)
        if not self._worker:
            self._worker = asyncio.create_task(self._work())
            self._worker.add_done_callback(lambda _: self._room.set())
        self._news.set()

    def _cut(self, current: Utterance) -> Utterance:
        """End an utterance that has become too long, behind its stable words."""
        earliest = current.first
        if not self._waiting:
            if stable := self._draft.words[: self._draft.stable]:
                end = stable[-1].end
                earliest = self._draft.heard_before if end is None else self._place(end)
            self._draft.cut_short()
        return self._finder.cut(current, current.best_cut(earliest))

    @property
    def _backlog(self) -> int:
        return sum(utterance.last - utterance.first for utterance in self._waiting)

    # --- the one task that tells captions, in order ----------------------------------------------

    async def _work(self) -> None:
        try:
            while not self._done_with_everything:
                self._news.clear()
                if self._partial and self._partial.task.done():
                    await self._take_partial(self._partial)
                elif self._waiting:
                    await self._make_final(self._waiting[0])
                    self._waiting.popleft()
                    self._room.set()
                else:
                    await self._wait(self._try_partial())
        finally:
            await self._recognitions.cancel()

    async def _wait(self, timeout: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._news.wait()

    def _call(self, utterance: Utterance, place: int, *, final: bool) -> RecognitionTask:
        prompt = self._prompt.text(continues=utterance.continues)
        return self._recognitions.start(utterance.samples(place), prompt, final=final)

    # --- partials ------------------------------------------------------------------------------

    def _try_partial(self) -> float | None:
        """Start a partial if it is due. Returns the seconds until one is due; None where it needs more than time."""
        utterance = self._finder.current
        pause = self._pace.pause()
        if not utterance or self._partial or pause is None:
            return None
        paused = self._finder.pausing >= PAUSE
        if paused:
            wanted = self._draft.heard < utterance.ends + TAIL
        else:
            since = max(self._draft.heard, utterance.begins)
            wanted = utterance.ends - since >= (FRESH if self._draft.heard else FIRST)
        if not wanted:
            return None
        now = self._clock()
        # A partial in a pause may come early. The next one is later then, so that the mean pace stays.
        due = self._partial_since if paused else self._partial_since + pause
        if (early := max(due - now, self._catch_up.left)) > 0:
            return max(early, INSTANT)
        self._partial_since = max(now, self._partial_since + pause)
        place = min(utterance.last, utterance.ends + PADDING)
        self._partial = _Partial(utterance, place, self._call(utterance, place, final=False))
        return None

    async def _take_partial(self, partial: _Partial) -> None:
        """Add a partial that has ended to the draft, and tell the new text."""
        self._partial = None
        utterance, transcript = partial.utterance, result(partial.task)
        if transcript is None or partial.place > utterance.last:  # a cut came meanwhile: the partial heard too much
            return
        before = self._draft.stable
        speaking = not _all_heard(partial.place, utterance)
        words = self._words(transcript, utterance)
        second = self._second(partial.place)
        self._draft.hear(whole_words(words) if speaking else words, partial.place, second)
        self._draft.language = transcript.language or self._draft.language
        if utterance is self._finder.current:
            await self._split(utterance, before)
        await self._tell_draft(utterance, speaking=speaking)

    async def _split(self, utterance: Utterance, stable_before: int) -> None:
        """End the caption behind a stable sentence, if there is one: its first part becomes final."""
        boundary = self._draft.boundary(self._second(utterance.begins), stable_before)
        if not boundary:
            return
        count, end, start = boundary
        place = utterance.quietest(self._place(end) - TAIL, self._place(start) + TAIL)
        if utterance.begins + SHORTEST <= place <= utterance.ends - SHORTEST:
            head = self._draft.split(count)
            begins, first = utterance.begins, utterance.first
            utterance.drop(place)
            await self._tell_final(head, first, begins, place)

    async def _tell_draft(self, utterance: Utterance, *, speaking: bool) -> None:
        text = self._draft.likely(self._second(self._draft.heard)) if speaking else self._draft.text
        news = text, len(self._draft.settled)
        if news != (self._draft.told or ("", 0)):
            self._draft.told = news
            start, end = self._second(utterance.begins), self._second(utterance.ends)
            await self._tell(CaptionState(self._index, start, end, text, False, news[1], self._draft.language, ()))

    # --- finals --------------------------------------------------------------------------------

    async def _make_final(self, utterance: Utterance) -> None:
        partial = self._partial
        if partial and _all_heard(partial.place, utterance):
            await asyncio.wait([partial.task])
            await self._take_partial(partial)
        if not _all_heard(self._draft.heard, utterance):
            self._join_waiting(utterance)
            if transcript := await self._final_transcript(utterance):
                self._draft.settle(self._words(transcript, utterance))
                self._draft.language = transcript.language or self._draft.language
        draft, self._draft = self._draft, Draft()
        await self._tell_final(draft, utterance.first, utterance.begins, utterance.ends)

    def _join_waiting(self, utterance: Utterance) -> None:
        """Join the utterances behind it that wait, too, as many as fit into one call."""
        while len(self._waiting) > 1:
            later = self._waiting[1]
            if later.last - utterance.first > TOGETHER or later.first - utterance.last > APART:
                return
            utterance.join(later)
            del self._waiting[1]

    async def _final_transcript(self, utterance: Utterance) -> Transcript | None:
        """Make a final recognition. A partial that is still under way is told if it ends first, else cancelled."""
        final = self._call(utterance, utterance.last, final=True)
        while not final.done():
            if self._partial and self._partial.task.done():
                await self._take_partial(self._partial)
            else:
                await asyncio.wait(self._recognitions.under_way, return_when=asyncio.FIRST_COMPLETED)
        if self._partial:
            self._partial.task.cancel()
            await asyncio.wait([self._partial.task])
            self._partial = None
        return result(final)

    async def _tell_final(self, draft: Draft, first: int, begins: int, ends: int) -> None:
        text = draft.text
        if not text and not draft.told:
            return
        self._telling = first
        start, end = self._second(begins), min(self._second(ends), self.heard)
        caption = CaptionState(self._index, start, end, text, True, len(text), draft.language, draft.timed_words())
        self._index += 1
        self._prompt.add(text)
        await self._tell(caption)
        self._telling = None

    # --- words and times -----------------------------------------------------------------------

    def _words(self, transcript: Transcript, utterance: Utterance) -> list[CaptionWord]:
        return without_loops(caption_words(transcript, self._second(utterance.first), self._second(utterance.last)))

    def _second(self, place: int) -> float:
        return self._start + seconds(place)

    def _place(self, second: float) -> int:
        return windows(second - self._start)


def _all_heard(place: int, utterance: Utterance) -> bool:
    """Whether a recognition of the sound up to this place has heard all words of the utterance, and no others."""
    return min(utterance.ends + TAIL, utterance.last) <= place <= utterance.last
