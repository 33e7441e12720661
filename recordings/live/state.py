"""The states of a live session, and the events that lead from one to the next.

    OPENING ─OPENED▶ LIVE ─STOP▶ STOPPING ─KEPT▶ CAPTIONING ─CAPTIONED▶ FINISHING ─MADE▶ DONE

SUSPEND, CANCEL and FAIL leave this path. `NEXT` has all transitions; all others are forbidden.
"""

from enum import Enum, auto


class State(Enum):
    OPENING = auto()  # the journal is opened, and the place of the captions is looked up
    LIVE = auto()  # frames are taken
    STOPPING = auto()  # no more frames are taken; those that came are put on disk
    CAPTIONING = auto()  # all sound is on disk; the last captions are made
    FINISHING = auto()  # the recording is made
    DONE = auto()  # there is a recording, or there was no sound
    SUSPENDED = auto()  # the process stops; the next one takes the session up
    FAILED = auto()  # an error that nobody foresaw, or the owner was deleted


class Event(Enum):
    OPENED = auto()  # the journal is open
    STOP = auto()  # the speaker said so, did not come back in time, or has no room for more sound
    KEPT = auto()  # all sound is on disk
    CAPTIONED = auto()  # the last captions are final, or are left to a job
    MADE = auto()  # the recording is made
    SUSPEND = auto()  # the process stops soon: a recording that is being made may be finished, nothing else
    CANCEL = auto()  # the process stops now
    FAIL = auto()  # an error that is not tried again in this process


_UNFINISHED = set(State) - {State.DONE, State.FAILED}

NEXT: dict[tuple[State, Event], State] = {
    (State.OPENING, Event.OPENED): State.LIVE,
    (State.LIVE, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.KEPT): State.CAPTIONING,
    (State.CAPTIONING, Event.CAPTIONED): State.FINISHING,
    (State.FINISHING, Event.MADE): State.DONE,
    **{(state, Event.SUSPEND): State.SUSPENDED for state in _UNFINISHED - {State.FINISHING, State.SUSPENDED}},
    **{(state, Event.CANCEL): State.SUSPENDED for state in _UNFINISHED},
    **{(state, Event.FAIL): State.FAILED for state in _UNFINISHED},
}


class ForbiddenTransition(Exception):
    """A state does not allow an event: a fault in the program, never of a client."""


class Lifecycle:
    """The state of one session."""

    def __init__(self) -> None:
        self.state = State.OPENING

    def allows(self, event: Event) -> bool:
        return (self.state, event) in NEXT

    def on(self, event: Event) -> None:
        """Enter the next state. Raises ForbiddenTransition, and changes nothing then."""
        if not self.allows(event):
            raise ForbiddenTransition(f"{event.name} while {self.state.name}")
        self.state = NEXT[self.state, event]
