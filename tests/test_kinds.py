"""Each test has one kind, and a unit test that opens a socket or starts a process fails."""

import asyncio
import importlib
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.support import kinds
from tests.support.kinds import confined, reach
from tests.support.product import Product


def start_a_product(product: Product) -> None:
    with Product(product.data_dir):
        pass


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (start_a_product, "subprocess"),
        (lambda: [subprocess.run(["true"])], "subprocess"),
        (lambda: start_a_product(Product(sys.path)), "subprocess"),  # type: ignore[arg-type]
        (lambda: asyncio.start_server(None, port=0), "asyncio.streams.start_server"),  # type: ignore[arg-type]
    ],
)
def test_a_test_reaches_what_its_helpers_name(function: Callable[[], object], name: str) -> None:
    assert name in reach(function)


def test_what_decides_on_the_kind_exists() -> None:
    for name in (*kinds.ACCEPTANCE, *kinds.DEBIAN, *kinds.INTEGRATION):
        module, _, member = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ImportError:
            assert hasattr(importlib.import_module(module), member), name


@pytest.mark.parametrize("attempt", [lambda: subprocess.run(["true"]), lambda: socket.create_server(("", 0))])
def test_a_unit_test_that_uses_more_fails_though_it_catches_the_error(attempt: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match="A unit test tried"), confined(), suppress(AssertionError):
        attempt()


def test_each_test_has_one_kind(request: pytest.FixtureRequest) -> None:
    marked = [{mark.name for mark in item.iter_markers()} for item in request.session.items]
    assert all(len(names & {"unit", "integration", "acceptance"}) == 1 for names in marked)
