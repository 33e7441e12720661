"""API tokens by the API: who makes, sees and revokes which, and that no rights grow.

The rules themselves are tested with `accounts.tokens`, in tests/accounts/test_own_tokens.py.
"""

import logging
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone

from accounts.models import ApiToken, FirstAnswer
from tests.support.answers import code
from tests.support.site import Site
from web.throttle import TOKENS

TOKENS_AT = "/api/tokens"
ASKED: dict[str, Any] = {"name": "CI", "scopes": ["read"]}
SEEN = {"id", "name", "ends_with", "scopes", "lane", "weight", "made_by", "created_at", "expires_at", "last_used_at"}


@pytest.fixture(autouse=True)
def _forget() -> None:
    cache.clear()


def bearer(site: Site, answer: httpx.Response) -> httpx.Client:
    """A program with the token that this answer made."""
    return site.client(headers={"Authorization": f"Bearer {answer.json()['secret']}"})


def person(site: Site, user: str = "mei") -> httpx.Client:
    """A page of the user, with its CSRF token."""
    browser = site.browser(user)
    browser.get("/accounts/password")
    browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
    return browser


def ids(answer: httpx.Response) -> list[int]:
    return [token["id"] for token in answer.json()["items"]]


def test_a_person_makes_lists_and_revokes_tokens(site: Site) -> None:
    page = person(site)
    made = page.post(TOKENS_AT, json=ASKED | {"scopes": ["stats", "read"], "lane": "batch", "weight": 3, "days": 2})
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store, no-transform"
    token = made.json()
    assert token.keys() == SEEN | {"expired", "secret"}
    assert (token["name"], token["scopes"], token["lane"], token["weight"]) == ("CI", ["read", "stats"], "batch", 3)
    assert (token["made_by"], token["last_used_at"], token["expired"]) == (None, None, False)
    assert token["secret"].endswith(token["ends_with"])
    ends = datetime.fromisoformat(token["expires_at"]) - datetime.now(UTC)
    assert ends == pytest.approx(timedelta(days=2), abs=timedelta(minutes=1))

    program = bearer(site, made)
    assert program.get("/api/recordings").status_code == 200
    plain = page.post(TOKENS_AT, json=ASKED | {"days": None}).json()
    assert (plain["lane"], plain["weight"], plain["expires_at"]) == ("interactive", 1, None)
    listed = page.get(TOKENS_AT).json()["items"]
    assert [each["id"] for each in listed] == [plain["id"], token["id"]]
    used = {name: value for name, value in listed[1].items() if name != "last_used_at"}
    assert used == {name: value for name, value in token.items() if name not in ("secret", "last_used_at")}
    assert listed[1]["last_used_at"] is not None

    assert page.delete(f"{TOKENS_AT}/{token['id']}").status_code == 204
    assert code(program.get("/api/recordings")) == (401, "not_authenticated")
    assert ids(page.get(TOKENS_AT)) == [plain["id"]]
    assert code(page.delete(f"{TOKENS_AT}/{token['id']}")) == (404, "not_found")


def test_a_page_without_its_csrf_token_and_nobody_make_none(site: Site) -> None:
    browser, nobody = site.browser(), site.client()
    token, _ = ApiToken.issue(User.objects.get(), "own", scopes=["read"], days=None)
    for caller, refused in ((browser, (403, "csrf_failed")), (nobody, (401, "not_authenticated"))):
        assert code(caller.post(TOKENS_AT, json=ASKED)) == refused
        assert code(caller.delete(f"{TOKENS_AT}/{token.pk}")) == refused
    assert code(nobody.get(TOKENS_AT)) == (401, "not_authenticated")
    assert ApiToken.living().get() == token


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "name: This is empty."),
        ({"name": " \t "}, "name: This is empty."),
        ({"name": "x" * 101}, "name: This is longer than 100 characters."),
        ({"name": None}, "name: This is not a text."),
        ({"scopes": []}, "scopes: This is empty."),
        ({"scopes": ["everything"]}, "scopes.0: This must be one of 'read', 'write', 'transcribe' or 'stats'."),
        ({"days": 0}, "days: This must be more than 0."),
        ({"days": -1}, "days: This must be more than 0."),
        ({"days": 36_501}, "days: This must be at most 36500."),
        ({"days": "soon"}, "days: This cannot be used."),
        ({"lane": "live"}, "lane: This must be one of 'interactive' or 'batch'."),
        ({"weight": 0}, "weight: This must be at least 1."),
        ({"weight": 11}, "weight: This must be at most 10."),
    ],
)
def test_what_no_token_can_be_is_refused_with_a_word(site: Site, changes: dict[str, Any], words: str) -> None:
    program = site.program()
    refused = program.post(TOKENS_AT, json=ASKED | changes)
    assert code(refused) == (422, "invalid_request")
    assert refused.json()["error"]["message"] == words
    assert ApiToken.objects.count() == 1  # the program's own


