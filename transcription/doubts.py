"""Takes out what Whisper invented. On silence, music and noise it writes fluent sentences that nobody said; its own
numbers give them away, and so do loops of one phrase. Never a list of phrases: people do say 'thank you'."""

from collections.abc import Iterable
from dataclasses import replace

from .answer import Transcript, TranscriptSegment

# The thresholds of Whisper's reference implementation (transcribe.py: no_speech_threshold, logprob_threshold,
# compression_ratio_threshold).
NO_SPEECH_PROB = 0.6
AVG_LOGPROB = -1.0
COMPRESSION_RATIO = 2.4


def without_inventions(transcript: Transcript) -> Transcript:
    """The transcript less the segments that the server itself doubts. Unchanged where it gave no segments."""
    kept = tuple(segment for segment in transcript.segments if not _invented(segment))
    if len(kept) == len(transcript.segments):
        return transcript
    dropped = [segment for segment in transcript.segments if segment not in kept]
    return replace(
        transcript,
        segments=kept,
        text=_join(segment.text for segment in kept),
        words=tuple(
            word
            for word in transcript.words
            if not any(segment.start <= (word.start + word.end) / 2 <= segment.end for segment in dropped)
        ),
    )


def _invented(segment: TranscriptSegment) -> bool:
    silent = (segment.no_speech_prob or 0.0) > NO_SPEECH_PROB and (segment.avg_logprob or 0.0) < AVG_LOGPROB
    return silent or (segment.compression_ratio or 0.0) > COMPRESSION_RATIO


def _join(texts: Iterable[str]) -> str:
    """Sentences on one line; no space between Chinese or Japanese ones, which use none."""
    line = ""
    for text in texts:
        wide = line and ord(line[-1]) >= 0x2E80 and text and ord(text[0]) >= 0x2E80
        line += text if wide or not line else f" {text}"
    return line
