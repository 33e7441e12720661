"""Inspection of a Whisper server that gives it nothing to compute.

`manage.py check` runs beside the product and does not pass its gate, so it sends no sound. A request without a file
shows whether the address and the API key are right. The list of models shows whether the model is.
"""

from collections.abc import Awaitable, Callable

from transcription.errors import Misconfigured, Rejected, ServerError, UnknownModel
from transcription.sentence import Sentence, _
from transcription.servers import refusal
from transcription.servers.dialect import DEFAULT_MODEL, Dialect, Look, learn

Ask = Callable[[Dialect], Awaitable[tuple[int, dict[str, str], bytes]]]  # without a file: status, headers, body


async def inspect(url: str, model: str, ask: Ask, look: Look) -> Sentence:
    """Describe the server at an endpoint in a sentence for the administrator.

    model: the model of the settings; empty if they name none.
    Raises `Misconfigured` if the settings must be changed, and other `AnswerError`s if the server gives no answer.
    """

    async def attempt(dialect: Dialect) -> None:
        _judge(refusal.failure(*await ask(dialect)), dialect)

    return _said(await learn(url, model, attempt, look), named=bool(model))


def _judge(refused: Exception, dialect: Dialect) -> None:
    """Raise the refusal, unless it complains of the missing file: then the request was right."""
    if isinstance(refused, UnknownModel):
        raise Misconfigured(str(refused), dialect.model_finding, "model")
    if isinstance(refused, Misconfigured) and refused.what in ("address", "key"):
        raise refused
    if not isinstance(refused, Misconfigured | Rejected | ServerError):
        raise refused


def _said(dialect: Dialect, *, named: bool) -> Sentence:
    if dialect.models and not dialect.lists_model and (named or len(dialect.models) > 1):
        raise Misconfigured(dialect.model_finding, dialect.model_finding, "model")
    if dialect.model == DEFAULT_MODEL and not named:
        return _("The server takes requests at {}.", dialect.url)
    return _("The server takes requests at {}, for the model {}.", dialect.url, dialect.model)
