"""Captions for one live session: sound is pushed in, tentative and final captions are told.

1. The listener finds utterances. In silence nothing is recognised.
2. While an utterance grows, *partial* recognitions of it are made: one at a time, each of all its sound so far, as
   often as the `Pace` allows. What two in a row agree on is stable.
3. Where a stable sentence ends, the caption ends too, and becomes final. Its sound is dropped, its text is the prompt
   for what follows: so partials stay short, and words become final within seconds of unbroken speech.
4. A pause in the speech is a good moment for a partial: if the utterance turns out to have ended there, it has heard
   everything, and is the final. Else a *final* recognition is made, which waits as long as it takes.
5. Finals are made and told in the order of time. While one waits, no partial is started: a session that is behind
   catches up first. Utterances that wait together are recognised together, for a call takes about as long for 3 s of
   sound as for 30.
"""

import asyncio
import logging
import math
import time
from asyncio import FIRST_COMPLETED
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from transcription.answer import HeardWord, Transcript
from transcription.audio.vad import RATE
from transcription.captions.drafts import Draft
from transcription.captions.listening import (
    BLOCK,
    LONGEST,
    PADDING,
    SHORTEST,
    Listener,
    Samples,
    Utterance,
    seconds,
    windows,
)
from transcription.captions.pace import Pace
from transcription.captions.tokens import Token, tokens_of, whole_words, without_loops
from transcription.errors import TranscriptionError

log = logging.getLogger(__name__)

FIRST = windows(0.8)  # of speech, before the first partial of an utterance: of less, Whisper guesses at single words
FRESH = windows(1.0)  # of new speech, before the next: two that heard nearly the same agree on the same mistakes
PAUSE = windows(0.2)  # of silence, before a partial that may be the final
TAIL = windows(0.1)  # of silence behind the last word, for a partial that has heard everything
TOGETHER = windows(28.0)  # of utterances that are recognised as one
APART = windows(2.0)  # of silence between two such
BACKLOG = windows(60.0)  # of utterances that wait to become final, before `push` waits
INSTANT = 0.01  # seconds; no waiting is shorter, whatever rounding says
HURRY, CALM, RUSH = 1.5, 1.0, 2.0  # see `_hurried`
PROMPT = 200  # tokens of Whisper, about: it takes 224
RECENT = 60  # of them, at most, for the text so far
TOKEN_ASCII, TOKEN_OTHER = 0.3, 1.5  # tokens that a character costs, about


class Recognize(Protocol):
    async def __call__(self, samples: Samples, *, prompt: str, final: bool) -> Transcript:
        """The text of 16 kHz mono samples, or a `TranscriptionError`.

        final=True: waits as long as it takes; if it raises all the same, this speech gets no caption.
        final=False: may give up, when too late or superseded; then this partial is left out.
        A session has at most one of each under way, and starts none while a final is. So all of them may share one
        `supersede` key: a final takes the place of the partial that still waits.
        """


