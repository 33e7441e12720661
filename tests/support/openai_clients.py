"""OpenAI's own client for a site, and a stub that answers as OpenAI's server does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from openai import AsyncOpenAI, OpenAI

from tests.support.jobs import whisper_at
from tests.support.site import Site
from tests.support.waiting import PATIENCE
from tests.support.whisper_stub import Reply, WhisperStub, http


@dataclass
class Door:
    """A site's /v1, and the Whisper stub that it calls."""

    site: Site
    stub: WhisperStub

    def key(self, user: str = "mei", scopes: list[str] | None = None) -> str:
        """The secret of a new token of this user's."""
        header: str = self.site.program(user, scopes or ["transcribe"]).headers["Authorization"]
        return header.removeprefix("Bearer ")

    def client(self, user: str = "mei", *, retries: int = 0, timeout: float = 20) -> OpenAI:
        return OpenAI(base_url=f"{self.site.url}/v1", api_key=self.key(user), max_retries=retries, timeout=timeout)

    def async_client(self, key: str) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.site.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE)


@contextmanager
def open_door(site: Site, stub: WhisperStub, **options: object) -> Iterator[Door]:
    with stub, whisper_at(stub, **options):
        yield Door(site, stub)


def heard(*words: str) -> Reply:
    """An answer with all fields of OpenAI's server: one sentence that begins at 1 s, with a word each half second."""
    timed = [{"word": f" {word}", "start": 1 + n / 2, "end": 1.5 + n / 2} for n, word in enumerate(words)]
    segment = {"id": 0, "seek": 0, "start": 1.0, "end": 1 + len(words) / 2, "text": f" {' '.join(words)}"}
    doubts = {"avg_logprob": -0.25, "compression_ratio": 1.5, "no_speech_prob": 0.1}
    return http(200, {"text": " ".join(words), "language": "en", "segments": [segment | doubts], "words": timed})
