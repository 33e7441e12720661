"""`manage.py serve`: the product in one process: web server, jobs, and the embedded Whisper engine as its child."""

import asyncio
import errno
import logging
import signal
import socket
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command

from accounts.links import forget_file, local_address, new_link
from accounts.models import SignInLink
from recordings.backups import BackupError, require_usable_database
from recordings.intake.copies import make_copies
from recordings.intake.tus import remove_expired
from recordings.live.second_pass import make_second_passes
from recordings.live.sessions import live
from recordings.models import LooseFile, Upload
from recordings.storage.files import discard, discard_put_off
from recordings.storage.space import keep_spare
from recordings.work.line import in_line
from recordings.work.outages import tell_outages
from recordings.work.runner import runner
from recordings.work.transcribing import run_transcription
from transcription import service
from transcription.audio import apart
from transcription.claim import AlreadyRunning
from transcription.monitor.history import keep_history
from web.connections import Bounds
from web.patience import in_database, patiently
from web.private import look_after
from web.server import BoundedServer, configuration, connections_possible

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 256 * 1024  # of one message on a WebSocket: frames of sound have 16 KB at most
LOOK_AGAIN = 5.0  # seconds between two looks whether a backup is done
GRACE = 10  # seconds that open requests get when the server is told to stop


class Command(BaseCommand):
    help = "Start everything; in a terminal, print a link that signs the administrator in, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="the address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="the port (default: %(default)s)")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        try:
            service.claim().take()
            with _listening(host, port) as listener:
                look_after()
                require_usable_database()
                call_command("migrate", verbosity=0)
                _remove_leftovers()
                keep_spare()
                address = local_address(*listener.getsockname()[:2])
                ready = self._ready(address, new_link(address))
                with suppress(KeyboardInterrupt):
                    asyncio.run(self._serve(listener, ready))
        except (AlreadyRunning, BackupError) as error:
            raise CommandError(str(error)) from None
        finally:
            service.claim().release()

    def _ready(self, address: str, link: str) -> str:
        """The line that says that the server is ready. Only a terminal gets the link: a log may be read by others."""
        if self.stdout.isatty():
            return f"\n  Stile 听序 is ready. Sign in, once, within the hour, with\n\n    {link}\n"
        return f"Stile 听序 is ready at {address}. For a link that signs you in: manage.py sign_in_link"

    async def _serve(self, listener: socket.socket, ready: str) -> None:
        config = configuration(
            "asrsite.asgi:application",
            _bounds(),
            log_config=None,
            access_log=False,
            proxy_headers=False,  # asrsite.asgi reads the headers of TRUSTED_PROXIES alone
            timeout_graceful_shutdown=GRACE,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # sound does not get smaller, and each viewer would cost memory
        )
        log.info("Stile %s starts", settings.VERSION)
        apart.start()
        async with service.running(), asyncio.TaskGroup() as tasks:
            tasks.create_task(runner.run(in_line, run_transcription, service.total_limit))
            await patiently(live.take_up_all)
            beside = [
                tasks.create_task(work())
                for work in (make_copies, make_second_passes, keep_history, tell_outages, end_link, discard_later)
            ]
            self.stdout.write(ready)
            self.stdout.flush()
            for number in (signal.SIGINT, signal.SIGTERM):
                # At its end uvicorn raises the signal that stopped it again. It must not end the work beside it.
                signal.signal(number, lambda *_: None)
            await _ProductServer(config).serve(sockets=[listener])
            for task in beside:
                task.cancel()


class _ProductServer(BoundedServer):
    """The web server, which stops the jobs and the live sessions when it is told to stop."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Start no job and take no request from now on."""
        runner.stop()
        await live.suspend()
        await super().shutdown(sockets)


def _bounds() -> Bounds:
    """The bounds of connections: from the settings, and no more than the system's limit of open files allows."""
    wanted = settings.MAX_CONNECTIONS
    connections = connections_possible(wanted)
    if connections < wanted:
        log.warning("Of %d connections only %d are taken at once: ulimit -n allows no more", wanted, connections)
    most = min(settings.MAX_CONNECTIONS_PER_ADDRESS, connections // 2)  # one address cannot shut out the others
    return Bounds(connections, most, tuple(settings.TRUSTED_PROXIES), grace=settings.CLIENT_TIMEOUT)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """The listening socket. It is opened first, so that a taken port is told before anything was started or changed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(2048)
        except OSError as error:
            raise CommandError(_why_not(error, host, port)) from None
        yield listener


def _why_not(error: OSError, host: str, port: int) -> str:
    """Why the port cannot be opened, as a sentence."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program. Choose a free one, for example: make run PORT={port + 1}"
    return f"Cannot listen on {host}, port {port}: {error.strerror}."


async def end_link() -> None:
    """Remove the file with the sign-in link when the link expires."""
    await asyncio.sleep(SignInLink.LIFE.total_seconds())
    forget_file()


async def discard_later() -> None:
    """Remove the files of recordings that were deleted while a backup was made."""
    while True:
        await asyncio.sleep(LOOK_AGAIN)
        await in_database(discard_put_off)


def _remove_leftovers() -> None:
    """Remove the files that a killed server left. Nobody else writes here: there is only one server."""
    remove_expired()
    going_on = Upload.parts()
    for part in Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir():
        if part.name not in going_on:
            part.unlink(missing_ok=True)
    for name in LooseFile.leftovers().values_list("name", flat=True):
        discard(name)
