"""Forms for signing in, throttled against guesses of passwords, on the page and in the admin; and for a new token."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken, digest
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


class NewToken(forms.Form):
    """A token to be made: what it is for, its rights, and how long it works."""

    name = forms.CharField(label=_("Name"), max_length=100)
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=[
            (ApiToken.Scope.READ, _("Read: titles, texts, sound, lists; watch live sessions")),
            (ApiToken.Scope.WRITE, _("Write: upload, change and delete recordings and their texts")),
            (ApiToken.Scope.TRANSCRIBE, _("Transcribe: the address /v1, live captions, starting and stopping jobs")),
            (ApiToken.Scope.STATS, _("Statistics: the numbers of the gate")),
        ],
        widget=forms.CheckboxSelectMultiple,
        initial=[ApiToken.Scope.READ, ApiToken.Scope.WRITE, ApiToken.Scope.TRANSCRIBE],
        error_messages={"required": _("Choose at least one.")},
    )
    days = forms.TypedChoiceField(
        label=_("It works for"),
        choices=[(30, _("30 days")), (90, _("90 days")), (365, _("a year")), ("", _("ever"))],
        initial=90,
        required=False,
        coerce=int,
        empty_value=None,
    )
    lane = forms.ChoiceField(
        label=_("It waits"),
        choices=[
            (ApiToken.Lane.INTERACTIVE, _("beside the work of people")),
            (ApiToken.Lane.BATCH, _("behind the work of people")),
        ],
    )
    weight = forms.IntegerField(
        label=_("Weight"),
        min_value=1,
        max_value=ApiToken.MOST_WEIGHT,
        initial=1,
        help_text=_("How many of its calls at /v1 are let in when it is your turn."),
    )
