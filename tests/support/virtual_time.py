"""An event loop with a virtual clock. When nothing is ready to run, time jumps to the next timer.

Ten minutes of waiting take no time, and a test always runs in the same order.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class _Jump(selectors.DefaultSelector):
    """A selector that never waits. It moves the clock forward by the time that it is asked to wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("Every task waits for another: nothing will ever happen on this loop.")
            self.now += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. Its clock starts at 0 s. Work on it uses no threads and no sockets to other loops."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now

    def step(self) -> None:
        """Run what is ready now, once."""
        self.call_soon(self.stop)
        self.run_forever()

    def advance(self, seconds: float) -> None:
        """Run everything that happens in the next `seconds`."""
        self.call_later(seconds, self.stop)
        self.run_forever()


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Decorator: run the coroutine function on its own virtual loop, and fail it if it leaves a task behind."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            await test(*args, **kwargs)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left behind: {left}"

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(main())

    return run
