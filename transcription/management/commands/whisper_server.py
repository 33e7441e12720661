"""`manage.py whisper_server`: the embedded Whisper server, also alone on a machine of its own."""

import logging
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from transcription.engine.server import serve
from transcription.engine.weights import WeightsError, ensure_weights, weight_folders


class Command(BaseCommand):
    help = "Serve Whisper with OpenAI's routes: /v1/audio/transcriptions, /v1/models, /health."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=9000, help="the port (default: %(default)s)")
        parser.add_argument("--model", default=settings.ASR_EMBEDDED_MODEL, help="a size or a folder")
        parser.add_argument("--batch", type=int, help="the most calls that are computed together")
        parser.add_argument("--fd", type=int, help="a listening socket to use instead of --host and --port")
        parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")

    def handle(self, *args: Any, **options: Any) -> None:
        # Under a parent (--fd) the parent's log adds the time.
        time = "" if options["fd"] is not None else "%(asctime)s "
        logging.basicConfig(format=f"{time}%(levelname)s %(message)s", level=logging.INFO, force=True)
        logging.getLogger("faster_whisper").setLevel(logging.WARNING)
        try:
            folder = ensure_weights(options["model"], weight_folders(settings.DATA_DIR))
            listener = self._listener(options)
        except (WeightsError, OSError) as error:
            raise CommandError(str(error)) from error
        serve(folder, folder.name, listener, batch=options["batch"], stop_with_stdin=options["stop_with_stdin"])

    def _listener(self, options: dict[str, Any]) -> socket.socket:
        if options["fd"] is not None:
            return socket.socket(fileno=options["fd"])
        host, port = options["host"], options["port"]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        self.stdout.write(f"Whisper server: http://{f'[{host}]' if ':' in host else host}:{port}/v1")
        return listener
