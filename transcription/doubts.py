"""Takes out what Whisper invented. On silence, music and noise it writes fluent sentences that nobody said; its own
numbers give them away, and so do loops of one phrase. Never a list of phrases: people do say 'thank you'."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .answer import HeardWord, Transcript, TranscriptSegment
from .writing import join

# The thresholds of Whisper's reference implementation (transcribe.py: no_speech_threshold, logprob_threshold,
# compression_ratio_threshold).
NO_SPEECH_PROB = 0.6
AVG_LOGPROB = -1.0
COMPRESSION_RATIO = 2.4

# A person who repeats something needs time for every word; a loop of Whisper's runs on when the sound has ended, and
# its words then get no time. Measured with `base`: real repetition has none of them, loops from 45 to 99 of 100.
INSTANT = 0.05  # seconds
INSTANT_WORDS = 0.25


def without_inventions(transcript: Transcript) -> Transcript:
    """The transcript less the segments that the server itself doubts. Unchanged where it gave no segments."""
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
    """Nobody says so much in the time; taken for true where the server gave no words."""
    return sum(word.end - word.start < INSTANT for word in words) >= INSTANT_WORDS * len(words)
