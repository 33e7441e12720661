"""The monitor: a page of the admin that shows the stats, follows them, and changes the ceiling of a server."""

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from transcription import service
from transcription.monitor import history
from transcription.monitor.stats import monitor_stats
from transcription.sentence import _

DAY = 24 * 60  # minutes


@require_safe
@admin.site.admin_view
def monitor_page(request: HttpRequest) -> HttpResponse:
    context = {"title": gettext("Monitor"), "stats": monitor_stats(), "findings": _findings()}
    return render(request, "admin/monitor.html", admin.site.each_context(request) | context)


@require_safe
@admin.site.admin_view
def monitor_history(request: HttpRequest) -> HttpResponse:
    """The rows of the chart and the findings of the servers, as JSON. `?minutes=15`: how far back, at most a day."""
    minutes = request.GET.get("minutes", "15")
    shown = history.recent(60 * min(int(minutes), DAY) if minutes.isdecimal() else 0)
    return JsonResponse(shown | {"findings": _findings()})


def _findings() -> list[tuple[str, str, str]]:
    """For each server: its name, the finding, and the server's own words where it cannot be used."""
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
    return redirect("monitor:page")
