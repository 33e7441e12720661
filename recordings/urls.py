"""Addresses of the pages about recordings. `text` and `rail` are fragments that an open page asks for again."""

from django.urls import path

from recordings.live import views as live
from recordings.pages import guests, library, links, recording, search, text

app_name = "recordings"

urlpatterns = [
    path("", library.library, name="library"),
    path("rail", library.rail, name="rail"),
    path("search", search.search, name="search"),
    path("recordings/<int:pk>", recording.recording, name="recording"),
    path("recordings/<int:pk>/text", text.text, name="text"),
    path("recordings/<int:pk>/transcriptions", recording.transcriptions, name="transcriptions"),
    path("recordings/<int:pk>/transcriptions/<int:transcription>/restore", recording.restore, name="restore"),
    path("recordings/<int:pk>/transcribe", recording.transcribe, name="transcribe"),
    path("recordings/<int:pk>/cancel", recording.cancel, name="cancel"),
    path("recordings/<int:pk>/delete", recording.delete, name="delete"),
    path("recordings/<int:pk>/links", links.links, name="links"),
    path("recordings/<int:pk>/links/<int:link>/end", links.end, name="end_link"),
    path("s/<str:secret>/", guests.page, name="guest"),
    path("s/<str:secret>/text", guests.text),
    path("s/<str:secret>/audio", guests.audio),
    path("record", live.record, name="record"),
    path("live", live.speaker, name="live"),
    path("live/new/room", live.room, name="live_room"),
    path("live/new/link", live.link, name="live_link"),
    path("live/<slug:session>", live.viewer, name="viewer"),
    path("live/<slug:session>/overlay", live.overlay, name="overlay"),
    path("live/<slug:session>/text.<slug:form>", live.text, name="viewers_text"),
    path("live/<slug:session>/qr", live.qr, name="qr"),
    path("live/<slug:session>/public", live.publish, name="publish"),
]
