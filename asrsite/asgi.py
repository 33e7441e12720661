"""The ASGI application: HTTP to Django behind the body guard, WebSockets to the consumers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")
django_application = get_asgi_application()  # first: it loads the apps that the imports below need

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from accounts.sockets import SocketDoor  # noqa: E402
from asrsite.bodies import BodyGuard  # noqa: E402
from asrsite.private import look_after  # noqa: E402
from recordings.routing import websocket_urlpatterns  # noqa: E402

look_after()
application = ProtocolTypeRouter(
    {
        "http": BodyGuard(django_application),
        "websocket": SocketDoor(URLRouter(websocket_urlpatterns)),
    }
)
