"""Every address of the product, by the package that answers it."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from asrsite import errors, health
from recordings.api.routes import api
from recordings.intake import tus

admin.site.site_url = f"{settings.URL_PREFIX}/"  # Django's own has no slash at the end of a prefix
handler400, handler404, handler500 = errors.bad_request, errors.page_not_found, errors.server_error
urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("", include("recordings.urls")),
    path("", include("accounts.urls")),
    path("api/uploads", tus.uploads),
    path("api/uploads/<uuid:key>", tus.upload),
    path("api/", api.urls),
    path("v1/", include("recordings.api.v1.urls")),
    path("admin/asr/monitor/", include("transcription.monitor.urls")),  # before the admin's pattern for all the rest
    path("admin/", admin.site.urls),
]
