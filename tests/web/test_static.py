"""Static files as browsers ask for them."""

import gzip
import warnings
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient

SHEET = "/static/sheet.css"
CONTENT = "body { color: black; }\n" * 100


@pytest.fixture(autouse=True)
def sheet(tmp_path: Path, settings: Any) -> None:
    """Install one static file and its compressed copy beside it."""
    settings.STATIC_ROOT = tmp_path
    (tmp_path / "sheet.css").write_text(CONTENT)
    (tmp_path / "sheet.css.gz").write_bytes(gzip.compress(CONTENT.encode()))


async def asked(**headers: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of objects that earlier tests left to the collector
        return await AsyncClient().get(SHEET, headers=headers)


async def test_a_file_comes_whole_compressed_or_in_part_without_a_warning() -> None:
    whole = await asked()
    assert (whole.status_code, whole.content.decode()) == (200, CONTENT)
    assert whole["Content-Type"].startswith("text/css")
    squeezed = await asked(**{"Accept-Encoding": "gzip"})
    assert gzip.decompress(squeezed.content).decode() == CONTENT
    assert squeezed["Content-Encoding"] == "gzip"
    part = await asked(Range="bytes=5-9")
    assert (part.status_code, part.content.decode()) == (206, CONTENT[5:10])
    since = await asked(**{"If-Modified-Since": whole["Last-Modified"]})
    assert (since.status_code, since.content) == (304, b"")
    assert "Content-Type" not in since
