"""Sign-in forms that slow down whoever guesses, on the product's page and in the admin alike."""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models import digest

WINDOW = 300  # seconds for which failures are remembered
TRIES_PER_PERSON = 5  # failures of one address at one name
TRIES_PER_ADDRESS = 50  # failures of one address at any names; an office may share one address


class ThrottledSignIn(AuthenticationForm):
    """Counts a try before it looks at the password, so that a burst of guesses cannot slip past the count."""

    def clean(self) -> dict[str, Any]:
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        name = digest(str(self.cleaned_data.get("username", "")).casefold())
        person, anyone = f"sign-in:{address}:{name}", f"sign-in:{address}"
        if _count(person) > TRIES_PER_PERSON or _count(anyone) > TRIES_PER_ADDRESS:
            raise ValidationError(_("Too many tries. Wait five minutes, then try again."), code="throttled")
        cleaned = super().clean()
        cache.delete(person)
        return cleaned


def _count(key: str) -> int:
    cache.add(key, 0, WINDOW)
    try:
        return cache.incr(key)
    except ValueError:  # it ran out between the two calls
        cache.set(key, 1, WINDOW)
        return 1


class AdminSignIn(ThrottledSignIn, AdminAuthenticationForm):
    pass
