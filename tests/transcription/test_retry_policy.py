"""What `RetryPolicy` decides after each error: for a durable call and for another one, early and late."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription import errors
from transcription.errors import (
    AnswerError,
    BadAudio,
    BrokenOff,
    BypassRefused,
    CrashedDecoder,
    DeadlineExceeded,
    Evicted,
    GateError,
    Killed,
    Misconfigured,
    NestedPermit,
    OutOfMemory,
    Poison,
    ProtocolError,
    QueueFull,
    Rejected,
    ServerBusy,
    ServerError,
    SilenceLost,
    Superseded,
    TimedOut,
    TranscriptionError,
    UnknownModel,
    Unreachable,
    Withdrawn,
)
from transcription.retry import LONGEST_BACKOFF, POISON, SAVED, SHARE, SUSPECT, CallHistory, GiveUp, Retry, RetryPolicy
from transcription.sentence import Sentence

ATTEMPTS, DELAY = 3, 5.0


def error(kind: type[TranscriptionError], retry_after: float | None = None) -> TranscriptionError:
    if kind is Misconfigured:
        return Misconfigured("no such model", Sentence("Name another model."), "model")
    if kind is QueueFull:
        return QueueFull("full", 7.0 if retry_after is None else retry_after)
    if kind is BadAudio:
        return BadAudio("not_audio", "no audio")
    return kind("said", retry_after) if issubclass(kind, AnswerError) else kind("said")


def longest(_: float, most: float) -> float:
    return most


def policy(max_attempts: int = ATTEMPTS, jitter: Callable[[float, float], float] = longest) -> RetryPolicy:
    """A policy whose backoffs are the longest possible: without chance, decisions are always the same."""
    return RetryPolicy(max_attempts, DELAY, jitter)


def told(decision: Retry | GiveUp, met: TranscriptionError) -> str:
    """The decision in words: `20 s, elsewhere`, for instance."""
    if isinstance(decision, GiveUp):
        return "give up" if decision.error is met else type(decision.error).__name__
    return f"{decision.delay:g} s" + (", elsewhere" if decision.avoid else "")


NO_ATTEMPT = ["give up"] * 4
PASSES = ["5 s, elsewhere", "20 s, elsewhere", "5 s, elsewhere", "give up"]
HAS_ATTEMPTS = ["5 s, elsewhere", "give up", "5 s, elsewhere", "give up"]
# Four decisions for each error: a durable call's at its first failure and after two that counted; another call's there.
TABLE: dict[type[TranscriptionError], list[str]] = {
    TranscriptionError: NO_ATTEMPT,
    GateError: NO_ATTEMPT,
    QueueFull: ["7 s", "7 s", "give up", "give up"],
    DeadlineExceeded: NO_ATTEMPT,
    Superseded: NO_ATTEMPT,
    Evicted: NO_ATTEMPT,
    Withdrawn: NO_ATTEMPT,
    NestedPermit: NO_ATTEMPT,
    BypassRefused: NO_ATTEMPT,
    AnswerError: HAS_ATTEMPTS,
    OutOfMemory: HAS_ATTEMPTS,
    ServerBusy: PASSES,
    Unreachable: PASSES,
    BrokenOff: PASSES,
    Killed: PASSES,
    SilenceLost: PASSES,
    TimedOut: PASSES,
    ServerError: HAS_ATTEMPTS,
    ProtocolError: HAS_ATTEMPTS,
    Misconfigured: ["5 s, elsewhere", "give up", "5 s, elsewhere", "give up"],
    Poison: NO_ATTEMPT,
    Rejected: NO_ATTEMPT,
    UnknownModel: NO_ATTEMPT,
    BadAudio: NO_ATTEMPT,
    CrashedDecoder: NO_ATTEMPT,
}


def test_the_table_has_every_error() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TranscriptionError)}
    assert set(TABLE) == kinds


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_what_becomes_of_a_call(kind: type[TranscriptionError]) -> None:
    met = error(kind)
    histories = [
        CallHistory(durable, attempts=failures, failures=failures) for durable in (True, False) for failures in (0, 2)
    ]
    assert [told(policy().next(met, history, fits=True), met) for history in histories] == TABLE[kind]


def test_a_call_that_got_no_answer_in_time_has_two_attempts() -> None:
    met = error(TimedOut)
    assert isinstance(policy().next(met, CallHistory(False)), Retry)
    assert policy().next(met, CallHistory(False, attempts=1)) == GiveUp(met)
    assert policy(max_attempts=1).next(met, CallHistory(False)) == GiveUp(met)


def test_backoffs_double_up_to_a_minute_and_begin_at_nothing() -> None:
    met, history, delays = error(ServerBusy), CallHistory(True), []
    for _ in range(20):
        decision = policy().next(met, history)
        assert isinstance(decision, Retry)
        delays.append(decision.delay)
        history = decision.history
    assert delays[:5] == [5, 10, 20, 40, 60]
    assert set(delays[5:]) == {LONGEST_BACKOFF}
    assert told(policy(jitter=lambda least, _: least).next(met, history), met) == "0 s, elsewhere"


@pytest.mark.parametrize(("durable", "expected"), [(True, "90 s, elsewhere"), (False, "give up")])
def test_the_server_says_when_and_only_a_durable_call_waits_for_longer_than_a_minute(
    durable: bool, expected: str
) -> None:
    for seconds, words in ((0.0, "0 s, elsewhere"), (60.0, "60 s, elsewhere"), (90.0, expected)):
        met = error(ServerBusy, seconds)
        assert told(policy().next(met, CallHistory(durable)), met) == words


def test_a_full_line_is_waited_for_a_minute_at_most_and_no_server_is_avoided() -> None:
    met = error(QueueFull, 300.0)
    assert told(policy().next(met, CallHistory(True)), met) == "60 s"


def test_a_server_that_does_not_fit_costs_no_attempt_before_it_has_shown_that_it_fits() -> None:
    met = error(Misconfigured)
    decision = policy().next(met, CallHistory(True, attempts=2), fits=False)
    assert told(decision, met) == "0 s, elsewhere"
    assert isinstance(decision, Retry)
    assert decision.history.attempts == 2


# --- the budget --------------------------------------------------------------------------------


def test_calls_that_cannot_wait_share_a_budget_of_retries_which_each_call_adds_to() -> None:
    shared, met = policy(), error(ServerError)

    def retries(calls: int) -> int:
        return sum(isinstance(shared.next(met, shared.begin(durable=False)), Retry) for _ in range(calls))

    assert retries(1000) == pytest.approx(SAVED + 1000 * SHARE, abs=1)
    assert isinstance(shared.next(met, shared.begin(durable=True)), Retry)


# --- suspects and poison -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BrokenOff, TimedOut])
def test_a_durable_call_over_which_servers_break_down_is_a_suspect_and_then_poison(
    kind: type[TranscriptionError],
) -> None:
    met, history = error(kind), CallHistory(True)
    for breakdowns in range(1, POISON):
        decision = policy().next(met, history)
        assert isinstance(decision, Retry)
        history = decision.history
        assert history.suspect == (breakdowns >= SUSPECT)
    last = policy().next(met, history)
    assert isinstance(last, GiveUp)
    assert isinstance(last.error, Poison)
    assert f"{POISON} times over this: said" in str(last.error)


def test_a_killed_engine_speaks_against_a_call_only_if_others_have_got_through_since() -> None:
    history = CallHistory(True, completed=10)
    for completed, breakdowns in ((10, 0), (11, 1), (11, 1), (15, 2)):
        decision = policy().next(error(Killed), history, completed=completed)
        assert isinstance(decision, Retry)
        history = decision.history
        assert history.breakdowns == breakdowns


@pytest.mark.parametrize("kind", [Unreachable, SilenceLost, ServerBusy, OutOfMemory, ServerError])
def test_what_is_not_the_calls_doing_makes_no_suspect(kind: type[TranscriptionError]) -> None:
    decision = policy(max_attempts=9).next(error(kind), CallHistory(True, breakdowns=1))
    assert isinstance(decision, Retry)
    assert decision.history.breakdowns == 1


# --- any course of events ----------------------------------------------------------------------

failing = st.sampled_from([kind for kind in TABLE if issubclass(kind, AnswerError | QueueFull)])


@given(st.lists(failing, min_size=ATTEMPTS, max_size=30), st.booleans())
def test_a_call_that_cannot_wait_ends_after_its_attempts_and_never_waits_long(
    course: list[type[TranscriptionError]], fits: bool
) -> None:
    rules, history = policy(), CallHistory(False)
    for number, kind in enumerate(course):
        decision = rules.next(error(kind), history, completed=number, fits=fits)
        if isinstance(decision, GiveUp):
            break
        assert 0 <= decision.delay <= LONGEST_BACKOFF
        history = decision.history
        assert history.attempts < ATTEMPTS
    assert history.failures <= ATTEMPTS + SAVED  # a server that does not fit costs the budget, and no attempt


@given(st.lists(st.sampled_from([Unreachable, SilenceLost, ServerBusy, QueueFull, Killed]), max_size=60))
def test_what_passes_by_itself_never_fails_a_durable_call(course: list[type[TranscriptionError]]) -> None:
    rules, history = policy(), CallHistory(True)
    for kind in course:
        decision = rules.next(error(kind), history)
        assert isinstance(decision, Retry)
        history = decision.history
    assert (history.failures, history.attempts, history.suspect) == (len(course), 0, False)
