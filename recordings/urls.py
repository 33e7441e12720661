"""The pages about recordings. `row`, `text` and `rail` are fragments that an open page asks for again."""

from django.urls import path

from recordings import views
from transcription.admin import monitor_page

app_name = "recordings"

urlpatterns = [
    path("", views.library, name="library"),
    path("rail", views.rail, name="rail"),
    path("recordings/<int:pk>", views.recording, name="recording"),
    path("recordings/<int:pk>/row", views.row, name="row"),
    path("recordings/<int:pk>/text", views.text, name="text"),
    path("recordings/<int:pk>/transcribe", views.transcribe, name="transcribe"),
    path("recordings/<int:pk>/cancel", views.cancel, name="cancel"),
    path("recordings/<int:pk>/delete", views.delete, name="delete"),
    path("admin/asr/monitor/", monitor_page, name="monitor"),  # before the admin's own pattern for everything
]
