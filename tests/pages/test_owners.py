"""At every page and socket another person's recording looks like one that does not exist."""

import re

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.test import Client
from django.urls import URLPattern

from recordings.events import owner_group, recording_changed
from recordings.models import Recording
from recordings.routing import websocket_urlpatterns
from recordings.urls import urlpatterns
from tests.support.rows import Status, make_recording, make_transcription

OWN_PAGES = [pattern for pattern in urlpatterns if "<int:pk>" in str(pattern.pattern)]


def socket(path: str, user: User | AnonymousUser) -> WebsocketCommunicator:
    communicator = WebsocketCommunicator(URLRouter(websocket_urlpatterns), path)
    communicator.scope["user"] = user
    return communicator


@pytest.mark.parametrize("pattern", OWN_PAGES, ids=lambda pattern: pattern.name)
def test_every_page_about_a_recording_is_for_its_owner(
    mei: User, jonas: User, client: Client, pattern: URLPattern
) -> None:
    recording = make_recording(mei, "Mei's own")
    make_transcription(recording, Status.QUEUED)
    asks = client.post if pattern.name in ("transcribe", "cancel", "delete", "restore", "end_link") else client.get
    url = "/" + re.sub("<int:(?!pk)[a-z]+>", "1", str(pattern.pattern)).replace("<int:pk>", str(recording.pk))
    assert asks(url)["Location"].startswith("/accounts/login")
    client.force_login(jonas)
    theirs, nobodys = asks(url), asks(url.replace(str(recording.pk), "999999"))
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content.count(b"Mei") == 0
    assert Recording.objects.filter(pk=recording.pk, transcriptions__status=Status.QUEUED).exists()


def test_a_library_and_its_search_show_ones_own_only(mei: User, jonas: User, client: Client) -> None:
    make_transcription(make_recording(mei, "Mei's own"), Status.DONE, "secret words")
    client.force_login(jonas)
    assert client.get("/").context["rows"] == []
    assert client.get("/?q=secret").context["rows"] == []


def test_the_rail_counts_everyone_but_names_ones_own(mei: User, jonas: User, client: Client) -> None:
    for owner in (mei, jonas):
        make_transcription(make_recording(owner, "One"), Status.QUEUED)
    client.force_login(jonas)
    assert "2 waiting · yours: number 2 in line" in " ".join(client.get("/rail").content.decode().split())


def test_the_rail_brings_ones_own_rows_along_and_nobody_elses(mei: User, jonas: User, client: Client) -> None:
    theirs, own = make_recording(mei, "Mei's own"), make_recording(jonas, "One")
    client.force_login(jonas)
    answer = client.get(f"/rail?row={theirs.pk}&row={own.pk}&row=x&row={'9' * 30}")
    assert [row.recording.title for row in answer.context["moved"]] == ["One"]


def test_staff_without_all_rights_see_only_their_own_in_the_admin(mei: User, jonas: User, client: Client) -> None:
    jonas.is_staff = True
    jonas.save()
    jonas.user_permissions.set(Permission.objects.filter(content_type__app_label="recordings"))
    recording = make_recording(mei, "Mei's own")
    transcription = make_transcription(recording, Status.DONE, "secret words")
    client.force_login(jonas)
    for model in ("recording", "transcription", "segment"):
        assert b"0 " in client.get(f"/admin/recordings/{model}/").content
    assert client.get(f"/admin/recordings/transcription/{transcription.pk}/change/").status_code == 302
    client.force_login(mei)
    page = client.get(f"/admin/recordings/recording/{recording.pk}/change/")
    assert b"Mei&#x27;s own" in page.content
    assert client.post(f"/admin/recordings/recording/{recording.pk}/delete/", {"post": "yes"}).status_code == 403


async def test_a_socket_tells_of_ones_own_recordings_and_that_the_line_moved(mei: User, jonas: User) -> None:
    theirs = await sync_to_async(make_recording)(mei, "One")
    own = await sync_to_async(make_recording)(jonas, "One")
    listener = socket("/ws/recordings", jonas)
    assert (await listener.connect())[0]
    await listener.send_to(text_data="not JSON")
    await sync_to_async(recording_changed)(theirs.pk, mei.pk)
    await sync_to_async(recording_changed)(own.pk, jonas.pk)
    told = [await listener.receive_json_from(10) for _ in range(3)]
    assert {"recording": own.pk, "gone": False} in told
    assert told.count({"queue": "changed"}) == 2
    await listener.disconnect()
    assert owner_group(jonas.pk) not in get_channel_layer().groups


async def test_strangers_are_turned_away_from_the_sockets(mei: User, jonas: User) -> None:
    turned_away: list[tuple[str, User | AnonymousUser, int]] = [
        ("/ws/recordings", AnonymousUser(), 4401),
        ("/ws/monitor", AnonymousUser(), 4401),
        ("/ws/monitor", jonas, 4403),
    ]
    for path, user, code in turned_away:
        stranger = socket(path, user)
        await stranger.connect()
        assert (await stranger.receive_json_from())["type"] == "error"
        assert (await stranger.receive_output())["code"] == code


async def test_telling_never_fails_the_job_that_tells(mei: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recordings.events.get_channel_layer", lambda: None)
    await sync_to_async(recording_changed)(1, mei.pk)
