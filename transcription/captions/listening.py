"""From sound to utterances, while it comes in: where someone begins to speak, pauses, and has ended.

A place in the stream is a number of windows (32 ms) since the listener began. Speech is told from silence by the rules
of `audio.segmenter`; but here what can be known is told at once, and half a second of silence ends an utterance.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from transcription.audio.vad import RATE, WINDOW, VoiceActivity

Samples = npt.NDArray[np.int16]
BYTES = WINDOW * 2
BLOCK = 32 * WINDOW  # samples judged at a time, 1 s


def windows(seconds: float) -> int:
    return round(seconds * RATE / WINDOW)


def seconds(place: int) -> float:
    return place * WINDOW / RATE


SPEECH, MAYBE = 0.5, 0.35  # Silero's own defaults
SHORTEST = windows(0.1)  # a shorter run is no speech
PADDING = windows(0.2)  # Whisper loses a first word that begins at once
SILENCE = windows(0.5)  # ends an utterance
DOUBT = windows(1.0)  # of sound that may yet turn out to be speech, no more is kept
LONGEST = windows(15.0)  # an utterance that grows to this is cut
EARLIEST = windows(5.0)  # no pause before this is a place to cut it
ENOUGH = windows(0.6)  # a longer pause is no better
EAGERNESS = 0.03  # seconds of pause that a second nearer to the end is worth


@dataclass(eq=False)
class Utterance:
    """Speech between two silences, or between two cuts: its sound, `first` window to `last` (exclusive)."""

    first: int
    begins: int  # where speech begins, which is a little later
    ends: int  # where speech ends, so far
    sound: bytearray
    pauses: list[tuple[int, int]] = field(default_factory=list)
    continues: bool = False  # it was cut off from speech before it

    @property
    def last(self) -> int:
        return self.first + len(self.sound) // BYTES

    def samples(self, last: int) -> Samples:
        return np.frombuffer(bytes(self.sound[: (last - self.first) * BYTES]), np.int16)

    def drop(self, place: int) -> None:
        """Forget what lies before a place."""
        del self.sound[: (place - self.first) * BYTES]
        self.first = place
        self.begins = max(self.begins, place)
        self.ends = max(self.ends, place)
        self.pauses = [pause for pause in self.pauses if pause[0] >= place]
        self.continues = True

    def split(self, place: int) -> "Utterance":
        """Cut off what lies behind a place, as an utterance of its own."""
        tail = replace(self, sound=self.sound[:])
        tail.drop(place)
        self.ends = min(self.ends, place)
        del self.sound[(place - self.first) * BYTES :]
        return tail

    def join(self, later: "Utterance") -> None:
        """Take over a later utterance, with silence for what lies between."""
        self.sound += bytes((later.first - self.last) * BYTES)
        self.sound += later.sound
        self.ends = later.ends

    def best_cut(self, earliest: int) -> int:
        """Where to end it: in its best pause, a longer one or a later one; else where it is quietest."""
        earliest = max(earliest, self.first + 1)
        late = [pause for pause in self.pauses if pause[0] >= max(earliest, self.first + EARLIEST)]
        if late:
            end, begin = max(
                late, key=lambda pause: seconds(min(pause[1] - pause[0], ENOUGH)) + EAGERNESS * seconds(pause[0])
            )
            return min(end + PADDING, (end + begin) // 2)
        return self.quietest(max(earliest, self.last - EARLIEST), self.last)

    def quietest(self, first: int, last: int) -> int:
        """The place between two where a cut hurts least."""
        first, last = max(first, self.first + 1), min(last, self.last - 1)
        if last <= first:
            return max(self.first, min(first, self.last))
        part = self.sound[(first - 1 - self.first) * BYTES : (last + 1 - self.first) * BYTES]
        sound = np.frombuffer(bytes(part), np.int16).astype(np.float32).reshape(-1, WINDOW)
        energy = np.square(sound).mean(axis=1)
        return first + int(np.argmin(energy[:-1] + energy[1:]))


class Listener:
    """Hears one stream. `current` is the utterance that someone is speaking now."""

    def __init__(self) -> None:
        self._activity = VoiceActivity()
        self._rest: Samples = np.empty(0, np.int16)  # less than a window
        self._silence = bytearray()  # the newest of it: the room before the next utterance
        self._run: int | None = None  # where the row of windows began that are, or may become, speech
        self._peak = 0.0
        self.place = 0
        self.current: Utterance | None = None

    @property
    def silent_until(self) -> int:
        """Before this place, nothing belongs to the current or a coming utterance."""
        return self.current.first if self.current else self.place - len(self._silence) // BYTES

    @property
    def pausing(self) -> int:
        """How many windows it has been silent for."""
        return self.place - self.current.ends if self.current else self.place

    def hear(self, samples: Samples, *, last: bool = False) -> list[Utterance]:
        """Take the next sound; returns the utterances that ended in it. `last`: with it the current one ends, too."""
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
        """End the current utterance at a place; what is behind that becomes the current one."""
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
        """The current utterance, less the silence behind it, which is kept for the next one."""
        after = min(current.ends + PADDING, self.place)
        self._silence = current.sound[(after - current.first) * BYTES :]
        del current.sound[(after - current.first) * BYTES :]
        self.current = None
        return current
