"""Addresses of the pages about recordings. `text` and `rail` are fragments that an open page asks for again."""

from django.urls import path

from recordings.live import views as live
from recordings.pages import views

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
]
