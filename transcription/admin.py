"""The monitor: a page in the admin that shows the gate's snapshot and follows it."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transcription import monitor


@require_safe
@admin.site.admin_view
def monitor_page(request: HttpRequest) -> HttpResponse:
    context = admin.site.each_context(request) | {"title": _("Monitor"), "stats": monitor.stats()}
    return render(request, "admin/monitor.html", context)
