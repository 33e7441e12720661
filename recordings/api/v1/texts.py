"""The text of a file as it comes, and the response that gives all of it in the format that was asked for."""

import math
from typing import Any

from django.http import HttpResponse

from recordings.models import Recording, Segment, Transcription, kept_tracks
from recordings.transcripts.exports import as_srt, as_vtt
from recordings.transcripts.transcript import FullTranscript
from recordings.work.hearing import as_segment, moment
from transcription import answer
from transcription.audio import Stretch, apart
from transcription.languages import LANGUAGES
from transcription.writing import gap

from .door import as_json
from .options import OpenAIOptions

MOST_SPANS = 50  # in a header, of which clients and proxies take 8 kB


class HeardText:
    """The text so far. Its segments are rows that are never saved."""

    def __init__(self, options: OpenAIOptions, speech: apart.Speech, *, translate: bool) -> None:
        """speech: the file that is read; what it tells is whole once all stretches have come."""
        self._options = options
        self._speech = speech
        self._translate = translate
        self._language = options.spoken
        self._texts: list[str] = []  # of the segments, each with the gap before it
        self._segments: list[Segment] = []
        self._details: list[dict[str, Any]] = []

    def add(self, stretch: Stretch, transcript: answer.Transcript) -> str:
        """Take in the transcript of a stretch; returns what it adds to the text."""
        segment = as_segment(stretch, transcript)
        self._segments.append(segment)
        self._language = self._language or segment.language
        whole = answer.TranscriptSegment(0.0, stretch.end - stretch.start, transcript.text)
        for part in transcript.segments or (whole,):
            self._details.append(self._detail(stretch, part))
        text = " ".join(transcript.text.split())
        added = gap(self._texts[-1] if self._texts else "", text) + text
        self._texts += filter(None, [added])
        return added

    def _detail(self, stretch: Stretch, part: answer.TranscriptSegment) -> dict[str, Any]:
        """A segment in OpenAI's shape. Strict clients need a number everywhere: 0 stands for one the server lacks."""
        return {
            "id": len(self._details),
            "seek": round(stretch.start * 100),  # frames of 10 ms
            "start": moment(stretch, part.start),
            "end": moment(stretch, part.end),
            "text": part.text,
            "tokens": [],
            "temperature": self._options.temperature,
            "avg_logprob": part.avg_logprob or 0.0,
            "compression_ratio": part.compression_ratio or 0.0,
            "no_speech_prob": part.no_speech_prob or 0.0,
        }

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def usage(self) -> dict[str, Any]:
        return {"type": "duration", "seconds": math.ceil(self._speech.duration)}

    @property
    def remarks(self) -> dict[str, Any]:
        """What a caller would not expect of the file: damaged spans, and several sound tracks. Usually empty."""
        remarks: dict[str, Any] = {}
        if self._speech.damaged:
            spans = self._speech.damaged
            remarks["damaged"] = [{"start": round(start, 3), "end": round(end, 3)} for start, end in spans]
        if len(self._speech.tracks) > 1:
            remarks["tracks"] = kept_tracks(self._speech.tracks)
        return remarks

    def response(self) -> HttpResponse:
        """The whole text. The remarks are headers too, since not every format has a place for them."""
        response = self._formatted()
        if self._speech.damaged:
            spans = (f"{start:.3f}-{end:.3f}" for start, end in self._speech.damaged[:MOST_SPANS])
            response["Stile-Damaged"] = ", ".join(spans)
        if len(self._speech.tracks) > 1:
            heard = ", ".join(str(track.number) for track in self._speech.tracks if track.heard)
            response["Stile-Tracks"] = f"{heard} of {len(self._speech.tracks)}"
        return response

    def _formatted(self) -> HttpResponse:
        match self._options.response_format:
            case "json":
                return as_json({"text": self.text, "usage": self.usage} | self.remarks)
            case "verbose_json":
                return as_json(self._verbose())
            case "text":
                return HttpResponse(f"{self.text}\n", content_type="text/plain; charset=utf-8")
            case "srt":
                return HttpResponse(as_srt(self._transcript()), content_type="application/x-subrip; charset=utf-8")
            case "vtt":
                return HttpResponse(as_vtt(self._transcript()), content_type="text/vtt; charset=utf-8")

    def _transcript(self) -> FullTranscript:
        return FullTranscript(Recording(), Transcription(), self._segments)

    def _verbose(self) -> dict[str, Any]:
        result: dict[str, Any] = {
            "task": "translate" if self._translate else "transcribe",
            # OpenAI's own answers have names, not codes.
            "language": LANGUAGES[self._language].whisper if self._language else "",
            "duration": self._speech.duration,
            "text": self.text,
            "usage": self.usage,
        } | self.remarks
        if "segment" in self._options.granularities:
            result["segments"] = self._details
        if "word" in self._options.granularities:
            result["words"] = [
                {"word": word["word"].strip(), "start": word["start"], "end": word["end"]}
                for segment in self._segments
                for word in segment.words
            ]
        return result
