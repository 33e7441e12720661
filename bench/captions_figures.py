"""The figures of `bench.captions`, computed from a server's messages in the same way for every server."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import jiwer

from bench.captions_speech import Offline, SpokenSample, aligned, units

NEAR = 2  # places by which a word may have moved in the text before it became final


@dataclass(frozen=True, slots=True)
class Shown:
    """The whole text after a message: `final`, which the server will not change, and `tentative` behind it."""

    at: float  # seconds since the first sample was spoken
    final: str
    tentative: str


@dataclass(frozen=True)
class Figures:
    first_text: float  # seconds; median
    final_p50: float
    final_p95: float
    uttered_p95: float  # from the end of an utterance to the message that made its last word final
    errors: float  # per word of the speech
    erasure: float  # tentative words that were changed, per final word
    broken: int  # messages that changed what was final

    @classmethod
    def of(cls, shown: Sequence[Shown], speech: SpokenSample, offline: Offline) -> Figures:
        finals = [units(one.final, speech.language) for one in shown]
        texts = [units(f"{one.final} {one.tentative}", speech.language) for one in shown]
        end = finals[-1]
        first, final, uttered = list[float](), list[float](), list[float]()
        fixed_from = _fixed_from(finals, end)
        shown_from = _shown_from(texts, end)
        for said, heard in aligned(speech.said, end).items():
            if said in offline.ends:
                final.append(shown[fixed_from[heard]].at - offline.ends[said])
                first.append(shown[min(shown_from[heard], fixed_from[heard])].at - offline.ends[said])
            if said in speech.last:
                uttered.append(shown[fixed_from[heard]].at - speech.limits[said])
        p50, p95 = (_quantile(final, share) for share in (0.5, 0.95))
        return cls(
            first_text=_quantile(first, 0.5),
            final_p50=p50,
            final_p95=p95,
            uttered_p95=_quantile(uttered, 0.95),
            errors=error_rate(speech, " ".join(end)),
            erasure=sum(len(a) - _common(a, b) for a, b in pairwise(texts)) / max(1, len(end)),
            broken=sum(not _plain(b.final).startswith(_plain(a.final)) for a, b in pairwise(shown)),
        )


def error_rate(speech: SpokenSample, text: str) -> float:
    """Wrong, missing and added words per word that was said; in Chinese, characters."""
    return float(jiwer.wer(" ".join(speech.said), " ".join(units(text, speech.language))))


def _fixed_from(finals: Sequence[list[str]], end: list[str]) -> list[int]:
    """For each word of the last text: the message from which on the word and all before it were final."""
    fixed_from = [len(finals) - 1] * len(end)
    least = len(end)
    for number in range(len(finals) - 1, -1, -1):
        least = min(least, _common(finals[number], end))
        fixed_from[:least] = [number] * least
    return fixed_from


def _shown_from(texts: Sequence[list[str]], end: list[str]) -> list[int]:
    """For each word of the last text: the message that showed it first, at about its place."""
    found = list[int]()
    for place, word in enumerate(end):
        near = slice(max(0, place - NEAR), place + NEAR + 1)
        found.append(next((number for number, text in enumerate(texts) if word in text[near]), len(texts) - 1))
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())


def _common(a: list[str], b: list[str]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _quantile(values: Sequence[float], share: float) -> float:
    if len(values) < 2:
        return float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
