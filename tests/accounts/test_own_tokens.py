"""API tokens that people make in the settings, and that tokens make: rights, secrets, limits."""

import logging
import re
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken
from accounts.tokens import MOST, make_token, revoke_token, tokens_of
from web.problems import Problem
from web.throttle import TOKENS

pytestmark = pytest.mark.django_db
FORM = {"name": "laptop", "scopes": ["read", "write"], "days": "90", "lane": "interactive", "weight": "1"}
SHOWN = re.compile(r'id="secret" readonly value="(asr_[\w-]{43})"')
SCRIPT = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _forget_uses() -> None:
    cache.clear()


@pytest.fixture
def mei() -> User:
    return User.objects.create_user("mei", password="correct horse")


@pytest.fixture
def browser(mei: User, client: Client) -> Client:
    client.force_login(mei)
    return client


def working(token: ApiToken) -> bool:
    return ApiToken.living().filter(pk=token.pk).exists()


@pytest.mark.parametrize("headers", [{}, SCRIPT], ids=["page", "script"])
def test_the_secret_is_shown_once_and_kept_nowhere(
    browser: Client, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = browser.post("/settings/tokens", FORM, headers=headers)
    [secret] = SHOWN.findall(answer.content.decode())
    assert answer.content.decode().count(secret) == 1
    assert "no-store" in answer["Cache-Control"]
    assert secret not in browser.get("/settings/tokens", headers=headers).content.decode()
    assert secret not in str([*ApiToken.objects.values(), dict(browser.session), caplog.text])
    assert async_to_sync(ApiToken.authenticate)(secret) == ApiToken.objects.get()


def test_a_token_is_made_with_what_the_form_says(browser: Client) -> None:
    browser.post("/settings/tokens", FORM | {"scopes": ["stats", "transcribe"], "lane": "batch", "weight": "3"})
    token = ApiToken.objects.get()
    assert (token.name, token.scopes, token.lane, token.weight) == ("laptop", ["transcribe", "stats"], "batch", 3)
    assert token.user.username == "mei"
    assert token.expires_at is not None
    assert token.expires_at - timezone.now() == pytest.approx(timedelta(days=90), abs=timedelta(minutes=1))
    browser.post("/settings/tokens", FORM | {"days": ""})
    assert ApiToken.objects.latest("pk").expires_at is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "  "}, "This field is required."),
        ({"name": "x" * 101}, "at most 100 characters"),
        ({"scopes": []}, "Choose at least one."),
        ({"scopes": ["everything"]}, "everything is not one of the available choices"),
        ({"days": "1000000"}, "1000000 is not one of the available choices"),
        ({"lane": "live"}, "live is not one of the available choices"),
        ({"weight": "0"}, "greater than or equal to 1"),
        ({"weight": "11"}, "less than or equal to 10"),
        ({"weight": ""}, "This field is required."),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_word_and_what_was_typed_stays(
    browser: Client, changes: dict[str, Any], words: str
) -> None:
    asked = FORM | {"name": "my laptop"} | changes
    page = browser.post("/settings/tokens", asked, headers=SCRIPT).content.decode()
    assert words in page
    assert f'value="{asked["name"].strip()}"' in page or not asked["name"].strip()
    assert not ApiToken.objects.exists()


def test_the_names_of_tokens_are_no_markup(browser: Client) -> None:
    page = browser.post("/settings/tokens", FORM | {"name": '"><script>alert(1)</script>'}).content.decode()
    assert "<script>alert" not in page


