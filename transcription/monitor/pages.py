"""The monitor: a page in the admin that shows the gate's snapshot and follows it, and changes the limit."""

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from transcription import service
from transcription.monitor import history
from transcription.monitor import stats as monitor
from transcription.sentence import _

DAY = 24 * 60  # minutes


@require_safe
@admin.site.admin_view
def monitor_page(request: HttpRequest) -> HttpResponse:
    context = admin.site.each_context(request) | {"title": gettext("Monitor"), "stats": monitor.stats()}
    context["findings"] = _findings()
    return render(request, "admin/monitor.html", context)


@require_safe
@admin.site.admin_view
def monitor_history(request: HttpRequest) -> HttpResponse:
    """What the chart shows, and what is known of the servers. `?minutes=15`: how far back, at most a day."""
    minutes = request.GET.get("minutes", "15")
    shown = history.recent(60 * min(int(minutes), DAY) if minutes.isdecimal() else 0)
    return JsonResponse(shown | {"findings": _findings()})


def _findings() -> list[tuple[str, str, str]]:
    """Of each server: its name, what was found of it, with what to do, and its own words where it does not fit."""
    servers = service.snapshot().servers
    return [(each.gate.name, each.profile.finding.translated(gettext), each.profile.said or "") for each in servers]


@require_POST
@admin.site.admin_view
def set_limit(request: HttpRequest) -> HttpResponse:
    """Change the ceiling of a server while the product runs; an empty field goes back to that of the settings."""
    server, ceiling = request.POST.get("server", ""), request.POST.get("highest", "")
    try:
        if ceiling and not ceiling.isdecimal():
            raise ValueError(_("It must be a whole number."))
        service.set_ceiling(server, int(ceiling) if ceiling else None)
    except ValueError as error:
        reason = error.args[0].translated(gettext)
        messages.error(request, gettext("The limit stays as it is. %(reason)s") % {"reason": reason})
    else:
        messages.success(request, gettext("The limit was changed, until the next start."))
    return redirect("recordings:monitor")
