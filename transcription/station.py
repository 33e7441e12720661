"""What the gate keeps of one server: its limit, its permits and its latest exchanges."""

import logging
import math
from collections import Counter, deque

from .limit import Limit, LimitChange, Sample
from .line import LANES, Lane
from .live_share import LiveCall, LiveShare
from .memory import ServerMemory, Service
from .sentence import _
from .snapshot import GateSnapshot, LaneCount

log = logging.getLogger(__name__)

WINDOW = 512  # exchanges that the windows look back on
LATEST = 10  # exchanges that tell how long the next one will take
RATE_LATEST, RATE_NEEDS = 64, 3  # exchanges that tell the rate: half an hour of speech; and the fewest that do


class Station:
    """A server, as far as the gate knows it. The gate calls all methods, under its lock.

    name: as in stats and on pages.
    limit: decides how many permits may be out.
    live_share: decides how many of them other lanes may hold while live calls come.
    restrains: whether these are fewer than the limit's own, as of the latest look.
    weight: of several free servers, those with the greatest weight go first.
    """

    def __init__(self, name: str, limit: Limit, live_share: LiveShare | None = None, *, weight: float = 1.0) -> None:
        self.name = name
        self.limit = limit
        self.weight = weight
        self.live_share = live_share or LiveShare()
        self._most = self._most_others = limit.limit  # permits that may be out, and those of them for other lanes
        self._told = limit.limit  # the limit in force, as of the latest change that was noted
        self.restrains = False
        self._first_ceiling = limit.ceiling  # that of the settings: no admin may go above it. None: any
        self.out = 0  # permits, the abandoned ones too
        self._lanes = dict.fromkeys(LANES, 0)  # the same, by lane
        self._abandoned = dict.fromkeys(LANES, 0)  # those among them
        self._peak = 0
        self._waits: deque[float] = deque(maxlen=WINDOW)
        self._answered: deque[Sample] = deque(maxlen=WINDOW)
        self._latest: deque[Sample] = deque(maxlen=LATEST)
        self._changes: deque[tuple[float, LimitChange]] = deque(maxlen=WINDOW)

    # --- whether the server takes calls: a subclass knows -----------------------------------------

    def away(self) -> float:
        """Seconds until the server may take a call; 0: it may now."""
        return 0.0

    def begin(self) -> bool:
        """Note that a call goes to the server. Returns whether it is a trial."""
        return False

    def end(self, trial: bool, reached: bool | None) -> None:
        """Note that a call has ended. trial: what `begin` returned. reached: see `Breaker.finish`."""

    # --- permits -----------------------------------------------------------------------------------

    def has_room(self, lane: Lane, now: float) -> bool:
        """Whether one more permit may be out for this lane."""
        return (
            self.out < self._most
            and (lane == "live" or self.others < self._most_others)
            and now >= self.limit.hold_until
        )

    def look(self, now: float) -> bool:
        """See how many permits may be out now. Returns `restrains`."""
        if now >= self.live_share.until:
            self._most = self._most_others = self.limit.limit
            self.restrains = False
        else:
            self._most, self._most_others = self.live_share.bounds(now, self.limit)
            self.restrains = self._most_others < self.limit.limit
        if self._told != self._most:  # they differ at level 0 of the share, too
            self._note(now)
        return self.restrains

    def limit_now(self, now: float) -> int:
        """The limit in force: while live calls come, it may be one higher than the limit's own (rule 10 of its share).

        The others may hold no more than the limit's own.
        """
        return self.live_share.limit_now(now, self.limit)

    @property
    def others(self) -> int:
        """Permits out of other lanes than live."""
        return self.out - self._lanes["live"]

    def expect_live(self, now: float) -> int:
        """Note that a live call may come here. Returns how many others are in flight."""
        self.live_share.ask(now)
        self.look(now)
        return self.others

    def admit(self, lane: Lane, waited: float) -> int:
        """Let a call out. Returns how many are out now."""
        self.out += 1
        self._lanes[lane] += 1
        if self.out > self._peak:
            self._peak = self.out
        self._waits.append(waited)
        return self.out

    def hold(self, lane: Lane) -> None:
        """Let an abandoned permit out, for an exchange of an earlier process."""
        self.out += 1
        self._lanes[lane] += 1
        self._abandoned[lane] += 1

    def abandon(self, lane: Lane) -> None:
        self._abandoned[lane] += 1

    def take_back(self, lane: Lane, *, abandoned: bool) -> None:
        self.out -= 1
        self._lanes[lane] -= 1
        self._abandoned[lane] -= abandoned

    def learn(self, sample: Sample, *, restrained: bool = False, mixed: bool = False) -> None:
        """Learn from an exchange that has ended.

        restrained: other lanes might not have all permits when it was let in. Then the limit learns no throughput from
        it, as if fewer calls had been wanted.
        mixed: it was a live call beside others, which are longer: little audio in the same time. A limit that judges
        by few calls learns no throughput from it.
        """
        if sample.outcome == "ok":
            self._answered.append(sample)
            self._latest.append(sample)
            if restrained or self.restrains:
                fewer = self.limit.limit - 1
                sample = sample._replace(in_flight=min(sample.in_flight, fewer), out=min(sample.out, fewer))
            if mixed and self.limit.doubling:
                sample = sample._replace(audio_seconds=0.0)
        if change := self.limit.record(sample):
            self._note(sample.finished, change)

    def learn_live(self, call: LiveCall) -> None:
        """Learn from a live call that has ended."""
        missed = self.live_share.missed
        self.live_share.record(call, self.limit)
        if self.live_share.missed and not missed:
            log.warning("[ASR并发] 字幕过慢 server=%s target=%g", self.name, self.live_share.target)

    # --- the limit, and what there is to see -------------------------------------------------------

    def set_ceiling(self, ceiling: int | None, now: float) -> None:
        """See `Gate.set_ceiling`."""
        if ceiling is not None and type(ceiling) is not int:
            raise ValueError(_("The limit must be a whole number, not {!r}.", ceiling))
        if ceiling is None:
            ceiling = self._first_ceiling
        elif self._first_ceiling is not None and ceiling > self._first_ceiling:
            raise ValueError(
                _("The settings let {} have at most {} calls at once, not {}.", self.name, self._first_ceiling, ceiling)
            )
        change = self.limit.set_ceiling(ceiling)
        self._peak = 0
        self._note(now, change)

    def _note(self, now: float, change: LimitChange | None = None) -> None:
        """Note the limit in force, if it is another one. change: of the limit's own."""
        limit = self.limit_now(now)
        if limit == self._told:
            return
        if change:
            reason = change.reason
        elif limit > self._told:
            reason = _("one more, for live calls")
        else:
            reason = _("no longer one more for live calls")
        self._told = limit
        self._changes.append((now, LimitChange(limit, reason)))
        log.info("[ASR并发] 并发上限调整 server=%s limit=%d reason=%r", self.name, limit, reason)

    def memory(self) -> ServerMemory:
        """See `Gate.memory`."""
        calls = [each for each in self._answered if each.audio_seconds][-LATEST:]
        services = tuple(Service(each.finished - each.started, each.audio_seconds) for each in calls)
        return ServerMemory(self.limit.state(), services, version=1, live_share=self.live_share.state())

    def restore(self, memory: ServerMemory, now: float) -> None:
        """See `Gate.restore`."""
        level = memory.limit.home if memory.limit else self.limit.limit
        for service in memory.services:
            sample = Sample(now - service.seconds, now, service.audio_seconds, level, "ok", level)
            self._answered.append(sample)
            self._latest.append(sample)
        if memory.live_share:
            self.live_share.restore(memory.live_share)
        if memory.limit:
            self._note(now, self.limit.restore(memory.limit))

    @property
    def mean_service(self) -> float:
        """Mean seconds of the latest exchanges, a millisecond at least; 1 before the first."""
        seconds = [each.finished - each.started for each in self._latest]
        return max(sum(seconds) / len(seconds), 1e-3) if seconds else 1.0

    @property
    def rate(self) -> float | None:
        """Seconds of audio that the server transcribes in a second at the level that its limit trusts.

        It counts exchanges at that level, by Little's law; while the limit tries another level, it stays as it is.
        Before enough were measured there, it counts all. A server whose calls slow each other down transcribes as much
        at every level, an ideal one in proportion to the level: the guess is the mean of both. None: too few in all.
        """
        level = self.limit.learnt.home if self.limit.learnt else self.limit.limit
        calls = [each for each in self._answered if each.audio_seconds]
        there = [each for each in calls if each.in_flight == level]
        counted = (there if len(there) >= RATE_NEEDS else calls)[-RATE_LATEST:]
        if len(counted) < RATE_NEEDS:
            return None
        seconds = sum(each.finished - each.started for each in counted)
        return sum(each.audio_seconds * math.sqrt(each.in_flight * level) for each in counted) / max(seconds, 1e-6)

    def rank(self) -> tuple[float, float]:
        """The order of free servers: the greatest weight first, then the fewest seconds for a second of audio, of late.

        A server that had no exchange counts as fast, so that it is measured.
        """
        audio = sum(each.audio_seconds for each in self._latest)
        return -self.weight, sum(each.finished - each.started for each in self._latest) / audio if audio else 0.0

    @property
    def active(self) -> int:
        """Permits out, but for the abandoned ones."""
        return self.out - sum(self._abandoned.values())

    def snapshot(self, queued: Counter[Lane], now: float) -> GateSnapshot:
        """The server at this moment. queued: how many wait that only this server may take, by lane."""
        self._note(now)
        answered = list(self._answered)
        return GateSnapshot(
            name=self.name,
            ceiling=self.limit.ceiling,
            limit=self.limit_now(now),
            active=self.active,
            queued=queued.total(),
            abandoned=sum(self._abandoned.values()),
            peak=self._peak,
            lanes={lane: LaneCount(self._lanes[lane] - self._abandoned[lane], queued[lane]) for lane in LANES},
            waits=tuple(self._waits),
            services=tuple(each.finished - each.started for each in answered),
            audio=tuple(each.audio_seconds for each in answered),
            rate=self.rate,
            changes=tuple(self._changes),
            learnt=self.limit.learnt,
            advice=self.limit.advice,
            live_share=self.live_share.bounds(now, self.limit).others if now < self.live_share.until else None,
            live_home=self.live_share.home,
            live_target_missed=self.live_share.missed,
        )
