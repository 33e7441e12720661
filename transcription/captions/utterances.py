"""Find the utterances in sound while it comes in: where speech begins, pauses and ends.

A *place* in the stream is a number of windows (32 ms) since its beginning. Speech and silence are told apart by the
rules of `audio.segmenter`, with two differences: a result is there as soon as it can be known, and half a second of
silence ends an utterance.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from transcription.audio.vad import RATE, WINDOW, VoiceActivity

Samples = npt.NDArray[np.int16]
BYTES = WINDOW * 2  # of a window
BLOCK = 32 * WINDOW  # samples that are judged at a time, 1 s


def windows(seconds: float) -> int:
    return round(seconds * RATE / WINDOW)


def seconds(place: int) -> float:
    return place * WINDOW / RATE


SPEECH, MAYBE = 0.5, 0.35  # probabilities; Silero's own defaults
SHORTEST = windows(0.1)  # a shorter run of windows is not speech
PADDING = windows(0.2)  # kept around speech: Whisper loses a first word that begins at once
SILENCE = windows(0.5)  # ends an utterance
DOUBT = windows(1.0)  # the longest sound kept because it may turn out to be speech
LONGEST = windows(15.0)  # an utterance that grows to this length is cut
EARLIEST = windows(5.0)  # an utterance is not cut at a pause before this
ENOUGH = windows(0.6)  # a longer pause is not a better place to cut
EAGERNESS = 0.03  # seconds of pause that each second nearer to the end is worth


@dataclass(eq=False)
class Utterance:
    """Speech between two silences or cuts. Its sound reaches from place `first` to place `last` (exclusive)."""

    first: int
    begins: int  # where speech begins, up to PADDING after `first`
    ends: int  # where speech ends, so far
    sound: bytearray
    pauses: list[tuple[int, int]] = field(default_factory=list)
    continues: bool = False  # the speech before it was cut off

    @property
    def last(self) -> int:
        return self.first + len(self.sound) // BYTES

    def samples(self, last: int) -> Samples:
        """The sound from the beginning to a place."""
        return np.frombuffer(bytes(self.sound[: (last - self.first) * BYTES]), np.int16)

    def drop(self, place: int) -> None:
        """Drop the sound before a place."""
        del self.sound[: (place - self.first) * BYTES]
        self.first = place
        self.begins = max(self.begins, place)
        self.ends = max(self.ends, place)
        self.pauses = [pause for pause in self.pauses if pause[0] >= place]
        self.continues = True

    def split(self, place: int) -> "Utterance":
        """Cut off the sound behind a place and return it as an utterance of its own."""
        tail = replace(self, sound=self.sound[:])
        tail.drop(place)
        self.ends = min(self.ends, place)
        del self.sound[(place - self.first) * BYTES :]
        return tail

    def join(self, later: "Utterance") -> None:
        """Add a later utterance, with silence in the place of the time between."""
        self.sound += bytes((later.first - self.last) * BYTES)
        self.sound += later.sound
        self.ends = later.ends

    def best_cut(self, earliest: int) -> int:
        """The place to end it: the best pause (long, and late); without a pause, the quietest place near the end."""
        earliest = max(earliest, self.first + 1)
        late = [pause for pause in self.pauses if pause[0] >= max(earliest, self.first + EARLIEST)]
        if late:
            end, begin = max(
                late, key=lambda pause: seconds(min(pause[1] - pause[0], ENOUGH)) + EAGERNESS * seconds(pause[0])
            )
            return min(end + PADDING, (end + begin) // 2)
        return self.quietest(max(earliest, self.last - EARLIEST), self.last)

    def quietest(self, first: int, last: int) -> int:
        """The quietest place between two: there, a cut does least harm."""
        first, last = max(first, self.first + 1), min(last, self.last - 1)
        if last <= first:
            return max(self.first, min(first, self.last))
        part = self.sound[(first - 1 - self.first) * BYTES : (last + 1 - self.first) * BYTES]
        sound = np.frombuffer(bytes(part), np.int16).astype(np.float32).reshape(-1, WINDOW)
        energy = np.square(sound).mean(axis=1)
        return first + int(np.argmin(energy[:-1] + energy[1:]))


class UtteranceFinder:
    """Finds the utterances of one stream.

    current  the utterance that is being spoken now
    place    the place up to which the stream was judged
    """

    def __init__(self) -> None:
        self._activity = VoiceActivity()
        self._rest: Samples = np.empty(0, np.int16)  # less than a window
        self._silence = bytearray()  # the newest part of it, which goes before the next utterance
        self._run: int | None = None  # the place where windows began that may be speech
        self._peak = 0.0  # the highest probability of speech among them
        self.place = 0
        self.current: Utterance | None = None

    @property
    def silent_until(self) -> int:
        """The current and all coming utterances begin at this place or later."""
        return self.current.first if self.current else self.place - len(self._silence) // BYTES

    @property
    def pausing(self) -> int:
        """The number of silent windows up to now."""
        return self.place - self.current.ends if self.current else self.place

    def hear(self, samples: Samples, *, last: bool = False) -> list[Utterance]:
        """Take the next sound and return the utterances that end in it. `last`: the stream ends with this sound."""
        sound = np.concatenate((self._rest, samples))
        if last:
            sound = np.concatenate((sound, np.zeros(-len(sound) % WINDOW, np.int16)))
        whole = len(sound) // WINDOW * WINDOW
        self._rest = sound[whole:].copy()
        data = sound[:whole].astype("<i2").tobytes()
        ended = []
        for number, chance in enumerate(self._activity(sound[:whole])):
            self._add(data[number * BYTES : (number + 1) * BYTES], float(chance))
            if self.current and self._over(self.current):
                ended.append(self._end(self.current))
        if last and self.current:
            ended.append(self._end(self.current))
        return ended

    def cut(self, current: Utterance, place: int) -> Utterance:
        """End the current utterance at a place and return it. The sound behind the place becomes the current one."""
        self.current = current.split(place)
        return current

    def _add(self, window: bytes, chance: float) -> None:
        (self.current.sound if self.current else self._silence).extend(window)
        self.place += 1
        if chance < MAYBE:
            self._run, self._peak = None, 0.0
        else:
            self._run = self.place - 1 if self._run is None else self._run
            self._peak = max(self._peak, chance)
            if self._peak >= SPEECH and self.place - self._run >= SHORTEST:
                self._speech(self._run)
        if not self.current:
            keep = PADDING + (min(self.place - self._run, DOUBT) if self._run is not None else 0)
            del self._silence[: max(0, len(self._silence) - keep * BYTES)]

    def _speech(self, begins: int) -> None:
        if self.current is None:
            first = self.place - len(self._silence) // BYTES
            self.current = Utterance(first, max(first, begins), self.place, self._silence)
            self._silence = bytearray()
        elif begins > self.current.ends:
            self.current.pauses.append((self.current.ends, begins))
        self.current.ends = self.place

    def _over(self, current: Utterance) -> bool:
        undecided = self._run is not None and self.place - self._run <= SHORTEST
        return self.place - current.ends >= SILENCE and not undecided

    def _end(self, current: Utterance) -> Utterance:
        """End the current utterance and return it. The silence behind it is kept for the next one."""
        after = min(current.ends + PADDING, self.place)
        self._silence = current.sound[(after - current.first) * BYTES :]
        del current.sound[(after - current.first) * BYTES :]
        self.current = None
        return current
