"""The ASGI application: HTTP to Django behind the body guard, WebSockets to the consumers.

The process that loads it, `serve` or any ASGI server, takes the claim to call Whisper, or ends where another has it.
"""

import logging
import os
import sys
from typing import Any, cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")
django_application = get_asgi_application()  # first, since the imports below need the loaded apps

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware  # noqa: E402

from accounts.sockets import SocketDoor  # noqa: E402
from recordings.intake.admission import admit  # noqa: E402
from recordings.intake.pieces import MethodOverride, Piecewise  # noqa: E402
from recordings.routing import websocket_urlpatterns  # noqa: E402
from transcription import service  # noqa: E402
from transcription.claim import AlreadyRunning  # noqa: E402
from web.bodies import BodyGuard  # noqa: E402
from web.log_secrets import AccessLog  # noqa: E402
from web.prefix import Prefixed  # noqa: E402
from web.private import look_after  # noqa: E402

try:
    service.claim().take()
except AlreadyRunning as error:
    print(error, file=sys.stderr)
    sys.exit(3)  # uvicorn and gunicorn then start no other worker

look_after()
logging.getLogger("uvicorn.access").addFilter(AccessLog())  # of an ASGI server that somebody starts; `serve` has none
routes = ProtocolTypeRouter(
    {
        "http": MethodOverride(BodyGuard(Piecewise(django_application), admit)),
        "websocket": SocketDoor(URLRouter(websocket_urlpatterns)),
    }
)
# Only the requests of TRUSTED_PROXIES get their client's address and scheme from X-Forwarded-For and -Proto.
application: Any = ProxyHeadersMiddleware(cast(Any, Prefixed(routes, settings.URL_PREFIX)), settings.TRUSTED_PROXIES)
