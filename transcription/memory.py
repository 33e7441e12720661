"""What the gate has learnt of one server, in the form in which it outlives the process (rule G15)."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from .learnt import LimitState
from .live_share import LiveShareState

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Service(NamedTuple):
    """How long an exchange took, and the length of its audio."""

    seconds: Seconds
    audio_seconds: Seconds


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """What is known of a server.

    limit: None: the limit is fixed. services: the latest exchanges, oldest first.
    version: of this form; another one is not read. live_share: None: the memory is older than the share.
    """

    limit: LimitState | None
    services: tuple[Service, ...]
    version: Literal[1]
    live_share: LiveShareState | None = None


_FORM = TypeAdapter(ServerMemory)


def written(memory: ServerMemory) -> object:
    """The memory as JSON can hold it."""
    return _FORM.dump_python(memory, mode="json")


def read(state: object) -> ServerMemory:
    """The memory that was written so. Raises ValueError if it is damaged, or of another version."""
    try:
        return _FORM.validate_python(state)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'all'}: {first['msg']}") from error
