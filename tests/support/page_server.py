"""The server for tests in a browser."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any

from web.connections import Bounds
from web.server import BoundedServer, configuration


class Server:
    """The product's ASGI application on a free port. No jobs run: tests set the states of the rows."""

    def __init__(self, application: Any) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.uvicorn = BoundedServer(configuration(application, Bounds(), lifespan="off", log_config=None))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:  # ends the tasks that sockets leave
            runner.run(self.uvicorn.serve([self.socket]))

    async def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` on the server's event loop, where the product runs it."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))
