"""Every WebSocket of the product, a line each."""

from django.urls import path

from recordings.consumers import MonitorConsumer, RecordingsConsumer

websocket_urlpatterns = [
    path("ws/recordings", RecordingsConsumer.as_asgi()),
    path("ws/monitor", MonitorConsumer.as_asgi()),
]
