"""A stolen database opens nothing: no row of it is a key, a ticket or a link that anyone could use."""

import importlib
import json
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import FirstAnswer, SignInLink, SocketTicket
from accounts.sessions import SessionStore, StoredSession, kept_as
from tests.support.site import Site

pytestmark = pytest.mark.django_db(transaction=True)
migration: Any = importlib.import_module("accounts.migrations.0005_private")


def rows() -> str:
    """All that the database holds, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE rootpage > 0 AND type = 'table'")
        names = [name for (name,) in cursor.fetchall()]  # a virtual table has no page: others hold its rows
        said = [cursor.execute(f'SELECT * FROM "{name}"') and cursor.fetchall() for name in names]  # noqa: S608
    return str(said)


def signed_in() -> tuple[Client, str]:
    browser = Client()
    browser.force_login(User.objects.get_or_create(username="mei", is_superuser=True, is_staff=True)[0])
    return browser, browser.cookies["sessionid"].value


def opens(key: str) -> bool:
    thief = Client()
    thief.cookies["sessionid"] = key
    return thief.get("/admin/").status_code == 200


def test_no_key_of_a_session_stands_in_the_database_and_no_row_of_it_opens_one() -> None:
    _, key = signed_in()
    assert opens(key)
    assert key not in rows()
    for stolen in Session.objects.values_list("session_key", flat=True):
        assert not opens(stolen)


def test_no_ticket_link_or_token_stands_in_the_database(site: Site) -> None:
    cache.clear()
    browser = site.browser()
    browser.get("/accounts/password")
    for caller in (site.program(), browser):
        headers = {"X-CSRFToken": caller.cookies["csrftoken"]} if caller is browser else {}
        answer = caller.post("/api/ws-ticket", headers=headers | {"Idempotency-Key": "k-1"})
        assert answer.status_code == 200
        assert answer.json()["ticket"] not in rows()
    assert SocketTicket.objects.filter(session=kept_as(browser.cookies["sessionid"])).exists()
    assert SignInLink.issue() not in rows()
    assert site.program().headers["Authorization"].split()[1] not in rows()
    assert not FirstAnswer.objects.exists()  # an answer with a ticket is not kept


def test_a_session_lives_through_all_that_happens_to_it() -> None:
    browser, key = signed_in()
    assert SessionStore().exists(key)
    assert not SessionStore().exists(kept_as(key))
    session = SessionStore(key)
    session["colour"] = "blue"
    session.save()
    assert SessionStore(key)["colour"] == "blue"
    assert StoredSession(kept_as(key))["colour"] == "blue"
    session.cycle_key()
    assert not SessionStore().exists(key)
    assert SessionStore(session.session_key)["colour"] == "blue"
    browser.cookies["sessionid"] = str(session.session_key)
    assert browser.post("/accounts/logout").status_code == 302
    assert not Session.objects.exists()
    assert SessionStore("unknown-key-12345").load() == {}


async def test_a_session_lives_in_asynchronous_code_too() -> None:
    session = SessionStore()
    await session.aset("colour", "blue")
    await session.asave()
    key = str(session.session_key)
    assert await SessionStore(key).aget("colour") == "blue"
    assert await session.aexists(key)
    await session.asave()
    assert await Session.objects.aget(session_key=kept_as(key))
    await session.adelete()
    assert not await session.aexists(key)


def test_an_expired_session_opens_nothing_and_is_cleared_away() -> None:
    _, key = signed_in()
    Session.objects.update(expire_date=timezone.now())
    assert not opens(key)
    call_command("clearsessions", stdout=StringIO())
    assert not Session.objects.exists()


def test_people_who_are_signed_in_when_the_database_is_migrated_stay_so() -> None:
    _, key = signed_in()
    Session.objects.update(session_key=key)  # as Django's own store keeps it
    assert not opens(key)
    with connection.schema_editor() as editor:
        for _again in range(2):
            migration.hash_keys(apps, editor)
    assert opens(key)
    assert key not in rows()


def test_answers_that_were_kept_lose_their_words_when_the_database_is_migrated() -> None:
    user, now = User.objects.create(username="mei"), timezone.now()
    kept = {"id": 1, "status": "done", "created_at": "2026-11-24T09:30:00Z", "transcription": None}
    for key, body in (
        (
            "recording",
            '{"id": 1, "status": "done", "created_at": "2026-11-24T09:30:00Z", "transcription": null, '
            '"title": "Secret title", "text": "Secret text"}',
        ),
        ("ticket", '{"ticket": "Secret ticket", "expires_in": 30}'),
    ):
        FirstAnswer.objects.create(
            user=user, key=key, fingerprint="", begun_at=now, claimed_at=now, status=200, body=body
        )
    FirstAnswer.objects.create(user=user, key="under way", fingerprint="", begun_at=now, claimed_at=now)
    with connection.schema_editor() as editor:
        migration.cut_answers(apps, editor)
    assert "Secret" not in rows()
    assert set(FirstAnswer.objects.values_list("key", flat=True)) == {"recording", "under way"}
    assert kept == json.loads(FirstAnswer.objects.get(key="recording").body)
