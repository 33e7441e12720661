"""Static files. Their names carry a digest of their content, so browsers may cache them for ever."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Storage that also rewrites the imports between ES modules, so neither import map nor bundler is needed."""

    support_js_module_import_aggregation = True
    max_post_process_passes = 20  # a name changes with those of all imported modules: one pass for each step of a chain


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Middleware that answers with the whole file. WhiteNoise's iterator blocks; under ASGI, Django warns of such an
    iterator and then reads all of it at once, too.
    """

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        found = WhiteNoiseMiddleware.serve(static_file, request)
        response = HttpResponse(b"".join(found), status=found.status_code)
        response.headers = found.headers
        if file := getattr(found, "file_to_stream", None):
            file.close()  # not `found`: that would say that the request is over
        return response