@dataclass(frozen=True, slots=True)
class Caption:
    """Times are seconds of the session. `stable` characters of a tentative text will not change, nor in its final.

    `words`, with their times, only in finals, and where the server told them.
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
    place: int  # up to which it hears
    task: "asyncio.Task[Transcript | None]"


class Captioner:
    """`tell` is awaited: a final is told before anything later is. What it raises, `push` and `finish` raise.

    `first_index`, `start`: where a session that was interrupted goes on: after the end of its last final.
    """

    def __init__(
        self,
        recognize: Recognize,
        tell: Callable[[Caption], Awaitable[None]],
        pace: Pace,
        *,
        first_index: int = 0,
        start: float = 0.0,
        prompt: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recognize = recognize
        self._tell = tell
        self._pace = pace
        self._index = first_index
        self._start = start
        self._prompt = prompt.strip()
        self._recent = ""  # the end of the final text so far
        self._clock = clock
        self._samples = 0
        self._ahead, self._pushed_at = 0.0, clock()
        self._listener = Listener()
        self._waiting: deque[Utterance] = deque()  # ended, not final; the draft is of the first, if there is one
        self._draft = Draft()
        self._telling: int | None = None  # where the speech begins whose final is being told
        self._partial: _Partial | None = None
        self._partial_since = -math.inf
        self._calls: set[asyncio.Task[Transcript | None]] = set()
        self._worker: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._finished = self._closed = False

    @property
    def heard(self) -> float:
        """Seconds of the session that were pushed so far."""
        return self._start + self._samples / RATE

    @property
    def settled(self) -> float:
        """Seconds of the session up to which everything is final, or silence."""
        if self._done_with_everything:
            return self.heard
        place = self._waiting[0].first if self._waiting else self._listener.silent_until
        return min(self._second(place if self._telling is None else self._telling), self.heard)

    @property
    def behind(self) -> float:
        return self.heard - self.settled

    @property
    def _done_with_everything(self) -> bool:
        return self._finished and not self._waiting

    async def push(self, samples: Samples) -> None:
        """The next sound. Waits while too much of it is not final yet."""
        for at in range(0, len(samples), BLOCK):
            while self._backlog > BACKLOG and self._goes_on():
                self._room.clear()
                await self._room.wait()
            if not self._goes_on():
                return
            self._hear(samples[at : at + BLOCK])
            await asyncio.sleep(0)  # others want to live while a long piece is heard

    async def finish(self) -> None:
        """No more sound comes. Returns when the last final is told."""
        if self._goes_on():
            self._finished = True
            self._hear(np.empty(0, np.int16), last=True)
        await self._ended()

    async def aclose(self) -> None:
        """Give up what is not final. Nothing is told any more."""
        self._closed = True
        self._pace.falls_silent(self)
        self._room.set()
        if self._worker:
            self._worker.cancel()
            with suppress(Exception):  # what `tell` raised; nobody is interested any more
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

    # --- what is heard -------------------------------------------------------------------------

    def _hear(self, samples: Samples, *, last: bool = False) -> None:
        self._note_speed(len(samples) / RATE)
        self._samples += len(samples)
        self._waiting.extend(self._listener.hear(samples, last=last))
        current = self._listener.current
        if current and current.last - current.first >= LONGEST and not self._listener.pausing:
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
        """End what has become too long, but not before what is stable already."""
        earliest = current.first
        if not self._waiting:
            if stable := self._draft.tokens[: self._draft.stable]:
                end = stable[-1].end
                earliest = self._draft.heard_before if end is None else self._place(end)
            self._draft.cut_short()
        return self._listener.cut(current, current.best_cut(earliest))

    @property
    def _backlog(self) -> int:
        return sum(utterance.last - utterance.first for utterance in self._waiting)

    def _note_speed(self, pushed: float) -> None:
        now = self._clock()
        leaked = HURRY * (now - self._pushed_at)
        self._ahead, self._pushed_at = min(max(0.0, self._ahead - leaked) + pushed, RUSH), now

    @property
    def _hurried(self) -> float:
        """Seconds until sound that comes faster than it is spoken would have been spoken; until then what is newest
        is not what is said now.

        Sound fills a bucket that leaks a little faster than people speak; a second in it is but an unsteady network.
        """
        return (self._ahead - CALM) / HURRY - (self._clock() - self._pushed_at)

    # --- what is told: one task, so that everything is in order -------------------------------------

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
            for call in self._calls:
                call.cancel()
            if self._calls:
                await asyncio.wait(self._calls)

    async def _wait(self, timeout: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._news.wait()

    def _call(self, utterance: Utterance, place: int, *, final: bool) -> "asyncio.Task[Transcript | None]":
        prompt = self._context(utterance)
        call = asyncio.create_task(self._transcript(utterance.samples(place), prompt, final))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        call.add_done_callback(lambda _: self._news.set())
        return call

    async def _transcript(self, samples: Samples, prompt: str, final: bool) -> Transcript | None:
        try:
            with self._pace.call(final=final):
                return await self._recognize(samples, prompt=prompt, final=final)
        except TranscriptionError as error:
            level = logging.WARNING if final else logging.DEBUG
            log.log(level, "%.1f s of speech were not recognised: %r", len(samples) / RATE, error)
        except Exception:
            log.exception("Recognising %.1f s of speech failed for an unforeseen reason", len(samples) / RATE)
        return None

    # --- partials ------------------------------------------------------------------------------

    def _try_partial(self) -> float | None:
        """Start a partial if it is time for one. Else: the seconds until it may be, if time is all that it needs."""
        utterance = self._listener.current
        pause = self._pace.pause()
        if not utterance or self._partial or pause is None:
            return None
        paused = self._listener.pausing >= PAUSE
        if paused:
            wanted = self._draft.heard < utterance.ends + TAIL
        else:
            since = max(self._draft.heard, utterance.begins)
            wanted = utterance.ends - since >= (FRESH if self._draft.heard else FIRST)
        if not wanted:
            return None
        now = self._clock()
        # One in a pause may come early; then the next one comes later, so that the mean is kept.
        due = self._partial_since if paused else self._partial_since + pause
        if (early := max(due - now, self._hurried)) > 0:
            return max(early, INSTANT)
        self._partial_since = max(now, self._partial_since + pause)
        place = min(utterance.last, utterance.ends + PADDING)
        self._partial = _Partial(utterance, place, self._call(utterance, place, final=False))
        return None

    async def _take_partial(self, partial: _Partial) -> None:
        """Learn from a partial that has ended, and tell what is new."""
        self._partial = None
        utterance, transcript = partial.utterance, _result(partial.task)
        if transcript is None or partial.place > utterance.last:  # cut meanwhile: it heard more than the utterance
            return
        before = self._draft.stable
        speaking = not _all_heard(partial.place, utterance)
        tokens = self._tokens(transcript, utterance)
        second = self._second(partial.place)
        self._draft.hear(whole_words(tokens) if speaking else tokens, partial.place, second)
        self._draft.language = transcript.language or self._draft.language
        if utterance is self._listener.current:
            await self._split(utterance, before)
        await self._tell_draft(utterance, speaking=speaking)

    async def _split(self, utterance: Utterance, stable_before: int) -> None:
        """Where a sentence has ended for good, its caption ends, too."""
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
            await self._tell(Caption(self._index, start, end, text, False, news[1], self._draft.language, ()))

    # --- finals --------------------------------------------------------------------------------

    async def _make_final(self, utterance: Utterance) -> None:
        partial = self._partial
        if partial and _all_heard(partial.place, utterance):
            await asyncio.wait([partial.task])
            await self._take_partial(partial)
        if not _all_heard(self._draft.heard, utterance):
            self._join_waiting(utterance)
            if transcript := await self._final_transcript(utterance):
                self._draft.settle(self._tokens(transcript, utterance))
                self._draft.language = transcript.language or self._draft.language
        draft, self._draft = self._draft, Draft()
        await self._tell_final(draft, utterance.first, utterance.begins, utterance.ends)

    def _join_waiting(self, utterance: Utterance) -> None:
        while len(self._waiting) > 1:
            later = self._waiting[1]
            if later.last - utterance.first > TOGETHER or later.first - utterance.last > APART:
                return
            utterance.join(later)
            del self._waiting[1]

    async def _final_transcript(self, utterance: Utterance) -> Transcript | None:
        """A partial that is still under way is shown if it comes before the final, and of no use after it."""
        final = self._call(utterance, utterance.last, final=True)
        while not final.done():
            if self._partial and self._partial.task.done():
                await self._take_partial(self._partial)
            else:
                await asyncio.wait(self._calls, return_when=FIRST_COMPLETED)
        if self._partial:
            self._partial.task.cancel()
            await asyncio.wait([self._partial.task])
            self._partial = None
        return _result(final)

    async def _tell_final(self, draft: Draft, first: int, begins: int, ends: int) -> None:
        text = draft.text
        if not text and not draft.told:
            return
        self._telling = first
        start, end = self._second(begins), min(self._second(ends), self.heard)
        caption = Caption(self._index, start, end, text, True, len(text), draft.language, draft.words())
        self._index += 1
        self._recent = _last_part(f"{self._recent} {text}".strip(), PROMPT)
        await self._tell(caption)
        self._telling = None

    # --- small things --------------------------------------------------------------------------

    def _tokens(self, transcript: Transcript, utterance: Utterance) -> list[Token]:
        return without_loops(tokens_of(transcript, self._second(utterance.first), self._second(utterance.last)))

    def _context(self, utterance: Utterance) -> str:
        """The names and terms that people expect, and the text so far, as much of it as Whisper looks at.

        Where speech begins anew, no text: measured, small models then invent more sentences than it saves mistakes.
        """
        room = min(RECENT, PROMPT - _cost(self._prompt))
        recent = _last_part(self._recent, room) if utterance.continues else ""
        return f"{self._prompt} {recent}".strip()

    def _second(self, place: int) -> float:
        return self._start + seconds(place)

    def _place(self, second: float) -> int:
        return windows(second - self._start)


def _all_heard(place: int, utterance: Utterance) -> bool:
    return min(utterance.ends + TAIL, utterance.last) <= place <= utterance.last


def _result(call: "asyncio.Task[Transcript | None]") -> Transcript | None:
    return None if call.cancelled() else call.result()


def _cost(text: str) -> float:
    """How many of Whisper's tokens a text has, about."""
    return sum(TOKEN_ASCII if char.isascii() else TOKEN_OTHER for char in text)


def _last_part(text: str, room: float) -> str:
    """The end of a text that costs no more than this, from the beginning of a word."""
    at = len(text)
    while at and (room := room - _cost(text[at - 1])) >= 0:
        at -= 1
    part = text[at:]
    if at and part.isascii() and " " in part:
        part = part[part.index(" ") + 1 :]
    return part
