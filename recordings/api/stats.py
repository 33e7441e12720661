"""The stats of the gate."""

from ninja import Router

from accounts.auth import ApiRequest, Scope, needs
from recordings.api.schemas import (
    errors,
)
from recordings.work.line import job_counts
from transcription import service
from transcription.monitor.stats import Stats, read_stats

router = Router(tags=["stats"])


@router.get(
    "recordings/stats/asr-concurrency",
    auth=needs(Scope.STATS),
    response={200: Stats, **errors()},
    summary="What the gate does now, and has done",
)
async def stats(request: ApiRequest) -> Stats:
    service.looked()
    return read_stats(await job_counts())
