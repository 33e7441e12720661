"""Prometheus metrics of the live sessions of this process."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recordings.live.sessions import live


class LiveCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        behind = [session.captioning.behind for session in live]
        yield GaugeMetricFamily("live_sessions", "Live sessions that are no recordings yet", len(behind))
        slowest = max(behind, default=0.0)
        yield GaugeMetricFamily("live_lag_seconds", "Sound that waits for its captions, in the slowest", slowest)
