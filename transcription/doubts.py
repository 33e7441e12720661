"""Removes the text that Whisper invented.

On silence, music and noise Whisper writes fluent sentences that nobody said, or repeats one phrase. Its own numbers
tell such segments from real ones. A list of phrases would not: people do say 'thank you'.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .answer import HeardWord, Transcript, TranscriptSegment
from .writing import join

# The thresholds of Whisper's reference implementation (transcribe.py: no_speech_threshold, logprob_threshold,
# compression_ratio_threshold).
NO_SPEECH_PROB = 0.6
AVG_LOGPROB = -1.0
COMPRESSION_RATIO = 2.4

# A person who repeats something needs time for each word. A loop of Whisper's goes on after the sound, so its words
# have no time. Measured with `base`: real repetitions have no such words; in loops they are 45 to 99 of 100.
INSTANT = 0.05  # seconds
INSTANT_WORDS = 0.25


def without_inventions(transcript: Transcript) -> Transcript:
    """The transcript without the segments that the server itself doubts. Without segments it stays as it is."""
    dropped = [segment for segment in transcript.segments if _invented(segment, _words_in(segment, transcript.words))]
    if not dropped:
        return transcript
    kept = tuple(segment for segment in transcript.segments if segment not in dropped)
    gone = {word for segment in dropped for word in _words_in(segment, transcript.words)}
    return replace(
        transcript,
        segments=kept,
        text=join(segment.text for segment in kept),
        words=tuple(word for word in transcript.words if word not in gone),
    )


def _words_in(segment: TranscriptSegment, words: Iterable[HeardWord]) -> list[HeardWord]:
    return [word for word in words if segment.start <= (word.start + word.end) / 2 <= segment.end]


def _invented(segment: TranscriptSegment, words: Sequence[HeardWord]) -> bool:
    silent = (segment.no_speech_prob or 0.0) > NO_SPEECH_PROB and (segment.avg_logprob or 0.0) < AVG_LOGPROB
    return silent or ((segment.compression_ratio or 0.0) > COMPRESSION_RATIO and _too_fast(words))


def _too_fast(words: Sequence[HeardWord]) -> bool:
    """Whether the words are more than anybody says in the time. True if the server gave no words."""
    return sum(word.end - word.start < INSTANT for word in words) >= INSTANT_WORDS * len(words)
