"""How much one person or one address may do in a while; past it the answer is 429, and says when to come back."""

import math
import time
from dataclasses import dataclass

from django.core.cache import cache
from django.utils.translation import gettext_lazy as _

from web.problems import Problem


@dataclass(frozen=True, slots=True)
class Allowance:
    """`most` uses in a window of `seconds`, which begins with the first.

    Counted in this process's memory: with several processes, a person may get as many times as much. That is enough
    against a script gone wild; what must be shared out (jobs, live sessions) is counted in the database.
    """

    name: str
    most: int
    seconds: int

    def take(self, who: object) -> int:
        """Count a use. Returns 0 if it was allowed, else the seconds until one will be.

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
        """Count a use. Raises Problem 429 with a Retry-After where it is one too many."""
        if wait := self.take(who):
            raise too_many(wait)

    def forget(self, who: object) -> None:
        """Begin anew."""
        cache.delete_many([f"{self.name}:{who}", f"{self.name}:{who}:until"])


# Of one person, over all tokens and sessions. A page asks a few times a second, a script that sends a 2 GiB file in
# parts of 8 MB at 1 Gbit/s fifteen times; 20 a second leaves room for both.
CALLS = Allowance("calls", 1200, 60)
# New recordings of one person: a folder of them at once, but no disk full of them.
UPLOADS = Allowance("uploads", 600, 3600)
# Of one address. A token cannot be guessed (256 bits), so a good one still opens: else one script with an old token
# would lock out everybody who shares its address.
BAD_TOKENS = Allowance("bad-tokens", 50, 300)


def too_many(wait: float) -> Problem:
    """`wait`: seconds until it is worth trying again."""
    message = _("That is too much at once. Try again after the time in the Retry-After header.")
    return Problem(429, "too_many_requests", message, {"Retry-After": str(max(1, math.ceil(wait)))})
