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

ANY = "any"  # the server of calls in line that several servers may take
OUTCOMES = ("completed", "failed", "rejected", "canceled")


class GateCollector(Collector):
    """Counters from the start of the process; times in seconds."""

    def collect(self) -> Iterator[Metric]:
        snapshot = service.snapshot()
        yield from _counts(snapshot)
        yield from _servers(snapshot)
        yield from _loads(snapshot)
        gates = [server.gate for server in snapshot.servers]
        yield from _learnt(gates)
        yield from _lanes(snapshot)
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
    yield GaugeMetricFamily("asr_max_queue", "Calls that may wait in line", snapshot.line.max_queue)
    yield GaugeMetricFamily("asr_jobs_transcribing", "Jobs at work", snapshot.jobs.transcribing)


def _servers(snapshot: Snapshot) -> Iterator[Metric]:
    limit = GaugeMetricFamily(
        "asr_slots", "Permits that may be out; beside live calls perhaps one more", labels=["server"]
    )
    ceiling = GaugeMetricFamily("asr_ceiling", "The most that asr_slots may become", labels=["server"])
    peak = GaugeMetricFamily("asr_peak", "Most permits out at once under this ceiling", labels=["server"])
    share = GaugeMetricFamily("asr_live_share", "Permits left to other lanes beside live calls", labels=["server"])
    trusted = GaugeMetricFamily(
        "asr_live_home", "Permits of other lanes beside which live calls were in time", labels=["server"]
    )
    missed = GaugeMetricFamily("asr_live_target_missed", "1 where live calls are late all the same", labels=["server"])
    abandoned = GaugeMetricFamily("asr_abandoned", "Exchanges that nobody waits for any more", labels=["server"])
    up = GaugeMetricFamily("asr_upstream_up", "1 while calls go there, 0 while it cannot be reached", labels=["server"])
    speed = GaugeMetricFamily("asr_realtime_factor", "Exchange time per audio time, of late", labels=["server"])
    rate = GaugeMetricFamily("asr_audio_rate", "Audio seconds per second, for estimates", labels=["server"])
    oom = CounterMetricFamily("asr_oom_errors", "Times it ran out of memory", labels=["server"])
    too_high = GaugeMetricFamily(
        "asr_limit_too_high", "1 while a fixed limit runs out of memory again and again", labels=["server"]
    )
    for server in snapshot.servers:
        gate = server.gate
        too_high.add_metric([gate.name], gate.advice is not None)
        limit.add_metric([gate.name], gate.limit)
        _add(share, [gate.name], gate.live_share)
        _add(trusted, [gate.name], gate.live_home)
        missed.add_metric([gate.name], gate.live_target_missed)
        abandoned.add_metric([gate.name], gate.abandoned)
        up.add_metric([gate.name], server.retry_in is None)  # neither its breaker is open, nor the engine away
        oom.add_metric([gate.name], server.oom_errors)
        _add(ceiling, [gate.name], gate.ceiling)
        peak.add_metric([gate.name], gate.peak)
        _add(speed, [gate.name], gate.realtime_factor)
        _add(rate, [gate.name], gate.rate)
    yield from (limit, ceiling, peak, share, trusted, missed, abandoned, up, speed, rate, oom, too_high)


def _loads(snapshot: Snapshot) -> Iterator[Metric]:
    running = GaugeMetricFamily("asr_server_running", "Requests computed there, by its own word", labels=["server"])
    waiting = GaugeMetricFamily("asr_server_waiting", "Requests waiting in it, by its own word", labels=["server"])
    foreign = GaugeMetricFamily("asr_foreign", "How many of both other programs sent", labels=["server"])
    for server in snapshot.servers:
        if load := server.load:
            running.add_metric([server.gate.name], load.running)
            waiting.add_metric([server.gate.name], load.waiting)
            foreign.add_metric([server.gate.name], load.foreign)
    yield from (running, waiting, foreign)


def _learnt(gates: Iterable[GateSnapshot]) -> Iterator[Metric]:
    home = GaugeMetricFamily("asr_learnt_home", "Permits that the limit trusts", labels=["server"])
    throughput = GaugeMetricFamily("asr_learnt_throughput", "Audio seconds per second at home", labels=["server"])
    failed = GaugeMetricFamily("asr_learnt_failed", "Permits that it avoids, since calls failed", labels=["server"])
    gain = GaugeMetricFamily(
        "asr_learnt_gain", "Share that is done more with high than with low permits", labels=["server", "low", "high"]
    )
    error = GaugeMetricFamily("asr_learnt_gain_error", "Its standard error", labels=["server", "low", "high"])
    inherited = GaugeMetricFamily(
        "asr_learnt_inherited", "1 for what became of an earlier run's learning", labels=["server", "state"]
    )
    for gate in gates:
        if learnt := gate.learnt:
            home.add_metric([gate.name], learnt.home)
            _add(throughput, [gate.name], learnt.throughput)
            _add(failed, [gate.name], learnt.failed)
            inherited.add_metric([gate.name, learnt.inherited], 1)
            for each in learnt.gains:
                levels = [gate.name, str(each.low), str(each.high)]
                gain.add_metric(levels, each.percent / 100)
                error.add_metric(levels, each.error / 100)
    yield from (home, throughput, failed, gain, error, inherited)


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    """Add the value to the family, if there is one."""
    if value is not None:
        family.add_metric(labels, value)


def _lanes(snapshot: Snapshot) -> Iterator[Metric]:
    active = GaugeMetricFamily("asr_active", "Exchanges in flight", labels=["server", "lane"])
    queued = GaugeMetricFamily(
        "asr_queued", "Calls in line, by the server that alone may take them", labels=["server", "lane"]
    )
    for server in snapshot.servers:
        for lane, count in server.gate.lanes.items():
            active.add_metric([server.gate.name, lane], count.active)
            queued.add_metric([server.gate.name, lane], count.queued)
    for lane, waiting in snapshot.line.shared.items():
        queued.add_metric([ANY, lane], waiting)
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
    service.looked()
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
