"""The settings, their example file, and what `manage.py check` says about them."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import LazySettings, settings

from tests.support.whisper_servers import Speaches, WhisperCpp, served
from transcription import service

ROOT = Path(settings.BASE_DIR)
EXAMPLE = "servers.example.toml"


def check(*options: str, **environment: str) -> str:
    """What `manage.py check` prints under these environment variables."""
    result = subprocess.run(
        [sys.executable, "manage.py", "check", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr


def test_every_setting_that_is_read_stands_in_the_example_and_no_other() -> None:
    read = set(re.findall(r'env\.\w+\("([A-Z0-9_]+)"', (ROOT / "asrsite/settings.py").read_text()))
    shown = set(re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert read == shown


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    """With every line of the example in force the settings are the same as without a line."""
    script = (
        "from django.conf import settings as s; print(sorted((k, str(getattr(s, k))) for k in dir(s) if k.isupper()))"
    )

    def values(environment: dict[str, str]) -> str:
        bare = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "asrsite.settings", "DATA_DIR": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=bare | environment, capture_output=True, text=True, check=True
        ).stdout

    shown = dict(re.findall(r"^#([A-Z0-9_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.M))
    assert values({name: value for name, value in shown.items() if name != "DATA_DIR"}) == values({})


def test_check_finds_nothing_where_a_proxy_does_tls(tmp_path: Path) -> None:
    said = check(
        "--deploy",
        DATA_DIR=str(tmp_path),
        ALLOWED_HOSTS="stile.example",
        CSRF_TRUSTED_ORIGINS="https://stile.example",
        TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8",
        URL_PREFIX="/stile",
    )
    assert "no issues" in said


def test_the_defaults_are_in_order(tmp_path: Path) -> None:
    assert "no issues" in check(DATA_DIR=str(tmp_path))


@pytest.mark.parametrize(
    ("options", "processors", "ceiling"),
    [
        ({}, 2, "auto"),
        ({}, 1, "1"),
        ({"ASR_ADAPTIVE": False}, 2, "1"),
        ({"ASR_API_URL": "http://gpu:8000/v1"}, 2, "1"),
        ({"ASR_MAX_CONCURRENT": "3"}, 2, "3"),
        ({"ASR_MAX_CONCURRENT": "auto", "ASR_API_URL": "http://gpu:8000/v1"}, 1, "auto"),
    ],
)
def test_without_a_ceiling_the_embedded_engine_gets_auto_where_batches_pay(
    options: dict[str, object],
    processors: int,
    ceiling: str,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in ({"ASR_API_URL": "", "ASR_MAX_CONCURRENT": "", "ASR_ADAPTIVE": True} | options).items():
        setattr(settings, name, value)
    monkeypatch.setattr(service, "gains_by_batches", lambda: processors > 1)
    assert service.ceiling() == ceiling


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.mark.parametrize(
    ("environment", "identifier", "words"),
    [
        ({"ASR_MAX_CONCURRENT": "0"}, "asr.E001", "ASR_MAX_CONCURRENT is '0'"),
        ({"ASR_MAX_CONCURRENT": "many"}, "asr.E001", "or auto"),
        ({"ASR_MIN_CONCURRENT": "3", "ASR_MAX_CONCURRENT": "2"}, "asr.E002", "not above ASR_MAX_CONCURRENT"),
        ({"ASR_MAX_QUEUE": "0"}, "asr.E003", "ASR_MAX_QUEUE is 0"),
        ({"MAX_CONNECTIONS": "0", "CLIENT_TIMEOUT": "-1"}, "asr.E003", "CLIENT_TIMEOUT is -1"),
        ({"MAX_CONNECTIONS_PER_ADDRESS": "-1"}, "asr.E010", "MAX_CONNECTIONS_PER_ADDRESS is -1"),
        ({"ASR_API_URL": "gpu:8000"}, "asr.E004", "http://host:8000/v1"),
        ({"ASR_API_URL": "http://127.0.0.1:1/v1|0"}, "asr.E005", "1 or more"),
        ({"ASR_API_URL": f"http://127.0.0.1:{closed_port()}/v1"}, "asr.W001", "cannot connect"),
        (
            {"ASR_API_URL": "http://127.0.0.1:1/v1|2", "ASR_MIN_CONCURRENT": "3", "ASR_MAX_CONCURRENT": "3"},
            "asr.E005",
            "3 or",
        ),
        ({"ASR_SERVERS": "/nowhere.toml"}, "asr.E016", "ASR_SERVERS: /nowhere.toml cannot be read: No such file"),
        ({"ASR_SERVERS": "pyproject.toml"}, "asr.E016", "is not known; each server stands under [[server]]."),
        ({"ASR_SERVERS": EXAMPLE, "ASR_API_URL": "http://gpu:8000/v1"}, "asr.E016", "in place of ASR_API_URL"),
        ({"ASR_SERVERS": EXAMPLE, "ASR_API_KEY": "key"}, "asr.E016", "in place of ASR_API_URL and ASR_API_KEY"),
        ({"ASR_SERVERS": EXAMPLE, "ASR_MODEL": "huge"}, "asr.E016", "ASR_MODEL is 'huge', which no server"),
        ({"ASR_SERVERS": EXAMPLE, "ASR_LIVE_MODEL": "tiny"}, "asr.E016", "ASR_LIVE_MODEL is 'tiny', which no server"),
        ({"ASR_CA_BUNDLE": "/nowhere.pem"}, "asr.E006", "no file /nowhere.pem"),
        ({"REDIS_URL": "redis://127.0.0.1:1"}, "asr.E007", "the database is SQLite"),
        (
            {"DATABASE_URL": "postgres://127.0.0.1:1/stile", "REDIS_URL": "redis://127.0.0.1:1"},
            "asr.W002",
            "only one process may call Whisper",
        ),
        ({"WEB_CONCURRENCY": "2"}, "asr.E012", "only one process may call Whisper"),
        ({"DEBUG": "on", "HOST": "0.0.0.0"}, "asr.E008", "DEBUG is on"),  # noqa: S104
        ({"DEBUG": "on", "ALLOWED_HOSTS": "stile.example"}, "asr.E008", "DEBUG is on"),
        ({"SECRET_KEY": "secret"}, "asr.E009", "SECRET_KEY"),
        ({"ALLOWED_HOSTS": "*"}, "asr.W003", "any host"),
        ({"CSRF_TRUSTED_ORIGINS": "https://stile.example"}, "asr.E013", "no proxy is trusted"),
        ({"TRUSTED_PROXIES": "127.0.0.1,proxy"}, "asr.E014", "'proxy' does not appear to be an IPv4 or IPv6 network"),
        ({"METRICS_ALLOWED": "10.0.0.1/8"}, "asr.E014", "METRICS_ALLOWED: 10.0.0.1/8 has host bits set"),
        ({"URL_PREFIX": "stile"}, "asr.E015", "URL_PREFIX is 'stile'"),
        ({"URL_PREFIX": "/a b"}, "asr.E015", "Write it as /stile"),
    ],
)
def test_check_names_what_is_wrong_and_what_to_do(
    environment: dict[str, str], identifier: str, words: str, tmp_path: Path
) -> None:
    said = check(DATA_DIR=str(tmp_path), **environment)
    assert identifier in said
    assert words in said


@pytest.mark.parametrize(
    ("model", "identifier", "words"),
    [
        ("", "asr.W007", "Name one of its models in ASR_MODEL: small, large"),
        ("huge", "asr.W007", "has no model huge"),
        ("large", "asr.I002", "takes requests at http://127.0.0.1:{}/v1/audio/transcriptions, for the model large"),
    ],
)
def test_check_asks_the_whisper_server_without_giving_it_work(
    model: str, identifier: str, words: str, tmp_path: Path
) -> None:
    with served(server := Speaches("small", "large")):
        said = check(DATA_DIR=str(tmp_path), ASR_API_URL=server.url, ASR_MODEL=model)
        assert identifier in said
        assert words.format(server.url.rpartition(":")[2]) in said
        assert server.forms == []


def test_check_names_an_address_where_no_whisper_server_is_and_finds_the_path_of_whisper_cpp(tmp_path: Path) -> None:
    with served(server := WhisperCpp("/my/ears")):
        said = check(DATA_DIR=str(tmp_path), ASR_API_URL=f"{server.url}/v1")
        assert "asr.W007" in said
        assert "Check ASR_API_URL" in said
        said = check(DATA_DIR=str(tmp_path), ASR_API_URL=f"{server.url}/my/ears")
        assert f"takes requests at {server.url}/my/ears." in said


def test_runserver_is_the_one_that_speaks_websocket_and_no_other_command_loads_it() -> None:
    def loaded(command: str) -> set[str]:
        script = "import sys, django; django.setup(); print(*sys.modules)"
        process = [sys.executable, "-c", script, command]
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "asrsite.settings"}
        shown = subprocess.run(process, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return set(shown.stdout.split())

    assert "daphne.server" in loaded("runserver")
    assert "twisted" not in loaded("check")


def test_each_check_has_a_number_of_its_own() -> None:
    source = (ROOT / "asrsite/checks.py").read_text()
    said = dict.fromkeys(re.findall(r'id="(asr\.[A-Z]\d+)"', source))
    assert said
    for number in said:
        assert source.count(f'id="{number}"') == 1, number
