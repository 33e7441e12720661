"""The snapshot as Prometheus metrics. They are rendered when a scraper asks; nothing is counted a second time."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from transcription import service
from transcription.monitor.stats import percentiles
from transcription.snapshot import GateSnapshot, Snapshot

OUTCOMES = ("completed", "failed", "rejected", "canceled")


class GateCollector(Collector):
    """Counters from the start of the process; times in seconds."""

    def collect(self) -> Iterator[Metric]:
        snapshot = service.snapshot()
        yield from _counts(snapshot)
        yield from _servers(snapshot)
        gates = [server.gate for server in snapshot.servers]
        yield from _lanes(gates)
        yield _quantiles("asr_wait_seconds", "Wait for a permit, of late", (gate.waits for gate in gates))
        yield _quantiles("asr_duration_seconds", "Time of an exchange, of late", (gate.services for gate in gates))


def _counts(snapshot: Snapshot) -> Iterator[Metric]:
    calls = snapshot.calls
    results = CounterMetricFamily("asr_results", "Calls that ended, by how", labels=["outcome"])
    for outcome in OUTCOMES:
        results.add_metric([outcome], getattr(calls, outcome))
    yield results
    yield CounterMetricFamily("asr_calls", "Calls that began", calls.total)
    yield CounterMetricFamily("asr_retries", "Attempts after the first", calls.retries)
    yield CounterMetricFamily("asr_bypassed_calls", "Calls that skipped the gate", calls.bypassed)
    waiting = GaugeMetricFamily("asr_waiting", "All that waits for Whisper: calls, and jobs in line", labels=["part"])
    waiting.add_metric(["calls"], snapshot.queued_calls)
    waiting.add_metric(["jobs"], snapshot.jobs.queued)
    yield waiting
    yield GaugeMetricFamily("asr_jobs_transcribing", "Jobs at work", snapshot.jobs.transcribing)


def _servers(snapshot: Snapshot) -> Iterator[Metric]:
    limit = GaugeMetricFamily("asr_slots", "Permits that may be out", labels=["server"])
    abandoned = GaugeMetricFamily("asr_abandoned", "Exchanges that nobody waits for any more", labels=["server"])
    up = GaugeMetricFamily("asr_upstream_up", "1 while calls go there, 0 while it cannot be reached", labels=["server"])
    speed = GaugeMetricFamily("asr_realtime_factor", "Exchange time per audio time, of late", labels=["server"])
    oom = CounterMetricFamily("asr_oom_errors", "Times it ran out of memory", labels=["server"])
    for server in snapshot.servers:
        gate = server.gate
        limit.add_metric([gate.name], gate.limit)
        abandoned.add_metric([gate.name], gate.abandoned)
        up.add_metric([gate.name], server.retry_in is None)  # neither its breaker is open, nor the engine away
        oom.add_metric([gate.name], server.oom_errors)
        if audio := sum(gate.audio):
            speed.add_metric([gate.name], sum(gate.services) / audio)
    yield from (limit, abandoned, up, speed, oom)


def _lanes(gates: Iterable[GateSnapshot]) -> Iterator[Metric]:
    active = GaugeMetricFamily("asr_active", "Exchanges in flight", labels=["server", "lane"])
    queued = GaugeMetricFamily("asr_queued", "Calls that wait at a gate", labels=["server", "lane"])
    for gate in gates:
        for lane, count in gate.lanes.items():
            active.add_metric([gate.name, lane], count.active)
            queued.add_metric([gate.name, lane], count.queued)
    yield from (active, queued)


def _quantiles(name: str, words: str, windows: Iterable[Iterable[float]]) -> Metric:
    """The percentiles of all windows together: of the latest exchanges. A histogram needs counts that never shrink."""
    family = GaugeMetricFamily(name, words, labels=["quantile"])
    for percentile, seconds in asdict(percentiles(value for window in windows for value in window)).items():
        if seconds is not None:
            family.add_metric([f"0.{percentile.removeprefix('p')}"], seconds)
    return family


registry = CollectorRegistry(auto_describe=False)
registry.register(GateCollector())
ProcessCollector(registry=registry)


def exposition(accept: str) -> tuple[bytes, str]:
    """The metrics in the format that an Accept header asks for, and its media type."""
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
