"""Kinds of tests: unit, integration and acceptance. The kind of a test follows from what the test can reach.

A test reaches what its code names, and what its fixtures and the helpers in `tests` name. Nobody marks tests by hand:
a test that begins to start a server changes its kind by itself.

- acceptance: starts a browser, or a process of the product, of a server or of a command.
- integration: uses the database, sockets, threads, a decoder process, the embedded engine, or a command that makes its
  sound.
- unit: the rest. `confined` fails a unit test that opens a socket or starts a process all the same.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from inspect import unwrap
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

ACCEPTANCE = ("asyncio.subprocess", "playwright", "selenium", "subprocess")
DEBIAN = (  # these need what `tests/system.sh` installs
    "tests.support.audio_files.ffmpeg",
    "tests.support.speech.librivox",
    "tests.support.speech.spoken",
)
INTEGRATION = (
    "asyncio.streams",
    "concurrent.futures",
    "posix.fork",
    "socket",
    "socketserver",
    "tests.support.audio_files.ffmpeg",
    "tests.support.speech.spoken",
    "threading.Thread",
    "transcription.audio.apart",
    "transcription.engine.process",
    "transcription.engine.weights",  # runs pip
    "transcription.service.client",
    "uvicorn",
    "web.server",
)
DATABASE = {"db", "transactional_db"}  # fixtures of pytest-django
FORBIDDEN = {"os.fork", "os.forkpty", "os.posix_spawn", "socket.bind", "socket.connect", "subprocess.Popen"}


def marks(test: pytest.Function) -> list[str]:
    """The test's kind (`unit`, `integration` or `acceptance`); `debian` too if it needs what `system.sh` installs."""
    reached = set(reach(test.function))
    for definitions in test._fixtureinfo.name2fixturedefs.values():
        reached |= reach(definitions[-1].func)
    database = test.get_closest_marker("django_db") or DATABASE.intersection(test.fixturenames)
    if _any_within(reached, ACCEPTANCE):
        kind = "acceptance"
    elif database or _any_within(reached, INTEGRATION):
        kind = "integration"
    else:
        kind = "unit"
    return [kind, "debian"] if _any_within(reached, DEBIAN) else [kind]


def _any_within(names: set[str], parents: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{parent}.") for name in names for parent in parents)


@cache
def reach(start: Callable[..., Any]) -> frozenset[str]:
    """The full names of everything that a function names, itself or through functions and classes of the tests."""
    names: set[str] = set()
    seen: dict[int, object] = {}
    waiting: list[Any] = [start]
    while waiting:
        found = unwrap(waiting.pop())
        found = getattr(getattr(found, "hypothesis", None), "inner_test", found)
        if id(found) in seen:
            continue
        seen[id(found)] = found
        names.add(name := _full_name(found))
        if name.startswith(("tests.", "bench.")) and name not in INTEGRATION:  # those run a command that ends at once
            waiting += _named_by(found)
    return frozenset(names)


def _full_name(found: object) -> str:
    if isinstance(found, ModuleType):
        return found.__name__
    named = found if hasattr(found, "__qualname__") and hasattr(found, "__module__") else type(found)
    return f"{named.__module__}.{named.__qualname__}"


def _named_by(found: object) -> Iterator[object]:
    """The bases and members of a class; the globals that a function names, and their members if they are modules."""
    if isinstance(found, type):
        yield from found.__bases__
        for member in vars(found).values():  # of a class method and of a property, the function
            yield getattr(member, "__func__", None) or getattr(member, "fget", None) or member
    elif isinstance(found, FunctionType):
        words = set(_words(found.__code__))
        for value in [found.__globals__[word] for word in words & found.__globals__.keys()]:
            yield value
            if isinstance(value, ModuleType):
                yield from (vars(value)[word] for word in words & vars(value).keys())


def _words(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes in a piece of code and in its inner functions."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _words(constant)


_attempts: list[str] | None = None  # while a test is confined


@contextmanager
def confined() -> Iterator[None]:
    """Fail with AssertionError if the main thread opens a socket or starts a process before the block ends."""
    global _attempts
    attempts: list[str] = []
    before, _attempts = _attempts, attempts
    try:
        yield
    finally:
        _attempts = before
    assert attempts == [], f"A unit test tried {attempts}: see tests/support/kinds.py."


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _attempts is not None and event in FORBIDDEN and threading.current_thread() is threading.main_thread():
        _attempts.append(event)
        raise AssertionError(f"A unit test tried {event}{arguments}: see tests/support/kinds.py.")


sys.addaudithook(_audit)
