"""API tokens: made by a command, kept as digests, good until they expire, are revoked or their user goes."""

import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, digest

ROOT = settings.BASE_DIR
pytestmark = pytest.mark.django_db(transaction=True)


def made(*arguments: str) -> str:
    out = StringIO()
    call_command("create_token", *arguments, "--create", stdout=out)
    return out.getvalue().removesuffix("\n")


def test_the_command_prints_the_token_alone_and_makes_the_user(tmp_path: Path) -> None:
    environment = {"DATA_DIR": str(tmp_path), "ASR_API_URL": "http://127.0.0.1:9/v1", "PATH": ""}
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=environment, check=True, capture_output=True)
    command = [*manage, "create_token", "newcomer", "--create", "--name", "script"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("asr_")
    assert len(lines[0]) >= 40


def test_before_the_first_start_the_command_says_what_to_do(tmp_path: Path) -> None:
    environment = {"DATA_DIR": str(tmp_path), "ASR_API_URL": "http://127.0.0.1:9/v1", "PATH": ""}
    command = [sys.executable, "manage.py", "create_token", "newcomer"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (  # the warnings of the checks are above it
        "CommandError: The database is not ready (no such table: auth_user). Start the product once: make run"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("told", ["", "n", "yess", None])
def test_a_name_that_nobody_has_makes_no_user_unless_told(told: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if told is not None:  # a person is at the terminal
        monkeypatch.setattr("sys.stdin", Terminal(f"{told}\n"))
    with pytest.raises(CommandError, match="There is no user annn" if told is None else "No token was made"):
        call_command("create_token", "annn", stdout=StringIO(), stderr=StringIO())
    assert not User.objects.exists()


@pytest.mark.parametrize("told", ["y", " YES "])
def test_a_person_is_asked_before_a_user_is_made(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{told}\n"))
    out, error = StringIO(), StringIO()
    call_command("create_token", "ann", stdout=out, stderr=error)
    assert error.getvalue() == "There is no user ann. Make one? [y/N] "
    assert out.getvalue().startswith("asr_")  # the token alone: scripts read it
    assert User.objects.get().username == "ann"
    out = StringIO()
    call_command("create_token", "ann", stdout=out)  # no question about a person who exists
    assert out.getvalue().startswith("asr_")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_the_user_is_made_once_and_cannot_sign_in_with_a_password() -> None:
    made("ann")
    made("ann")
    user = User.objects.get()
    assert (user.username, user.has_usable_password(), user.is_staff) == ("ann", False, False)


async def test_a_token_opens_for_its_user_and_only_its_digest_is_kept() -> None:
    secret = await sync_to_async(made)("ann", "--name", "laptop")
    token = await ApiToken.authenticate(secret)
    assert token is not None
    assert (token.user.username, token.name, sorted(token.scopes)) == ("ann", "laptop", sorted(ApiToken.Scope.values))
    assert (token.lane, token.weight) == ("interactive", 1)
    assert (token.digest, token.ends_with) == (digest(secret), secret[-4:])
    assert secret not in str(await ApiToken.objects.values().aget())
    assert await ApiToken.authenticate(secret[:-1]) is None
    assert await ApiToken.authenticate("") is None


async def test_a_token_ends_when_it_expires_is_revoked_or_its_user_is_deactivated() -> None:
    user = await User.objects.acreate(username="ann")
    token = await ApiToken.objects.acreate(user=user, name="x", digest=digest("asr_x"), ends_with="sr_x", scopes=[])
    assert await ApiToken.authenticate("asr_x")
    for change in ({"expires_at": timezone.now() - timedelta(seconds=1)}, {"revoked_at": timezone.now()}):
        await ApiToken.objects.aupdate(**change)
        assert await ApiToken.authenticate("asr_x") is None
        await ApiToken.objects.aupdate(expires_at=None, revoked_at=None)
    await User.objects.aupdate(is_active=False)
    assert await ApiToken.authenticate("asr_x") is None
    assert token.pk


async def test_its_last_use_is_noted_at_most_once_a_minute() -> None:
    user = await User.objects.acreate(username="ann")
    token = await ApiToken.objects.acreate(user=user, name="x", digest=digest("asr_x"), ends_with="sr_x", scopes=[])
    await ApiToken.authenticate("asr_x")
    await token.arefresh_from_db()
    first = token.last_used_at
    assert first is not None
    await ApiToken.authenticate("asr_x")
    await token.arefresh_from_db()
    assert token.last_used_at == first
    await ApiToken.objects.aupdate(last_used_at=first - timedelta(minutes=2))
    await ApiToken.authenticate("asr_x")
    await token.arefresh_from_db()
    assert token.last_used_at > first - timedelta(minutes=1)


def test_days_scopes_lane_and_weight_are_kept() -> None:
    made("ann", "--days", "1.5", "--scope", "read", "--scope", "stats", "--lane", "batch", "--weight", "3")
    token = ApiToken.objects.get()
    assert (token.scopes, token.lane, token.weight) == (["read", "stats"], "batch", 3)
    assert token.expires_at is not None
    assert token.expires_at - token.created_at == pytest.approx(timedelta(days=1.5), abs=timedelta(seconds=5))


@pytest.mark.parametrize(
    "arguments",
    [
        ["a b"],
        ["x" * 151],
        [""],
        ["ann", "--days", "0"],
        ["ann", "--days", "nan"],
        ["ann", "--days", "1e9"],
        ["ann", "--scope", "all"],
        ["ann", "--name", "x" * 101],
        ["ann", "--lane", "live"],
        ["ann", "--weight", "0"],
        ["ann", "--weight", "1.5"],
        ["ann", "--weight", "11"],
    ],
)
def test_what_makes_no_sense_is_refused_and_makes_nothing(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        made(*arguments)
    assert not User.objects.exists()


def test_no_token_is_made_for_a_deactivated_user() -> None:
    User.objects.create(username="ann", is_active=False)
    with pytest.raises(CommandError, match="deactivated"):
        made("ann")


def test_an_admin_sees_and_changes_the_lane_and_the_weight(admin_client: Client) -> None:
    user = User.objects.create(username="ann")
    token, _ = ApiToken.issue(user, "archive", scopes=["transcribe"], days=None, lane="batch", weight=7)
    page = f"/admin/accounts/apitoken/{token.pk}/change/"
    form = {"name": "archive", "lane": "interactive", "weight": "2"}
    assert b"batch" in admin_client.get("/admin/accounts/apitoken/").content
    assert admin_client.post(page, form | {"weight": "11"}).status_code == 200  # the form again, with the fault
    assert admin_client.post(page, form).status_code == 302
    token.refresh_from_db()
    assert (token.lane, token.weight) == ("interactive", 2)
