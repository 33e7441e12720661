"""Which answers are compressed."""

import pytest
from django.contrib.auth.models import User

from recordings.library.sharing import make_link
from recordings.models import LiveSession
from tests.support.rows import Status, make_recording, make_transcription
from tests.support.site import Site

SOUND = "/api/recordings/{pk}/audio"
TEXT = "/api/recordings/{pk}/transcript?format="


@pytest.mark.parametrize(
    ("address", "compressed"),
    [
        ("/", True),
        ("/recordings/{pk}", True),
        ("/recordings/{pk}/text", True),
        ("/api/recordings", True),
        ("/api/openapi.json", True),
        *[(TEXT + name, True) for name in ("json", "txt", "srt", "vtt", "md")],
        (TEXT + "docx", False),  # is compressed in itself
        (SOUND, False),
        ("/s/{secret}/", True),  # has no secret in it, only in its address
        ("/recordings/{pk}/links", False),  # may have one
        ("/settings/tokens", False),
        ("/live", False),  # these have a link that lets anybody in
        ("/live/{session}", False),
        ("/live/{session}/overlay", False),
        ("/live/{session}/qr", False),
        ("/admin/", False),
        ("/healthz", False),  # is too short
    ],
)
def test_pages_json_and_texts_are_compressed_but_no_sound_and_no_secret(
    site: Site, address: str, compressed: bool
) -> None:
    mei = User.objects.create_superuser("mei", password=None)
    recording = make_recording(mei, "Standup")
    make_transcription(recording, Status.DONE, *["So the root cause was nesting."] * 30)
    session = LiveSession.objects.create(owner=mei)
    _, secret = make_link(recording, audio=True, days=1)
    browser, path = site.browser(), address.format(pk=recording.pk, session=session.pk, secret=secret)

    plain = browser.get(path, headers={"Accept-Encoding": "identity"})
    packed = browser.get(path, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert (plain.status_code, packed.status_code) == (200, 200)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers.get("Content-Encoding") == ("gzip" if compressed else None)
    assert ("Accept-Encoding" in packed.headers.get("Vary", "")) == compressed
    assert len(packed.text) == pytest.approx(len(plain.text), rel=0.05)  # tokens and times differ
