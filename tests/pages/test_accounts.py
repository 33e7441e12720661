"""First run, sign-in, password, language and theme."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.forms import TRIES_PER_ADDRESS, TRIES_PER_PERSON
from accounts.links import new_link
from accounts.models import SignInLink
from recordings.management.commands import serve

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget_tries() -> None:
    cache.clear()


def sign_in(client: Client, password: str, name: str = "mei", url: str = "/accounts/login", **extra: Any) -> Any:
    return client.post(url, {"username": name, "password": password}, **extra)


def test_the_printed_link_signs_the_first_administrator_in_once(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    (tmp_path / "first-login-url").write_text("http://…")
    secret = SignInLink.issue()
    assert client.head(f"/setup?token={secret}").status_code == 405  # a link checker does not use it up
    client.cookies["sessionid"] = "planted"
    answer = client.get(f"/setup?token={secret}")
    assert (answer.status_code, answer["Location"], answer["Referrer-Policy"]) == (302, "/", "same-origin")
    assert client.cookies["sessionid"].value not in ("", "planted")
    administrator = User.objects.get()
    assert (administrator.username, administrator.is_superuser, administrator.has_usable_password()) == (
        "admin",
        True,
        False,
    )
    assert not (tmp_path / "first-login-url").exists()
    assert "Set a password" in client.get("/").content.decode()

    again = Client().get(f"/setup?token={secret}")
    assert again.status_code == 404
    assert "This link does not work." in again.content.decode()
    assert Client().get("/setup?token=").status_code == 404


def test_a_link_ends_with_its_hour_and_with_the_next_one(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    first, second = (new_link("http://localhost").partition("token=")[2] for _ in range(2))
    assert (tmp_path / "first-login-url").stat().st_mode & 0o077 == 0
    assert Client().get(f"/setup?token={first}").status_code == 404
    hour = SignInLink.LIFE
    assert hour.total_seconds() == 3600
    SignInLink.objects.update(created_at=timezone.now() - hour)
    assert Client().get(f"/setup?token={second}").status_code == 404
    SignInLink.objects.update(created_at=timezone.now() - hour + timedelta(minutes=1))
    assert Client().get(f"/setup?token={second}").status_code == 302


async def test_the_file_with_the_link_ends_with_its_hour_too(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = tmp_path
    (tmp_path / "first-login-url").write_text("http://…")
    monkeypatch.setattr(SignInLink, "LIFE", timedelta(seconds=0.01))
    await serve.end_link()
    assert not (tmp_path / "first-login-url").exists()


def test_the_link_signs_in_the_administrator_there_is(client: Client) -> None:
    mei = User.objects.create_superuser("mei", password="correct horse")
    client.get(f"/setup?token={SignInLink.issue()}")
    assert client.session["_auth_user_id"] == str(mei.pk)
    assert User.objects.count() == 1


def test_a_person_who_came_by_the_link_sets_a_password_without_an_old_one(client: Client) -> None:
    client.get(f"/setup?token={SignInLink.issue()}")
    page = client.get("/accounts/password").content.decode()
    assert "old_password" not in page
    new = {"new_password1": "stile and lantern", "new_password2": "stile and lantern"}
    answer = client.post("/accounts/password", new, follow=True)
    assert "The password is set." in answer.content.decode()  # and still signed in
    assert "Set a password" not in answer.content.decode()
    assert "old_password" in client.get("/accounts/password").content.decode()
    assert client.post("/accounts/password", new).status_code == 200  # refused: the old one is missing
    assert sign_in(Client(), "stile and lantern", "admin").status_code == 302


@pytest.mark.parametrize("url", ["/accounts/login", "/admin/login/"])
def test_guessing_is_slowed_down_at_both_doors(client: Client, url: str) -> None:
    User.objects.create_superuser("mei", password="correct horse")
    for _ in range(TRIES_PER_PERSON.most):
        assert sign_in(client, "wrong", url=url).status_code == 200
    assert "_auth_user_id" not in client.session
    sign_in(client, "correct horse", "MEI", url=url)
    refused = sign_in(client, "correct horse", url=url)
    assert "Too many tries" in refused.content.decode()
    elsewhere = sign_in(client, "correct horse", url=url, REMOTE_ADDR="10.0.0.7")
    assert elsewhere.status_code == 302


def test_a_throttled_sign_in_is_429_and_says_when_to_come_back(client: Client) -> None:
    for number in range(TRIES_PER_ADDRESS.most):
        sign_in(client, "wrong", f"name-{number}")
    refused = sign_in(client, "wrong", "another")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= TRIES_PER_ADDRESS.seconds


def test_a_success_forgets_the_failures_before_it(client: Client) -> None:
    User.objects.create_user("mei", password="correct horse")
    for _ in range(3):
        for _ in range(TRIES_PER_PERSON.most - 1):
            sign_in(client, "wrong")
        assert sign_in(client, "correct horse").status_code == 302
        client.logout()


def test_sign_in_needs_a_csrf_token_and_leads_nowhere_else(client: Client) -> None:
    User.objects.create_user("mei", password="correct horse")
    assert sign_in(Client(enforce_csrf_checks=True), "correct horse").status_code == 403
    answer = client.post(
        "/accounts/login", {"username": "mei", "password": "correct horse", "next": "https://elsewhere.example/"}
    )
    assert answer["Location"] == "/"
    assert client.cookies["sessionid"]["httponly"]
    assert client.cookies["sessionid"]["samesite"] == "Lax"


def test_the_language_switch_names_the_other_language_and_works_for_anyone(client: Client) -> None:
    assert "简体中文" in client.get("/accounts/login").content.decode()
    client.post("/accounts/language", {"language": "zh-hans", "next": "/accounts/login"})
    page = client.get("/accounts/login").content.decode()
    assert '<html lang="zh-hans">' in page
    assert "登录" in page
    assert re.search(r">\s*English\s*<", page)


def test_the_theme_is_kept_and_leads_nowhere_else(client: Client) -> None:
    answer = client.post("/accounts/theme", {"theme": "dark", "next": "//elsewhere.example"})
    assert answer["Location"] == "/"
    assert 'data-theme="dark"' in client.get("/accounts/login").content.decode()
    client.post("/accounts/theme", {"theme": "system", "next": "/"})
    assert "data-theme" not in client.get("/accounts/login").content.decode()
    client.cookies["theme"] = '"><script>'
    assert "<script>" not in client.get("/accounts/login").content.decode()
