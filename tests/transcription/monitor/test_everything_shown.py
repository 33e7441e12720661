"""Whatever a snapshot says of line and servers is seen in stats, on the monitor, in /metrics and in `asr_stats`."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from recordings.management.commands.asr_stats import lines
from transcription import service
from transcription.learnt import Gain, Learnt
from transcription.limit import LimitChange
from transcription.monitor.metrics import exposition
from transcription.monitor.stats import read_stats
from transcription.sentence import Sentence
from transcription.snapshot import (
    Calls,
    GateSnapshot,
    LaneCount,
    LineSnapshot,
    Load,
    ProfileSnapshot,
    ServerSnapshot,
    Snapshot,
)

LEARNT = Learnt(home=3, throughput=12.5, failed=5, gains=(Gain(2, 3, 0.5, 9.0),), inherited="unproven")
GATE = GateSnapshot(
    name="gpu:8000",
    ceiling=8,
    limit=3,
    active=2,
    queued=1,
    abandoned=1,
    peak=4,
    lanes={"live": LaneCount(0, 0), "interactive": LaneCount(1, 0), "batch": LaneCount(1, 1)},
    waits=(0.5, 1.5, 2.5),
    services=(4.0, 5.0, 6.0),
    audio=(28.0, 27.0, 26.0),
    rate=16.2,
    changes=((0.0, LimitChange(3, Sentence("busy with {} in flight", 4))),),
    learnt=LEARNT,
    advice=None,
    live_share=2,
    live_home=3,
    live_target_missed=False,
)
LOAD = Load(running=3, waiting=2, foreign=1)
LINE = LineSnapshot(queued=3, max_queue=100, shared={"live": 0, "interactive": 1, "batch": 1})
# For fields whose other values do not follow from their type.
OTHER: dict[str, Any] = {
    "lanes": GATE.lanes | {"live": LaneCount(1, 1)},
    "shared": {"live": 1, "interactive": 1, "batch": 1},
    "changes": ((0.0, LimitChange(2, Sentence("busy with {} in flight", 3))),),
    "waits": (7.0,) * 3,
    "services": (7.0,) * 3,
    "audio": (7.0,) * 3,
    "inherited": "refuted",
    "advice": Sentence("It is too high."),
    "gains": (Gain(3, 4, 0.1, 4.0),),
}
# What is not shown somewhere, and why.
NOT_SHOWN = {
    ("changes", place): "an event, for which there are the log and the monitor's chart"
    for place in ("stats", "metrics", "asr_stats")
} | {(name, "metrics"): "it is the sum of the lanes, which are shown" for name in ("active", "queued")}


def snapshot(gate: GateSnapshot = GATE, line: LineSnapshot = LINE, load: Load | None = LOAD) -> Snapshot:
    profile = ProfileSnapshot(Sentence("Not asked yet."), False, None, "http://gpu:8000/v1", "large-v3", (), "json")
    server = ServerSnapshot("http://gpu:8000/v1", gate, "closed", None, "", None, None, 0, profile, load)
    return Snapshot(Calls(), line, (server,))


def variants(whole: Any, put: Callable[[Any], Snapshot]) -> Iterator[tuple[str, Snapshot]]:
    """The snapshot with one field of `whole` changed, for each field of it and of its objects.

    put: makes a snapshot of a `whole`.
    """
    for field in fields(whole):
        value = getattr(whole, field.name)

        def around(part: Any, name: str = field.name) -> Snapshot:
            return put(replace(whole, **{name: part}))

        if is_dataclass(value):
            yield from variants(value, around)
            yield field.name, around(None)
        else:
            yield field.name, around(_other(field.name, value))
        if field.name == "gains":
            for number in Gain._fields:
                changed = value[0]._replace(**{number: {"low": 1, "high": 4}.get(number, 0.9)})
                yield f"gains.{number}", around((changed,))


def _other(name: str, value: Any) -> Any:
    if name in OTHER:
        return OTHER[name]
    return f"other-{value}" if isinstance(value, str) else value + 1


VARIANTS = (
    dict(variants(GATE, snapshot))
    | {f"line.{name}": changed for name, changed in variants(LINE, lambda line: snapshot(line=line))}
    | {f"load.{name}": changed for name, changed in variants(LOAD, lambda load: snapshot(load=load))}
    | {"load": snapshot(load=None)}
)


@pytest.fixture
def seen(admin_client: Client, monkeypatch: pytest.MonkeyPatch, admin_user: User) -> Callable[[Snapshot], Any]:
    """What each place shows of a snapshot."""

    def seen(shown: Snapshot) -> dict[str, str]:
        monkeypatch.setattr(service, "snapshot", lambda: shown)
        stats = json.loads(json.dumps(asdict(read_stats()), default=str))
        page = admin_client.get("/admin/asr/monitor/").content.decode()
        history = admin_client.get("/admin/asr/monitor/history?minutes=1440").json()["changes"]
        metrics = exposition("")[0].decode()
        return {
            "stats": str(stats),
            "monitor": " ".join(re.findall(r"data-field=[^<]*<", page)) + str([change[2:] for change in history]),
            "metrics": "\n".join(line for line in metrics.splitlines() if line.startswith("asr_")),
            "asr_stats": "\n".join(lines(stats)),
        }

    return seen


@pytest.mark.django_db
@pytest.mark.parametrize("name", VARIANTS)
def test_a_change_of_any_field_is_seen_everywhere(name: str, seen: Callable[[Snapshot], Any]) -> None:
    before, after = seen(snapshot()), seen(VARIANTS[name])
    hidden = {(name, place) for place in before if before[place] == after[place]}
    assert hidden == {exception for exception in NOT_SHOWN if exception[0] == name}
