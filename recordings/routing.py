"""Every WebSocket of the product, a line each."""

from django.urls import path, re_path

from accounts.sockets import no_socket
from recordings.live.consumers import SpeakerConsumer, ViewerConsumer
from recordings.pages.sockets import MonitorConsumer, RecordingsConsumer

websocket_urlpatterns = [
    path("ws/live", SpeakerConsumer.as_asgi()),
    re_path(r"^ws/live/(?P<session>[A-Za-z0-9_-]{1,16})$", ViewerConsumer.as_asgi()),  # other ids are of no session
    path("ws/recordings", RecordingsConsumer.as_asgi()),
    path("ws/monitor", MonitorConsumer.as_asgi()),
    re_path("", no_socket),  # type: ignore[arg-type]  # an ASGI application, as Channels wants it
]
