"""How many requests a Whisper server computes and how many wait in it, where it tells that.

- vLLM has two gauges at /metrics, for each of its engines: vllm:num_requests_running and vllm:num_requests_waiting
  (vLLM 0.12, docs/design/metrics.md).
- Stile's own engine has `running` and `waiting` in the JSON at /health (`engine.server`).

Both tell it without work for the model.
"""

import json
import re
from collections.abc import Callable
from typing import NamedTuple

from transcription.servers.dialect import ENDPOINT, Look

GAUGE = re.compile(r"^vllm:num_requests_(running|waiting)(?:\{.*\})? (\d+(?:\.\d+)?)", re.MULTILINE)


class Told(NamedTuple):
    """Requests in a server, whoever sent them."""

    running: int
    waiting: int


async def ask(url: str, look: Look) -> Told | None:
    """What the server at an endpoint tells; None if it tells nothing. Raises what `look` raises."""
    base = url.removesuffix(ENDPOINT).removesuffix("/v1")
    for path, read in PLACES.items():
        body, _software = await look(base + path)
        if told := read(body.decode(errors="replace")):
            return told
    return None


def _of_vllm(body: str) -> Told | None:
    found = [(name, round(float(value))) for name, value in GAUGE.findall(body)]
    running, waiting = ([value for name, value in found if name == kind] for kind in Told._fields)
    return Told(sum(running), sum(waiting)) if running and waiting else None


def _of_engine(body: str) -> Told | None:
    try:
        answer = json.loads(body)
        numbers = [answer[name] for name in Told._fields]
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    return Told(*numbers) if all(type(number) is int and number >= 0 for number in numbers) else None


PLACES: dict[str, Callable[[str], Told | None]] = {"/health": _of_engine, "/metrics": _of_vllm}