@pytest.mark.parametrize(
    ("beyond", "status"),
    [({}, 201), ({"scopes": ["read", "write"]}, 403), ({"lane": "interactive"}, 403), ({"weight": 4}, 403)],
)
def test_no_right_of_a_token_that_a_token_makes_is_beyond_its_makers(
    site: Site, beyond: dict[str, Any], status: int
) -> None:
    rights: dict[str, Any] = {"scopes": ["read"], "lane": "batch", "weight": 3}
    maker = site.program(**rights)
    ends = timezone.now() + timedelta(days=1)
    ApiToken.objects.update(expires_at=ends)
    answer = maker.post(TOKENS_AT, json=ASKED | rights | {"days": 7} | beyond)
    assert answer.status_code == status
    if status == 403:
        assert code(answer) == (403, "beyond_own_rights")
        assert ApiToken.objects.count() == 1
    else:
        made = ApiToken.objects.latest("pk")
        assert ({name: getattr(made, name) for name in rights}, made.expires_at) == (rights, ends)


def test_a_lane_that_is_left_out_is_that_of_the_token_that_asks(site: Site) -> None:
    for lane in ("interactive", "batch"):
        assert site.program(lane=lane).post(TOKENS_AT, json=ASKED).json()["lane"] == lane


def test_a_token_sees_and_revokes_itself_and_those_that_it_made_which_end_with_it(site: Site) -> None:
    maker, other = site.program(), site.program()
    own, others = ApiToken.objects.order_by("pk")
    made = [maker.post(TOKENS_AT, json=ASKED) for _ in range(2)]
    first, second = (answer.json()["id"] for answer in made)
    assert [answer.json()["made_by"] for answer in made] == [own.pk, own.pk]
    child = bearer(site, made[0])
    assert ids(maker.get(TOKENS_AT)) == [second, first, own.pk]
    assert (ids(other.get(TOKENS_AT)), ids(child.get(TOKENS_AT))) == ([others.pk], [first])
    for caller, pk in ((other, own.pk), (other, first), (child, own.pk), (child, second), (maker, others.pk)):
        assert code(caller.delete(f"{TOKENS_AT}/{pk}")) == (404, "not_found")
    assert ApiToken.living().count() == 4
    assert maker.delete(f"{TOKENS_AT}/{second}").status_code == 204
    assert child.get("/api/recordings").status_code == 200
    assert maker.delete(f"{TOKENS_AT}/{own.pk}").status_code == 204
    for caller, (method, path) in product((maker, child), (("POST", ""), ("GET", ""), ("DELETE", f"/{first}"))):
        assert code(caller.request(method, TOKENS_AT + path, json=ASKED)) == (401, "not_authenticated")
    assert ApiToken.living().get() == others


def test_a_token_that_a_token_made_makes_none(site: Site) -> None:
    child = bearer(site, site.program().post(TOKENS_AT, json=ASKED))
    assert code(child.post(TOKENS_AT, json=ASKED)) == (403, "made_by_token")
    assert ApiToken.objects.count() == 2


