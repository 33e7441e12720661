"""API tokens and one-time sign-in links. Both are kept as digests: a stolen database opens nothing."""

import hashlib
import secrets
from contextlib import suppress
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, models
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def digest(secret: str) -> str:
    """SHA-256 is enough for a secret of 256 random bits: nothing can be guessed, so nothing needs slowing down."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiToken(models.Model):
    """A bearer token for programs. The secret itself is shown once, when it is made."""

    class Scope(models.TextChoices):
        READ = "read", _("read")
        WRITE = "write", _("write")
        TRANSCRIBE = "transcribe", _("transcribe")
        STATS = "stats", _("statistics")

    LAST_USE_RESOLUTION = timedelta(minutes=1)

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("user"), related_name="api_tokens"
    )
    name = models.CharField(_("name"), max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    ends_with = models.CharField(_("ends with"), max_length=4)
    scopes = models.JSONField(_("scopes"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("API token"), _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} …{self.ends_with}"

    @classmethod
    def issue(cls, user: AbstractBaseUser, name: str, *, scopes: list[str], days: float | None) -> tuple[Self, str]:
        """Make a token; returns the row and the secret, which is nowhere else. `days`: life, None for ever."""
        secret = f"asr_{secrets.token_urlsafe(32)}"
        expires_at = timezone.now() + timedelta(days=days) if days is not None else None
        token = cls.objects.create(
            user=user,
            name=name,
            digest=digest(secret),
            ends_with=secret[-4:],
            scopes=scopes,
            expires_at=expires_at,
        )
        return token, secret

    @classmethod
    def living(cls) -> QuerySet[Self]:
        """Those that open, with their users."""
        unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return cls.objects.select_related("user").filter(unexpired, revoked_at=None, user__is_active=True)

    @classmethod
    async def authenticate(cls, secret: str) -> Self | None:
        """The living token with this secret, its use noted at most once a minute; None if there is none.

        Looked up by digest, so the time taken tells nothing about the secrets that exist.
        """
        now = timezone.now()
        token = await cls.living().filter(digest=digest(secret)).afirst()
        if token and (token.last_used_at is None or now - token.last_used_at > cls.LAST_USE_RESOLUTION):
            with suppress(DatabaseError):  # a full disk, for one: the note is not worth the request
                await cls.objects.filter(pk=token.pk).aupdate(last_used_at=now)
        return token


class SocketTicket(models.Model):
    """Opens one WebSocket with the rights of the token or the session that asked for it: neither fits into a URL."""

    LIFE = timedelta(seconds=30)

    digest = models.CharField(max_length=64, unique=True)
    token = models.ForeignKey(ApiToken, models.CASCADE, null=True, related_name="+")
    session = models.CharField(max_length=40, blank=True, help_text="the name of its row, see `sessions`")
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"ticket until {self.expires_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    async def issue(cls, token: ApiToken | None, session: str) -> str:
        """Make a ticket's secret; those that nobody used in time are forgotten."""
        secret, now = secrets.token_urlsafe(32), timezone.now()
        await cls.objects.filter(expires_at__lte=now).adelete()
        await cls.objects.acreate(digest=digest(secret), token=token, session=session, expires_at=now + cls.LIFE)
        return secret

    @classmethod
    async def redeem(cls, secret: str) -> Self | None:
        """The ticket, for the first caller only, whoever else tries at the same moment."""
        ticket = await cls.objects.filter(digest=digest(secret), expires_at__gt=timezone.now()).afirst()
        used = ticket and (await cls.objects.filter(pk=ticket.pk).adelete())[0]
        return ticket if used else None


class SignInLink(models.Model):
    """A link that signs the first administrator in, once. It ends with its use, its hour, a newer link or the next
    start of the server."""

    LIFE = timedelta(hours=1)

    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.created_at:%Y-%m-%d %H:%M}"

    @classmethod
    def issue(cls) -> str:
        """Make a new link's secret; earlier links that were not used stop working."""
        secret = secrets.token_urlsafe(32)
        cls.objects.all().delete()
        cls.objects.create(digest=digest(secret))
        return secret

    @classmethod
    def redeem(cls, secret: str) -> bool:
        """True for the first caller only, whoever else tries at the same moment."""
        living = cls.objects.filter(created_at__gt=timezone.now() - cls.LIFE)
        return living.filter(digest=digest(secret)).delete()[0] == 1


class FirstAnswer(models.Model):
    """The answer to a request with an `Idempotency-Key`, for when the request comes again; see `idempotency`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="of what was asked")
    begun_at = models.DateTimeField(db_index=True)
    claimed_at = models.DateTimeField(help_text="the last sign of life of who works on the answer")
    status = models.PositiveSmallIntegerField(null=True, help_text="of the answer; none yet: null")
    location = models.CharField(max_length=255, blank=True)
    body = models.TextField(blank=True, help_text="what is kept of it, as JSON: no words of people")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_first_answer_per_key")]

    def __str__(self) -> str:
        return f"{self.key}: {self.status}"
