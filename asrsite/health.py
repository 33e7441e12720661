"""Views for machines that watch this process.

/healthz   the process answers; restart it where it does not
/readyz    each part that the work needs, probed; 503 (`down`) means: send people to another process
/metrics   for Prometheus

A Whisper server that is away does not make this process unready: recordings are taken in and wait, and people read and
correct texts all the same. Another process would reach Whisper no better, and a load balancer that took all of them out
would leave nobody served. So /readyz then answers 200 with the status `degraded` and the reason at `gate`. It does the
same at `decoder`, with `NetworkOpen`, where the processes that decode people's files cannot be kept from the network.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from recordings.live.metrics import LiveCollector
from transcription.monitor import probes as transcribing
from transcription.monitor.metrics import exposition, registry
from web import probes
from web.problems import Problem
from web.readiness import Readiness, in_thread
from web.scrapers import require_scraper

INFORMATIVE = {"gate", "decoder"}  # parts without which a process still serves

registry.register(LiveCollector())
readiness = Readiness(
    {
        "database": in_thread(probes.database),
        "channel_layer": probes.channel_layer,
        "storage": in_thread(probes.storage),
        "decoder": transcribing.decoder,
        "gate": transcribing.gate,
    }
)


@require_safe
@never_cache
async def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
async def readyz(request: HttpRequest) -> HttpResponse:
    parts = await readiness.parts()
    away = {name for name, part in parts.items() if not part["ok"]}
    status = "down" if away - INFORMATIVE else "degraded" if away else "ok"
    return JsonResponse(
        {"status": status, "version": settings.VERSION, "parts": parts}, status=503 if status == "down" else 200
    )


@require_safe
@never_cache
async def metrics(request: HttpRequest) -> HttpResponse:
    try:
        require_scraper(request)
    except Problem as problem:
        return JsonResponse(problem.body(), status=problem.status, headers=problem.headers)
    text, media_type = exposition(request.headers.get("Accept", ""))
    return HttpResponse(text, content_type=media_type)
