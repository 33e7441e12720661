"""Throttles: how often a person or an address may do a thing in a window of time. Past that the answer is 429."""

import math
import time
from dataclasses import dataclass

from django.core.cache import cache

from web.problems import Problem, retry_after


@dataclass(frozen=True, slots=True)
class Allowance:
    """A throttle: `most` uses in a window of `seconds`, which begins with the first use.

    Counted in this process's memory: with several processes, a person may get as many times as much. That is enough
    against a script out of control. Jobs and live sessions, which must be shared out, are counted in the database.
    """

    name: str
    most: int
    seconds: int

    def take(self, who: object) -> int:
        """Count a use by `who`. Returns 0 where it is allowed, else the seconds until the next one will be.

        A use is counted before it is judged, so that a burst cannot slip past the count.
        """
        key, now = f"{self.name}:{who}", time.time()
        cache.add(f"{key}:until", now + self.seconds, self.seconds)
        cache.add(key, 0, self.seconds)
        try:
            count = cache.incr(key)
        except ValueError:  # the window ended between the two calls
            return 0
        if count <= self.most:
            return 0
        until: float = cache.get(f"{key}:until", now + self.seconds)
        return max(1, math.ceil(until - now))

    def require(self, who: object) -> None:
        """Count a use by `who`. Raises Problem 429 with a Retry-After where it is not allowed."""
        if wait := self.take(who):
            raise too_many(wait)

    def forget(self, who: object) -> None:
        """Forget the uses by `who`."""
        cache.delete_many([f"{self.name}:{who}", f"{self.name}:{who}:until"])


# Calls of one person, over all tokens and sessions. A page asks a few times a second; a script that sends a 2 GiB file
# in parts of 8 MB at 1 Gbit/s, fifteen times. 20 a second leaves room for both.
CALLS = Allowance("calls", 1200, 60)
# New recordings of one person: a folder of them at once, but no disk full of them.
UPLOADS = Allowance("uploads", 600, 3600)
# New tokens of one person. Their rows stay when they are revoked.
TOKENS = Allowance("tokens", 60, 3600)
# Unknown tokens from one address. A valid token is still accepted: a token of 256 bits cannot be guessed, and else one
# script with an old token would lock out everybody behind its address.
BAD_TOKENS = Allowance("bad-tokens", 50, 300)

# Links that do not work, asked for from one address: as with tokens, and a link that works still opens.
BAD_LINKS = Allowance("bad-links", 50, 300)
# Requests by one link. Somebody who listens and jumps about makes one a second; a link may go to a whole team.
GUESTS = Allowance("guests", 1200, 60)


def too_many(wait: float) -> Problem:
    """The refusal 429. wait: seconds until the next try may succeed."""
    return Problem("too_many_requests", headers=retry_after(wait))
