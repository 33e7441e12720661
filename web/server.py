"""uvicorn with the bounds of `web.connections`, and the limit of open files raised to their need."""

import resource
import socket
from functools import partial
from typing import Any, cast

import uvicorn

from web.connections import Bounds, Places
from web.protocols import HttpProtocol, SocketProtocol

# Connections taken in one turn of the loop. They are counted some turns later, so a few times as many are open.
BURST = 32
BACKLOG = 2048  # connections that wait in the kernel
# Open files of one connection: itself, the recording that it sends or takes, and the database and its log, for each
# request has a thread of its own. SQLite keeps the database's for its next connections.
FILES = 4
# Open files besides: connections not counted yet, the runner's databases, Whisper, logs, pipes.
RESERVE = 256
# TCP keep-alive: a client that is gone without closing (a phone without a network) is noticed after two minutes, also
# where nothing is sent to it. Seconds of silence, seconds between probes, number of probes.
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


def configuration(application: Any, bounds: Bounds, **options: Any) -> uvicorn.Config:
    """uvicorn's configuration for one server, with uvicorn's own options besides."""
    places = Places(bounds)
    return uvicorn.Config(
        application,
        http=cast(type[HttpProtocol], partial(HttpProtocol, places, bounds)),
        ws=cast(type[SocketProtocol], partial(SocketProtocol, places, bounds)),
        backlog=BURST,
        **options,
    )


class BoundedServer(uvicorn.Server):
    """uvicorn's server, which takes connections in bursts of BURST and notices clients that have gone."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)  # asyncio has one number for both, and has set it to BURST
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # connections inherit it
            for name, value in KEEPALIVE.items():
                if hasattr(socket, name):  # not all on macOS
                    listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def connections_possible(wanted: int) -> int:
    """Raise the process's limit of open files to the need of `wanted` connections. Returns how many it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted * FILES + RESERVE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = needed if soft == resource.RLIM_INFINITY else soft
    return min(wanted, (files - min(RESERVE, files // 2)) // FILES)
