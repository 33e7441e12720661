"""The sound of an open file as one stream of samples, each at its right time."""

from __future__ import annotations  # PyAV's types are generic in its stubs only

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

from transcription.audio.clock import GAP, Clock
from transcription.audio.media import Media, decoded, new_decoder

_CLOSE = 1.0  # seconds; damaged parts closer than that count as one
_PIECE = 4  # seconds of sound at once, at most
_TOGETHER = 0.5  # seconds of sound at once, at least, where several tracks come in turns
# Seconds that a track may be ahead of another. FFmpeg's own muxers put 10 s at most between the tracks of a moment
# (max_interleave_delta); a track that is later than twice that is taken for silent.
_AHEAD = 20

Samples = npt.NDArray[np.float32]
Kind = tuple[str, str, int]


class Sound:
    """Every frame of a file at `rate`, as arrays of (channels, samples) between -1 and 1; the channels are the same
    throughout: those of each track that is heard, one track after the other.

    Where sound is missing, silence is put in, so that what follows is at its right time. Iterating raises BadAudio
    `too_long` in the very moment the sound unfolds to more than `max_hours`, and whatever reading the file raises.

    damaged: the parts that could not be decoded, or are not there, as (start, end) in seconds; grows while iterating.
    """

    def __init__(self, media: Media, *, rate: int, max_hours: float) -> None:
        self._media = media
        self._rate = rate
        self._longest = max_hours * 3600
        self._lanes = [_Lane(media, rate, Clock(max_hours), self._note_damage) for _ in media.heard]
        self.damaged: list[tuple[float, float]] = []

    def __iter__(self) -> Iterator[Samples]:
        for _ in self._media.parts():
            for packet in self._media.packets():
                if (lane := self._media.lane(packet)) < len(self._lanes):
                    self._lanes[lane].take(packet)
                yield from self._mixed(_TOGETHER if len(self._lanes) > 1 else 0.0)
            for one in self._lanes:
                one.finish()
            if lost := self._media.missing([one.clock.now - one.clock.begun for one in self._lanes]):
                begun = self._lanes[0].clock.begun
                self._note_damage(begun + lost[0], lost[1] - lost[0])
            yield from self._mixed(0.0, last=True)
            for one in self._lanes:
                one.clock.restart()
        if self._media.unread:
            self._note_damage(self._lanes[0].clock.now, 0.0)
        if len(self._lanes) > 1:
            self.damaged[:] = _merged(self.damaged)

    def _mixed(self, at_least: float, *, last: bool = False) -> Iterator[Samples]:
        """The sound for which all lanes have samples. A lane that is too late or at its end gets silence."""
        most = max(lane.count for lane in self._lanes)
        for lane in self._lanes:
            lane.pad(most - (0 if last else _AHEAD * self._rate) - lane.count)
        ready = min(lane.count for lane in self._lanes)
        while ready > at_least * self._rate:
            size = min(ready, _PIECE * self._rate)
            pieces = [lane.pull(size) for lane in self._lanes]
            yield pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            ready -= size

    def _note_damage(self, start: float, length: float) -> None:
        end = min(start + length, self._longest)
        if self.damaged and self.damaged[-1][0] - _CLOSE < start < self.damaged[-1][1] + _CLOSE:
            first, last = self.damaged.pop()
            start, end = min(first, start), max(last, end)
        self.damaged.append((start, end))


class _Lane:
    """The sound of one track, waiting to be mixed: arrays of (channels, samples), and lengths of silence.

    note: takes the start and the length of a damage, in seconds.
    """

    def __init__(self, media: Media, rate: int, clock: Clock, note: Callable[[float, float], None]) -> None:
        self.clock = clock
        self.count = 0  # samples
        self._media = media
        self._rate = rate
        self._note = note
        self._waiting: deque[Samples | int] = deque()
        self._layout: AudioLayout | None = None
        self._resampler: AudioResampler | None = None
        self._kind: Kind | None = None
        self._decoder: AudioCodecContext | None = None

    def take(self, packet: Packet[AudioStream]) -> None:
        frames = self._frames(packet)
        if frames is None:
            time, length = self._media.time(packet), self._media.length(packet)
            self._note(self.clock.place(time), length)
            if time is None:  # nothing that follows will say how much is missing
                self._silence(length)
        timed = self._media.is_timed(packet)
        for frame in frames or ():
            self._add(frame, self._media.time(frame) if timed else None)

    def _frames(self, packet: Packet[AudioStream]) -> list[AudioFrame] | None:
        frames = decoded(packet, self._decoder)
        if frames is None and self._kind:
            decoder = new_decoder(packet.stream)
            frames = decoded(packet, decoder)
            if not frames or _kind(frames[0]) == self._kind:
                return None
            self._decoder = decoder  # not damage: from here on the stream is another one
        return frames

    def _add(self, frame: AudioFrame, time: float | None) -> None:
        ahead = self.clock.ahead(time)
        missing = ahead if ahead > GAP else 0.0
        if missing and self.clock.now > self.clock.begun and not self._media.is_sparse:
            self._note(self.clock.now, missing)  # nothing else leaves a hole in a mere recording
        if missing or self._kind != _kind(frame):
            self._flush()
        self._layout = self._layout or _mixable(frame.layout)
        self._silence(missing)
        if self._resampler is None:
            self._resampler = AudioResampler(format="flt", layout=self._layout, rate=self._rate)
            self._kind = _kind(frame)
        self.clock.advance(frame.samples / frame.sample_rate)
        self._resample(self._resampler, frame)

    def finish(self) -> None:
        """The part that is read is at its end."""
        self._flush()
        self._decoder = None

    def _flush(self) -> None:
        if self._resampler:
            self._resample(self._resampler, None)
            self._resampler = None

    def _resample(self, resampler: AudioResampler, frame: AudioFrame | None) -> None:
        for resampled in resampler.resample(frame):  # interleaved: PyAV crashes on more than eight planes
            samples = resampled.to_ndarray().astype(np.float32, copy=False)
            self._waiting.append(samples.reshape(-1, resampled.layout.nb_channels).T)
            self.count += resampled.samples

    def _silence(self, seconds: float) -> None:
        self.clock.advance(seconds)  # all at once: no time is spent on silence that is beyond the limit
        if samples := round(seconds * self._rate):
            self._waiting.append(samples)
            self.count += samples

    def pad(self, samples: int) -> None:
        """Silence at the end, if the number is positive."""
        if samples > 0:
            self._flush()
            self._silence(samples / self._rate)

    def pull(self, size: int) -> Samples:
        """The next `size` samples, which are there."""
        self._layout = self._layout or AudioLayout("mono")
        pieces = []
        self.count -= size
        while size:
            piece = self._waiting.popleft()
            length = piece if isinstance(piece, int) else piece.shape[1]
            if length > size:
                self._waiting.appendleft(length - size if isinstance(piece, int) else piece[:, size:])
                length = size
            pieces.append(
                np.zeros((self._layout.nb_channels, length), np.float32)
                if isinstance(piece, int)
                else piece[:, :length]
            )
            size -= length
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """In order of time, those that are close to each other as one."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1] + _CLOSE:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _mixable(layout: AudioLayout) -> AudioLayout:
    """What the resampler mixes a layout to: it knows that in 5.1 the centre speaks and the bass does not.

    It knows nothing of a field recorder's ten microphones: they are left as they are, for Downmix.
    """
    if layout.nb_channels == 1 or layout.name.endswith(" channels"):
        return layout
    return AudioLayout("stereo")


def _kind(frame: AudioFrame) -> Kind:
    return frame.format.name, frame.layout.name, frame.sample_rate
