"""Every WebSocket of the product, a line each."""

from django.urls import path

from recordings.consumers import MonitorConsumer, RecordingsConsumer
from recordings.live.consumers import SpeakerConsumer, ViewerConsumer

websocket_urlpatterns = [
    path("ws/live", SpeakerConsumer.as_asgi()),
    path("ws/live/<str:session>", ViewerConsumer.as_asgi()),
    path("ws/recordings", RecordingsConsumer.as_asgi()),
    path("ws/monitor", MonitorConsumer.as_asgi()),
]
