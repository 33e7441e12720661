"""Checks of the settings for `manage.py check`: each names a wrong or dangerous setting and what to do about it."""

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register
from django.core.management import CommandError

from recordings.management.server import readiness
from transcription import service
from transcription.errors import AnswerError, Misconfigured, Unreachable
from transcription.servers.dialect import endpoint
from web.private import is_open, places

LOCAL = {"localhost", "127.0.0.1", "[::1]", ".localhost", "testserver"}
SHORTEST_KEY = 50  # characters, as in Django's security.W009
CONNECT_SECONDS = 2.0  # patience with a Whisper server


@register()
def check_settings(**_: Any) -> list[CheckMessage]:
    found = [*_limits(), *_servers(), *_processes(), *_exposure()]
    if sys.argv[1:2] == ["check"] and not any(isinstance(message, Error) for message in found):
        found += _fitting()  # only here, since no other command may wait for the servers
    return found


def _limits() -> Iterator[CheckMessage]:
    highest, lowest = service.ceiling(), settings.ASR_MIN_CONCURRENT
    if highest != "auto" and not (highest.isdecimal() and int(highest) >= 1):
        hint = "Give the number of calls the Whisper server can take at once, 1 or more, or auto."
        yield Error(f"ASR_MAX_CONCURRENT is {highest!r}.", hint=hint, id="asr.E001")
    elif lowest < 1 or (highest != "auto" and lowest > int(highest)):
        hint = "It must be at least 1 and not above ASR_MAX_CONCURRENT."
        yield Error(f"ASR_MIN_CONCURRENT is {lowest}.", hint=hint, id="asr.E002")
    for name in (
        "ASR_LIVE_TARGET",
        "ASR_MAX_QUEUE",
        "ASR_MAX_RETRIES",
        "ASR_REQUEST_TIMEOUT",
        "MAX_UPLOAD_BYTES",
        "MAX_AUDIO_HOURS",
        "USER_MAX_QUEUED",
        "USER_MAX_LIVE",
        "LIVE_PATIENCE",
        "MAX_CONNECTIONS",
        "CLIENT_TIMEOUT",
    ):
        if (value := getattr(settings, name)) <= 0:
            yield Error(f"{name} is {value}.", hint="It must be above 0.", id="asr.E003")
    for name in ("USER_MAX_BYTES", "DISK_RESERVE", "MAX_CONNECTIONS_PER_ADDRESS"):
        if (getattr(settings, name) or 0) < 0:
            yield Error(f"{name} is {getattr(settings, name)}.", hint="It must not be below 0.", id="asr.E010")
    size = shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).total
    if (settings.DISK_RESERVE or 0) >= size:
        hint = "No upload would be taken: give less, or nothing for 5 % of the disk."
        yield Error(f"DISK_RESERVE is as large as the disk, which has {size} bytes.", hint=hint, id="asr.E011")


def _servers() -> Iterator[CheckMessage]:
    try:
        named = service.servers_named()
    except ValueError as error:
        yield Error(str(error), hint="servers.example.toml shows such a file.", id="asr.E016")
        return
    source = "ASR_SERVERS" if settings.ASR_SERVERS else "ASR_API_URL"
    for server in named:
        url, limit = server.url, server.limit
        try:
            parts = urlsplit(endpoint(url))
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        except ValueError as error:
            yield Error(f"{source}: {error}", hint="Write it as http://host:8000/v1.", id="asr.E004")
            continue
        lowest = max(1, settings.ASR_MIN_CONCURRENT)
        if limit not in ("", "auto") and not (limit.isdecimal() and int(limit) >= lowest):
            hint = f"Give the most calls this server may get at once, {lowest} or more, or auto."
            yield Error(f"{source}: the limit of {url} is {limit!r}.", hint=hint, id="asr.E005")
        try:
            socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
        except OSError as error:
            hint = "Is it running? Jobs wait until it can be reached."
            yield Warning(f"{source}: cannot connect to {url}: {error}.", hint=hint, id="asr.W001")
    if settings.ASR_CA_BUNDLE and not os.path.isfile(settings.ASR_CA_BUNDLE):
        yield Error(f"ASR_CA_BUNDLE: there is no file {settings.ASR_CA_BUNDLE}.", id="asr.E006")


