"""The file that names the Whisper servers, which ASR_SERVERS points to. servers.example.toml shows one."""

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from transcription.line import LANES, Lane
from transcription.servers.dialect import endpoint


@dataclass(frozen=True, slots=True)
class NamedServer:
    """A server as the settings name it.

    key: sent as a bearer token; empty: none.
    limit: its ceiling, a whole number or `auto`; empty: that of ASR_MAX_CONCURRENT.
    models: those that calls for it may name; the first is asked for if a call names none. Empty: its own list counts.
    lanes: only calls of these lanes go to it.
    weight: of several free servers, those with the greatest weight go first.
    """

    url: str
    key: str = field(default="", repr=False)
    limit: str = ""
    models: tuple[str, ...] = ()
    lanes: tuple[Lane, ...] = LANES
    weight: float = 1.0


KEYS = [each.name for each in fields(NamedServer)]


def read(path: Path) -> tuple[NamedServer, ...]:
    """The servers that a file names. Raises ValueError with a sentence for the administrator, without any key."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8.") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse(text: str) -> tuple[NamedServer, ...]:
    """The servers in the text of such a file. Raises ValueError with a sentence."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"It is not TOML: {error}.") from None
    entries = document.pop("server", None)
    if document:
        raise ValueError(f"{min(document)!r} is not known; each server stands under [[server]].")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("It names no server; each stands under [[server]].")
    servers = tuple(_server(f"Server {number}", entry) for number, entry in enumerate(entries, 1))
    for number, server in enumerate(servers):
        if (twin := [endpoint(each.url) for each in servers].index(endpoint(server.url))) < number:
            raise ValueError(f"Servers {twin + 1} and {number + 1} have the same url.")
    for lane in LANES:
        if not any(lane in server.lanes for server in servers):
            raise ValueError(f"No server serves the lane {lane!r}.")
    return servers


def missing_model(servers: Iterable[NamedServer], wanted: Mapping[str, tuple[str, Iterable[Lane]]]) -> str:
    """A sentence about a wanted model that no server has; empty: all are there, as far as the file says.

    wanted: by the name of its setting, each model and the lanes whose calls ask for it.
    """
    for setting, (model, lanes) in wanted.items():
        for lane in lanes:
            serving = [server for server in servers if lane in server.lanes]
            if model and all(server.models and model not in server.models for server in serving):
                return f"{setting} is {model!r}, which no server of the lane {lane!r} has."
    return ""


def _server(name: str, entry: Mapping[str, Any]) -> NamedServer:
    for key in entry:
        if key not in KEYS:
            raise ValueError(f"{name} has an unknown key, {key!r}; known are {', '.join(KEYS)}.")
    if not isinstance(entry.get("url"), str):
        raise ValueError(f"{name} has no url, such as http://host:8000/v1.")
    try:
        endpoint(entry["url"])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not isinstance(key := entry.get("key", ""), str) or not key.isascii() or not key.isprintable():
        raise ValueError(f"{name}: the key must be a text of printable ASCII characters.")
    limit = entry.get("limit", "")
    if limit not in ("", "auto") and not (type(limit) is int and limit >= 1):
        raise ValueError(f"{name}: the limit must be a whole number, 1 or more, or 'auto', not {limit!r}.")
    weight = entry.get("weight", 1)
    if type(weight) not in (int, float) or not 0 < weight < math.inf:
        raise ValueError(f"{name}: the weight must be a number above 0, not {weight!r}.")
    models, lanes = _names(name, entry, "models"), _names(name, entry, "lanes") or LANES
    for lane in lanes:
        if lane not in LANES:
            raise ValueError(f"{name}: there is no lane {lane!r}; the lanes are {', '.join(LANES)}.")
    return NamedServer(entry["url"], key, str(limit), models, tuple(lane for lane in LANES if lane in lanes), weight)


def _names(name: str, entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of names that is not empty; () if the entry has none."""
    if key not in entry:
        return ()
    names = entry[key]
    if not isinstance(names, list) or not names or not all(isinstance(each, str) and each for each in names):
        raise ValueError(f"{name}: {key} must be a list of names, and not empty.")
    return tuple(names)


def names(urls: Sequence[str]) -> list[str]:
    """The names of servers on pages and in stats: `host:port`, without user and password. Where that names two, the
    path follows."""
    parts = [urlsplit(url) for url in urls]
    hosts = [part.netloc.rpartition("@")[2] for part in parts]
    paths = [part.path.rstrip("/") for part in parts]
    return [host if hosts.count(host) == 1 else host + path for host, path in zip(hosts, paths, strict=True)]
