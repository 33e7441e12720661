"""The monitor: a page in the admin that shows the gate's snapshot and follows it, and changes the limit."""

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from transcription import monitor, service


@require_safe
@admin.site.admin_view
def monitor_page(request: HttpRequest) -> HttpResponse:
    context = admin.site.each_context(request) | {"title": _("Monitor"), "stats": monitor.stats()}
    return render(request, "admin/monitor.html", context)


@require_POST
@admin.site.admin_view
def set_limit(request: HttpRequest) -> HttpResponse:
    """Change the highest limit of a server while the product runs; an empty one goes back to what the settings say."""
    server, highest = request.POST.get("server", ""), request.POST.get("highest", "")
    try:
        if not highest.isdecimal() and highest:
            raise ValueError(_("It must be a whole number."))
        service.set_limit(server, int(highest) if highest else None)
    except ValueError as error:
        messages.error(request, _("The limit stays as it is. %(reason)s") % {"reason": error})
    else:
        messages.success(request, _("The limit was changed, until the next start."))
    return redirect("recordings:monitor")
