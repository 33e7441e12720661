"""The pages about recordings. `row`, `text` and `rail` are fragments that an open page asks for again."""

from django.urls import path

from recordings.live import views as live
from recordings.pages import views
from transcription.monitor.pages import monitor_history, monitor_page, set_limit

app_name = "recordings"

urlpatterns = [
    path("", views.library, name="library"),
    path("rail", views.rail, name="rail"),
    path("recordings/<int:pk>", views.recording, name="recording"),
    path("recordings/<int:pk>/text", views.text, name="text"),
    path("recordings/<int:pk>/transcriptions", views.transcriptions, name="transcriptions"),
    path("recordings/<int:pk>/transcriptions/<int:transcription>/restore", views.restore, name="restore"),
    path("recordings/<int:pk>/transcribe", views.transcribe, name="transcribe"),
    path("recordings/<int:pk>/cancel", views.cancel, name="cancel"),
    path("recordings/<int:pk>/delete", views.delete, name="delete"),
    path("record", live.record, name="record"),
    path("live", live.speaker, name="live"),
    path("live/<slug:session>", live.viewer, name="viewer"),
    path("live/<slug:session>/overlay", live.overlay, name="overlay"),
    path("live/<slug:session>/qr", live.qr, name="qr"),
    path("live/<slug:session>/public", live.publish, name="publish"),
    path("admin/asr/monitor/limit", set_limit, name="set_limit"),
    path("admin/asr/monitor/history", monitor_history, name="monitor_history"),
    path("admin/asr/monitor/", monitor_page, name="monitor"),  # before the admin's own pattern for everything
]
