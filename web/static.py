"""Static files: with the digest of their content in the name, so that browsers may keep them for ever."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Also rewrites the imports between ES modules, so that no import map or bundler is needed."""

    support_js_module_import_aggregation = True


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Hands a file over whole. WhiteNoise gives an iterator that blocks; under ASGI, Django would warn of it and then
    read all of it at once just the same."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        found = WhiteNoiseMiddleware.serve(static_file, request)
        response = HttpResponse(b"".join(found), status=found.status_code)
        response.headers = found.headers
        if file := getattr(found, "file_to_stream", None):
            file.close()  # not `found`: that would say that the request is over
        return response