def test_a_person_has_a_bounded_number_of_tokens(mei: User, browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.tokens.MOST", 2)
    tokens = [make_token(mei, "x", scopes=["read"], days=None)[0] for _ in range(2)]
    words = "You have 2 tokens already. Revoke one of them, then make another."
    assert words in browser.post("/settings/tokens", FORM).content.decode()
    revoke_token(mei, tokens[0].pk)
    assert words not in browser.post("/settings/tokens", FORM).content.decode()
    assert tokens_of(mei).count() == 2
    assert MOST == 100


def test_making_tokens_is_throttled(browser: Client) -> None:
    for _ in range(TOKENS.most):
        browser.post("/settings/tokens", FORM)
    ApiToken.objects.all().delete()
    assert "That is too much at once." in browser.post("/settings/tokens", FORM).content.decode()
    assert not ApiToken.objects.exists()


def test_a_revoked_token_leaves_the_list_and_works_no_more(mei: User, browser: Client) -> None:
    token, secret = make_token(mei, "laptop", scopes=["read"], days=None)
    address = f"/settings/tokens/{token.pk}/revoke"
    assert browser.get(address).status_code == 405
    page = browser.post(address, headers=SCRIPT).content.decode()
    assert "The token “laptop” is revoked." in page
    assert f"token-{token.pk}" not in page
    assert async_to_sync(ApiToken.authenticate)(secret) is None
    assert "is revoked" not in browser.post(address).content.decode()  # another window did it


def test_tokens_of_somebody_else_do_not_exist(browser: Client) -> None:
    theirs, _ = make_token(User.objects.create_user("jonas"), "Jonas's own", scopes=["read"], days=None)
    assert "Jonas" not in browser.get("/settings/tokens").content.decode()
    answers = [browser.post(f"/settings/tokens/{pk}/revoke") for pk in (theirs.pk, 999_999)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert working(theirs)


@pytest.mark.parametrize("address", ["/settings/tokens", "/settings/tokens/1/revoke"])
def test_only_a_page_of_a_person_who_is_signed_in_changes_tokens(mei: User, address: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(mei)
    assert strict.post(address, FORM).status_code == 403
    assert Client().post(address, FORM)["Location"] == f"/accounts/login?next={address}"
    assert not ApiToken.objects.exists()


MAKERS: dict[str, dict[str, Any]] = {
    "works": {},
    "was revoked": {"revoked_at": timezone.now()},
    "has expired": {"expires_at": timezone.now() - timedelta(seconds=1)},
    "expires later": {"expires_at": timezone.now() + timedelta(days=1)},
}


@pytest.mark.parametrize(("maker", "made"), list(product(MAKERS, MAKERS)))
def test_a_token_works_while_it_and_its_maker_do(mei: User, maker: str, made: str) -> None:
    first, _ = ApiToken.issue(mei, "maker", scopes=["read"], days=None)
    second, _ = ApiToken.issue(mei, "made", scopes=["read"], days=None, made_by=first)
    ApiToken.objects.filter(pk=first.pk).update(**MAKERS[maker])
    ApiToken.objects.filter(pk=second.pk).update(**MAKERS[made])
    works = {"works", "expires later"}
    assert working(first) == (maker in works)
    assert working(second) == ({maker, made} <= works)


FULL: dict[str, Any] = {"scopes": ["read", "transcribe"], "lane": "batch", "weight": 3}


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({}, ""),
        ({"scopes": ["read"], "weight": 1}, ""),
        ({"scopes": ["read", "write"]}, "write"),
        ({"scopes": ["write", "stats"]}, "write, statistics"),
        ({"lane": "interactive"}, "lane"),
        ({"weight": 4}, "weight"),
    ],
)
def test_a_token_makes_none_with_more_rights_than_its_own(mei: User, asked: dict[str, Any], refusal: str) -> None:
    maker, _ = ApiToken.issue(mei, "maker", **FULL, days=None)
    if not refusal:
        made, _ = make_token(mei, "made", **(FULL | asked), days=None, by=maker)
        assert made.made_by == maker
        with pytest.raises(Problem, match="made_by_token"):
            make_token(mei, "grandchild", scopes=["read"], days=1, lane="batch", by=made)
        return
    with pytest.raises(Problem) as refused:
        make_token(mei, "made", **(FULL | asked), days=None, by=maker)
    assert refused.value.status == 403
    assert refused.value.message.endswith(f"This one differs in: {refusal}.")
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize("scope", ApiToken.Scope.values)
def test_no_right_grows_whatever_the_maker_has_and_whatever_is_asked_for(mei: User, scope: str) -> None:
    """Each scope, lane, weight and life of the maker × each of those of the token that it asks for."""
    lanes, weights = ("interactive", "batch"), (1, 3)
    for lane, weight, life in product(lanes, weights, (None, 3)):
        maker, _ = ApiToken.issue(mei, "maker", scopes=[scope], lane=lane, weight=weight, days=life)
        for other, wanted_lane, most, days in product(ApiToken.Scope.values, lanes, weights, (None, 1, 7)):
            asked: dict[str, Any] = {"scopes": [other], "lane": wanted_lane, "weight": most, "days": days}
            TOKENS.forget(mei.pk)
            ApiToken.objects.exclude(made_by=None).delete()
            if other != scope or most > weight or (lane, wanted_lane) == ("batch", "interactive"):
                with pytest.raises(Problem, match="beyond_own_rights"):
                    make_token(mei, "made", **asked, by=maker)
                assert not maker.made.exists()
                continue
            make_token(mei, "made", **asked, by=maker)
            made = maker.made.get()
            assert (made.scopes, made.lane, made.weight) == ([other], wanted_lane, most)
            lives = [each for each in (life, days) if each is not None]
            left = made.expires_at and made.expires_at - timezone.now()
            assert left == (pytest.approx(timedelta(days=min(lives)), abs=timedelta(minutes=5)) if lives else None)
            assert maker.expires_at is None or (made.expires_at and made.expires_at <= maker.expires_at)


@pytest.mark.parametrize(("days", "expected"), [(None, 7), (30, 7), (1, 1)])
def test_a_token_ends_no_later_than_its_maker(mei: User, days: int | None, expected: int) -> None:
    maker, _ = ApiToken.issue(mei, "maker", scopes=["read"], days=7)
    made, _ = make_token(mei, "made", scopes=["read"], days=days, by=maker)
    made.refresh_from_db()
    assert made.expires_at is not None
    assert made.expires_at - timezone.now() == pytest.approx(timedelta(days=expected), abs=timedelta(minutes=1))


def test_a_token_sees_and_revokes_itself_and_those_that_it_made(mei: User) -> None:
    maker, other = (ApiToken.issue(mei, name, scopes=["read"], days=None)[0] for name in ("maker", "other"))
    made, _ = make_token(mei, "made", scopes=["read"], days=1, by=maker)
    assert set(tokens_of(mei)) == {maker, other, made}
    assert set(tokens_of(mei, maker)) == {maker, made}
    assert set(tokens_of(mei, made)) == {made}
    for token, by in ((other, maker), (maker, made)):
        with pytest.raises(Problem, match="not_found"):
            revoke_token(mei, token.pk, by)
    revoke_token(mei, maker.pk, maker)
    assert set(tokens_of(mei)) == {other}
    assert not working(made)
