"""HTTP to the Whisper servers: one request and its answer. No other code of the product sends anything to them."""

import asyncio
import logging
import ssl
import threading
from contextlib import aclosing
from functools import partial

import httpx

from transcription.servers.dialect import Dialect

from .answer import Transcript, read_answer
from .errors import BrokenOff, Misconfigured, ProtocolError, Rejected, UnknownModel, Unreachable
from .pool import Server
from .request import LIVE, SILENCE, AsrRequest
from .tally import Tally

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 4 * 1024**2  # thirty seconds of speech make some 20 KB; nothing honest comes near
CONNECT_TIMEOUT = 10.0  # seconds
KEEPALIVE = 4.0  # seconds; less than uvicorn's 5, so that the server is not the first to close a connection


class WhisperHttp:
    """Connections to the servers, a pool of them for each event loop.

    Nothing here bounds how many requests are under way, or how long one takes: the gate does, and `InFlight`.

    ca_bundle: a file of the certificates to trust, in place of the system's.
    """

    def __init__(self, tally: Tally, *, ca_bundle: str = "") -> None:
        self._tally = tally
        self._tls = ssl.create_default_context(cafile=ca_bundle or None)
        self._lock = threading.Lock()
        self._odd: set[tuple[Server, str]] = set()
        self.clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    async def transcribe(self, server: Server, dialect: Dialect, request: AsrRequest) -> Transcript:
        """Send the audio and read the answer. Raises the `AnswerError` that says what happened."""
        self._tally.add(probes=request.audio is SILENCE)
        url = dialect.address(request)
        log.info("[ASR API] Calling ASR API: url=%s", url)
        files = {"file": ("audio.wav", request.audio, "audio/wav")}
        live = {LIVE: "1"} if request.live else {}
        post = self._http().build_request(
            "POST", url, headers=_headers(server) | live, data=dialect.fields(request), files=files
        )
        await post.aread()  # sent whole: httpx would send each field, name and boundary by itself, 26 pieces in all
        status, headers, body = await self._send(post)
        try:
            transcript = read_answer(status, dict(headers), body, request.seconds, partial(self._note_odd, server))
        except UnknownModel as error:
            if request.model:
                raise
            raise Misconfigured(str(error), dialect.model_finding, "model") from None
        except Misconfigured as error:
            if request.translate and error.what == "address":
                raise Rejected(f"The Whisper server does not translate: {error}") from None
            raise
        log.info("[ASR API] ASR API success: text_length=%d", len(transcript.text))
        return transcript

    async def look(self, server: Server, url: str) -> tuple[bytes, str]:
        """GET an address of a server: the body of a good answer, else none; and the name of the server's software."""
        status, headers, body = await self._send(self._http().build_request("GET", url, headers=_headers(server)))
        return body if status == 200 else b"", headers.get("server", "")

    async def ask_without_audio(self, server: Server, dialect: Dialect) -> tuple[int, dict[str, str], bytes]:
        """Ask for a transcript and send no file: status, headers and body of the refusal."""
        form = {"model": (None, dialect.model), "response_format": (None, "json")}
        status, headers, body = await self._send(
            self._http().build_request("POST", dialect.url, headers=_headers(server), files=form)
        )
        return status, dict(headers), body

    async def _send(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        try:
            response = await self._http().send(request, stream=True)
            async with aclosing(response):
                return response.status_code, response.headers, await self._read(response)
        except httpx.ConnectTimeout:
            raise Unreachable(f"No connection within {CONNECT_TIMEOUT:g} s.") from None
        except httpx.ConnectError as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        except httpx.TransportError as error:
            raise BrokenOff(str(error) or type(error).__name__) from error

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():  # unpacked, a body that we did not ask to be packed might be huge
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise ProtocolError(f"The answer is larger than {MAX_ANSWER_BYTES} bytes: {bytes(body[:200])!r}")
        return bytes(body)

    def _note_odd(self, server: Server, kind: str) -> None:
        """Log what is odd in a server's answers, each kind once."""
        if (server, kind) not in self._odd:
            self._odd.add((server, kind))
            log.warning("[ASR API] server=%s answers with %s; what can be used of it is", server.name, kind)

    def _http(self) -> httpx.AsyncClient:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self.clients:
                for closed in [other for other in self.clients if other.is_closed()]:
                    del self.clients[closed]
                self.clients[loop] = httpx.AsyncClient(
                    headers={"Accept-Encoding": "identity"},
                    verify=self._tls,
                    trust_env=False,
                    follow_redirects=False,
                    timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
                    limits=httpx.Limits(keepalive_expiry=KEEPALIVE),
                )
            return self.clients[loop]

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        if client := self.clients.pop(asyncio.get_running_loop(), None):
            await client.aclose()


def _headers(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.named.key}"} if server.named.key else {}