def _fitting() -> Iterator[CheckMessage]:
    """Findings of an inspection of each server. `_servers` names the servers that cannot be reached."""
    if not service.servers_named():
        return
    client = service.inspector()
    for server in client.pool.servers:
        try:
            said = service.inspect(client, server)
        except Unreachable:
            continue
        except Misconfigured as error:
            hint = f"{error.finding} Jobs wait until this is mended."
            yield Warning(f"{server.url}: {error}", hint=hint, id="asr.W007")
        except AnswerError as error:
            hint = "Is it still starting?"
            yield Warning(f"{server.url} does not answer as it should: {error}", hint=hint, id="asr.W008")
        else:
            yield Info(f"{server.name}: {said}", id="asr.I002")


def _processes() -> Iterator[CheckMessage]:
    sqlite = settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
    if sqlite and settings.REDIS_URL:
        hint = "Set DATABASE_URL to a PostgreSQL database, or unset REDIS_URL to run as one process."
        yield Error("REDIS_URL is set for several processes, but the database is SQLite.", hint=hint, id="asr.E007")
    if settings.REDIS_URL and not sqlite:
        hint = "A second process on this database refuses to start: it would let in as many calls as the limit again."
        yield Warning("REDIS_URL is set, but only one process may call Whisper.", hint=hint, id="asr.W002")
    if (workers := os.environ.get("WEB_CONCURRENCY", "")) not in ("", "0", "1"):
        hint = "ASGI servers start as many processes, and the second refuses to start. Unset it, or set it to 1."
        yield Error(f"WEB_CONCURRENCY is {workers!r}, but only one process may call Whisper.", hint=hint, id="asr.E012")
    # Only here: every command checks the settings, and most may run beside the server.
    if sys.argv[1:2] == ["check"] and (other := service.claim().taken_by_another()):
        hint = "Another server with these settings would refuse to start, until that one has stopped."
        yield Info(f"Stile is running on {other}.", hint=hint, id="asr.I001")
        yield from _running()


def _running() -> Iterator[CheckMessage]:
    """What the running server says of itself in /readyz."""
    try:
        parts = readiness()
    except CommandError as error:
        yield Info(str(error), hint="Is it still starting, or does it run on another PORT?", id="asr.I003")
        return
    for name, part in parts.items():
        if not part["ok"]:
            reason = part.get("reason", part["error"])
            yield Warning(f"The running Stile says that its part {name!r} is down: {reason}", id="asr.W009")
        for sentence in part.get("advice", ()):
            yield Warning(f"The running Stile says: {sentence}", id="asr.W010")


def _exposure() -> Iterator[CheckMessage]:
    public = [host for host in settings.ALLOWED_HOSTS if host not in LOCAL]
    if settings.DEBUG and (public or settings.HOST not in ("localhost", "127.0.0.1", "::1")):
        hint = "Unset DEBUG: its error pages show the settings to whoever causes an error."
        yield Error("DEBUG is on and the server can be reached from elsewhere.", hint=hint, id="asr.E008")
    if settings.BEHIND_TLS and not settings.TRUSTED_PROXIES:
        hint = "Set TRUSTED_PROXIES to the proxy's address as this process sees it, such as 127.0.0.1."
        yield Error(
            "CSRF_TRUSTED_ORIGINS says https, but no proxy is trusted to tell what came over TLS: every page would "
            "redirect to itself.",
            hint=hint,
            id="asr.E013",
        )
    for name in ("TRUSTED_PROXIES", "METRICS_ALLOWED"):
        for network in getattr(settings, name):
            try:
                ip_network(network)
            except ValueError as error:
                hint = "Write addresses and networks with commas, such as 127.0.0.1,10.0.0.0/8."
                yield Error(f"{name}: {error}.", hint=hint, id="asr.E014")
    if settings.URL_PREFIX and not re.fullmatch(r"(/[\w.~-]+)+", settings.URL_PREFIX):
        hint = "Write it as /stile: a slash, then letters, digits, dots, dashes or underscores."
        yield Error(f"URL_PREFIX is {settings.URL_PREFIX!r}.", hint=hint, id="asr.E015")
    if len(settings.SECRET_KEY) < SHORTEST_KEY or len(set(settings.SECRET_KEY)) < 5:
        hint = "Unset SECRET_KEY to have a good one made and kept in DATA_DIR."
        yield Error("SECRET_KEY is short enough to be guessed.", hint=hint, id="asr.E009")
    for path in places():
        if is_open(path.stat().st_mode):
            hint = f"The next start takes these rights away where it may, as does: chmod -R go= {path}"
            yield Warning(f"Other users of this machine have rights to {path}.", hint=hint, id="asr.W004")
    if "*" in settings.ALLOWED_HOSTS:
        hint = "Name the hosts that people use."
        yield Warning("ALLOWED_HOSTS allows any host.", hint=hint, id="asr.W003")
