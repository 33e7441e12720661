"""Sign-in forms, throttled against guesses of passwords, for the product's page and for the admin."""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models import digest
from web.throttle import Allowance

TRIES_PER_PERSON = Allowance("sign-in-as", 5, 300)  # failed tries of one address with one name
TRIES_PER_ADDRESS = Allowance("sign-in-from", 50, 300)  # failed tries with any names; an office may share one address


class ThrottledSignIn(AuthenticationForm):
    """Sign-in form that counts a try before it checks the password, so that a burst cannot slip past the count."""

    def clean(self) -> dict[str, Any]:
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        person = f"{address}:{digest(str(self.cleaned_data.get('username', '')).casefold())}"
        if wait := TRIES_PER_PERSON.take(person) or TRIES_PER_ADDRESS.take(address):
            message = _("Too many tries. Wait five minutes, then try again.")
            raise ValidationError(message, code="throttled", params={"wait": wait})
        cleaned = super().clean()
        TRIES_PER_PERSON.forget(person)
        return cleaned


class AdminSignIn(ThrottledSignIn, AdminAuthenticationForm):
    pass
