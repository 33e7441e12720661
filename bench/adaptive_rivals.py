"""The limits that `bench.adaptive` compares with ours, each by its own published rule."""

from __future__ import annotations

import math
from collections import deque

from adaptive_concurrency import AdaptiveConfig, Controller, Observation

from transcription.limit import FixedLimit, LimitChange, Sample
from transcription.sentence import Sentence

LONGEST_CALL = 600.0  # seconds; no call of the bench takes longer


class _Rival(FixedLimit):
    def __init__(self, ceiling: int) -> None:
        super().__init__(ceiling)
        self._exact = 1.0
        self.limit = 1

    def _set(self, exact: float, reason: str) -> LimitChange | None:
        self._exact = max(1.0, min(exact, float(self.ceiling or math.inf)))
        before, self.limit = self.limit, int(self._exact)
        return LimitChange(self.limit, Sentence(reason)) if self.limit != before else None


class Aimd(_Rival):
    """TCP's rule: one more for each round of successes while the limit is used, half after a failure in this round."""

    _cut = -math.inf

    def record(self, sample: Sample) -> LimitChange | None:
        if sample.outcome == "ok":
            used = 2 * sample.in_flight >= self.limit
            return self._set(self._exact + 1 / self._exact, "success") if used else None
        if sample.started < self._cut:
            return None
        self._cut = sample.finished
        return self._set(self._exact / 2, "failure")


class Gradient2(_Rival):
    """Netflix concurrency-limits' Gradient2Limit with its defaults, but for a floor of 1 where it has 20.

    queue size 4, tolerance 1.5, smoothing 0.2, long window 600 samples of which 10 warm up; failures do not count.
    """

    _long = 0.0
    _samples = 0

    def record(self, sample: Sample) -> LimitChange | None:
        if sample.outcome != "ok":
            return None
        short = sample.finished - sample.started
        self._samples += 1
        if self._samples <= 10:
            self._long += (short - self._long) / self._samples
        else:
            self._long += (short - self._long) * 2 / (600 + 1)
        if self._long / short > 2:
            self._long *= 0.95
        if sample.in_flight < self._exact / 2:
            return None
        gradient = max(0.5, min(1.0, 1.5 * self._long / short))
        return self._set(0.8 * self._exact + 0.2 * (self._exact * gradient + 4), f"gradient {gradient:.2f}")


class Published(_Rival):
    """The controller of the PyPI package `adaptive-concurrency`.

    One call is one batch; its items are its audio seconds, so that what it compares is the time per second of audio.
    """

    def __init__(self, ceiling: int) -> None:
        super().__init__(ceiling)
        self._controller = Controller(AdaptiveConfig(batch_size=1, workers=1, max_workers=ceiling))
        self._settings = deque([(0.0, self._controller.setting)])  # with the times from which they held

    def record(self, sample: Sample) -> LimitChange | None:
        while len(self._settings) > 1 and self._settings[1][0] <= sample.started - LONGEST_CALL:
            self._settings.popleft()
        admitted_under = next(s for since, s in reversed(self._settings) if since <= sample.started)
        ok = sample.outcome == "ok"
        items, elapsed = max(1, round(sample.audio_seconds)), sample.finished - sample.started
        self._controller.observe(Observation(admitted_under, items, elapsed, ok, size_fault=not ok))
        setting = self._controller.setting
        if setting != self._settings[-1][1]:
            self._settings.append((sample.finished, setting))
        return self._set(float(setting.workers), "controller")