def test_tokens_of_somebody_else_do_not_exist(site: Site) -> None:
    theirs, _ = ApiToken.issue(User.objects.create(username="ann"), "Ann's", scopes=["read"], days=None)
    for caller in (person(site), site.program()):
        assert "Ann" not in caller.get(TOKENS_AT).text
        for pk in (theirs.pk, 999_999):
            assert code(caller.delete(f"{TOKENS_AT}/{pk}")) == (404, "not_found")
    assert ApiToken.living().filter(pk=theirs.pk).exists()


def test_the_secret_is_in_its_own_answer_only(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    page = person(site)
    made = page.post(TOKENS_AT, json=ASKED, headers={"Idempotency-Key": "once"})
    secret = made.json()["secret"]
    assert made.text.count(secret) == 1
    assert secret not in str(dict(made.headers))
    assert bearer(site, made).get(TOKENS_AT).status_code == 200
    kept = [*ApiToken.objects.values(), *FirstAnswer.objects.values()]
    assert secret not in page.get(TOKENS_AT).text + page.get("/settings/tokens").text + str(kept) + caplog.text
    assert FirstAnswer.objects.count() == 1


@pytest.mark.parametrize("who", ["a person", "a program"])
def test_the_same_request_again_has_the_same_token_with_a_new_secret(site: Site, who: str) -> None:
    """The first secret is not kept, so it cannot be told again. There is one token all the same."""
    caller, key = person(site) if who == "a person" else site.program(), {"Idempotency-Key": "once"}
    first, again = (caller.post(TOKENS_AT, json=ASKED, headers=key) for _ in range(2))
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.headers["Cache-Control"] == "no-store, no-transform"
    changed = {"secret", "ends_with"}
    assert {name for name, value in first.json().items() if again.json()[name] != value} == changed
    assert ApiToken.objects.filter(name="CI").count() == 1
    assert [bearer(site, answer).get(TOKENS_AT).status_code for answer in (first, again)] == [401, 200]
    assert code(caller.post(TOKENS_AT, json=ASKED | {"name": "X"}, headers=key)) == (422, "idempotency_key_reused")
    caller.delete(f"{TOKENS_AT}/{first.json()['id']}")
    assert code(caller.post(TOKENS_AT, json=ASKED, headers=key)) == (404, "not_found")
    assert bearer(site, again).get(TOKENS_AT).status_code == 401


def test_another_token_with_the_same_key_gets_no_secret(site: Site) -> None:
    key = {"Idempotency-Key": "once"}
    made = site.program().post(TOKENS_AT, json=ASKED, headers=key)
    assert code(site.program().post(TOKENS_AT, json=ASKED, headers=key)) == (422, "idempotency_key_reused")
    assert code(bearer(site, made).post(TOKENS_AT, json=ASKED, headers=key)) == (422, "idempotency_key_reused")
    assert bearer(site, made).get(TOKENS_AT).status_code == 200


def test_one_person_has_a_bounded_number_of_tokens(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.tokens.MOST", 2)
    programs = site.program(), site.program()
    assert code(programs[0].post(TOKENS_AT, json=ASKED)) == (409, "too_many_tokens")
    assert site.program("ann").post(TOKENS_AT, json=ASKED).status_code == 201  # somebody else's count is their own
    [own] = ids(programs[1].get(TOKENS_AT))
    assert programs[1].delete(f"{TOKENS_AT}/{own}").status_code == 204
    assert programs[0].post(TOKENS_AT, json=ASKED).status_code == 201


def test_making_tokens_is_throttled_for_all_tokens_of_a_person_together(site: Site) -> None:
    programs = site.program(), site.program()
    mei = User.objects.get()
    for _ in range(TOKENS.most):
        TOKENS.require(mei.pk)
    for program in programs:
        refused = program.post(TOKENS_AT, json=ASKED)
        assert code(refused) == (429, "too_many_requests")
        assert int(refused.headers["Retry-After"]) > 0
    assert site.program("ann").post(TOKENS_AT, json=ASKED).status_code == 201
    assert ApiToken.objects.filter(user=mei).count() == 2
