"""What the snapshot says, in the shape of the stats that the API, the admin page and programs read."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from django.utils.translation import gettext

from transcription import service
from transcription.line import LANES
from transcription.sentence import Sentence, _
from transcription.snapshot import Jobs, ServerSnapshot

STARTED = datetime.now(UTC)
RATE_NEEDS = 3  # exchanges, before a rate is worth showing


def stats(jobs: Jobs | None = None) -> dict[str, Any]:
    """The Stats object of the API: counts of calls, and of jobs where it says so; times in seconds.

    jobs: as they are now, where that is known better than to the runner, which looks every few seconds.
    """
    snapshot = service.snapshot()
    jobs = jobs or snapshot.jobs
    calls, gates = snapshot.calls, [server.gate for server in snapshot.servers]
    judged = calls.completed + calls.failed
    active: Counter[str] = Counter()
    queued: Counter[str] = Counter()
    for gate in gates:
        active.update({lane: count.active for lane, count in gate.lanes.items()})
        queued.update({lane: count.queued for lane, count in gate.lanes.items()})
    ceilings = [gate.ceiling for gate in gates]
    return {
        "max_concurrent": None if None in ceilings else sum(ceiling or 0 for ceiling in ceilings),
        "limit": sum(gate.limit for gate in gates),
        "active_tasks": sum(gate.active for gate in gates),
        "queued_tasks": snapshot.queued_calls + jobs.queued,
        "queued_calls": snapshot.queued_calls,
        "max_queue": sum(gate.max_queue for gate in gates),
        "abandoned": sum(gate.abandoned for gate in gates),
        "peak": sum(gate.peak for gate in gates),
        "total_tasks": calls.total,
        "completed_tasks": calls.completed,
        "failed_tasks": calls.failed,
        "rejected_tasks": calls.rejected,
        "canceled_tasks": calls.canceled,
        "retries": calls.retries,
        "oom_errors": calls.oom_errors,
        "last_oom_at": calls.last_oom_at.isoformat() if calls.last_oom_at else None,
        "success_rate": round(100 * calls.completed / judged, 1) if judged else None,
        "bypassed_calls": calls.bypassed,
        "wait_seconds": percentiles(chain.from_iterable(gate.waits for gate in gates)),
        "service_seconds": percentiles(chain.from_iterable(gate.services for gate in gates)),
        "lanes": {lane: {"active": active[lane], "queued": queued[lane]} for lane in LANES},
        "servers": [
            {
                "name": server.gate.name,
                "limit": server.gate.limit,
                "active": server.gate.active,
                "queued": server.gate.queued,
                "abandoned": server.gate.abandoned,
                "breaker": server.breaker,
                "trouble": (trouble := _trouble(server)) and trouble.translated(gettext),
                "said": server.said,
                "oom_errors": server.oom_errors,
                "fits": not server.profile.fault,
                "finding": server.profile.finding,
                "model": server.profile.model,
                "models": server.profile.models,
                "response_format": server.profile.response_format,
                "unreachable_seconds": _rounded(server.unreachable_since),
                "retry_in_seconds": _rounded(server.retry_in),
            }
            for server in snapshot.servers
        ],
        "jobs": asdict(jobs),
        "since": STARTED.isoformat(),
    }


def _trouble(server: ServerSnapshot) -> Sentence | None:
    """Why calls wait although nobody's are at work."""
    if not server.trouble and server.gate.abandoned >= server.gate.limit:
        return _("The Whisper server may still compute what was sent for callers that are gone. That is waited for.")
    return server.trouble


def audio_rate() -> float | None:
    """Seconds of audio that all servers together transcribe in a second; None before enough was measured."""
    gates = [server.gate for server in service.snapshot().servers]
    if sum(len(gate.services) for gate in gates) < RATE_NEEDS:
        return None
    rates = (gate.limit * sum(gate.audio) / sum(gate.services) for gate in gates if sum(gate.services))
    return sum(rates) or None


def percentiles(values: Iterable[float]) -> dict[str, float | None]:
    """Nearest-rank percentiles, None where there are no values."""
    ranked = sorted(values)
    last = len(ranked) - 1
    return {f"p{q}": round(ranked[min(last, int(len(ranked) * q / 100))], 3) if ranked else None for q in (50, 95, 99)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
