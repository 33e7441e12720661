"""The path prefix below which a reverse proxy serves the product."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

AsgiScope = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]


class Prefixed:
    """ASGI middleware that serves an application below a path prefix such as `/stile`.

    The application gets `root_path` and `path` as the ASGI specification has them, the prefix being part of both. A
    request is taken with the prefix or without: some proxies strip it, and commands on this machine ask without one.
    """

    def __init__(self, app: App, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: AsgiScope, receive: Any, send: Any) -> None:
        if self._prefix and scope["type"] in ("http", "websocket"):
            below = (
                scope["path"].removeprefix(self._prefix) if has_prefix(scope["path"], self._prefix) else scope["path"]
            )
            scope = {**scope, "root_path": self._prefix, "path": f"{self._prefix}{below or '/'}"}
        await self._app(scope, receive, send)


def has_prefix(path: str, prefix: str) -> bool:
    """Whether the path is the prefix or lies below it: `/stile/x` lies below `/stile`, `/stiletto` does not."""
    return path == prefix or path.startswith(f"{prefix}/")


def path_below(scope: AsgiScope) -> str:
    """The path of a request without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
