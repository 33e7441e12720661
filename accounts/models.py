"""API tokens, socket tickets and sign-in links, kept as digests, so that a stolen database opens nothing. And the
answers that `idempotency` keeps.
"""

import hashlib
import secrets
from contextlib import suppress
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import DatabaseError, models
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def digest(secret: str) -> str:
    """SHA-256 of a secret, in hex. A slow hash is not needed: 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def kept_of(secret: str) -> dict[str, str]:
    """What a row keeps of its secret: the digest, and the four letters by which a person tells rows apart."""
    return {"digest": digest(secret), "ends_with": secret[-4:]}


class ApiToken(models.Model):
    """Bearer token of a program. Its secret is shown once, when it is made."""

    class Scope(models.TextChoices):
        READ = "read", _("read")
        WRITE = "write", _("write")
        TRANSCRIBE = "transcribe", _("transcribe")
        STATS = "stats", _("statistics")

    class Lane(models.TextChoices):
        INTERACTIVE = "interactive", _("interactive")
        BATCH = "batch", _("batch")

    MOST_WEIGHT = 10  # then others in the lane still get one call in eleven
    LAST_USE_RESOLUTION = timedelta(minutes=1)

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("user"), related_name="api_tokens"
    )
    name = models.CharField(_("name"), max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    ends_with = models.CharField(_("ends with"), max_length=4)
    scopes = models.JSONField(_("scopes"), default=list)
    lane = models.CharField(
        _("lane"),
        max_length=16,
        choices=Lane,
        default=Lane.INTERACTIVE,
        help_text=_("batch: what the program sends waits behind the work of people"),
    )
    weight = models.PositiveSmallIntegerField(
        _("weight"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_WEIGHT)],
        help_text=_("how many of the program’s calls at /v1 are let in when it is its owner’s turn"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    made_by = models.ForeignKey(
        "self",
        models.CASCADE,
        null=True,
        blank=True,
        verbose_name=_("made by"),
        related_name="made",
        help_text=_("the token that asked for this one, and with which it ends; none where a person made it"),
    )
    last_used_at = models.DateTimeField(_("last used"), null=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("API token"), _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} …{self.ends_with}"

    @classmethod
    def issue(
        cls,
        user: AbstractBaseUser,
        name: str,
        *,
        scopes: list[str],
        days: float | None,
        lane: str = Lane.INTERACTIVE,
        weight: int = 1,
        made_by: Self | None = None,
    ) -> tuple[Self, str]:
        """Make a token that works for `days` (None: for ever). Returns its row and its secret, kept nowhere."""
        secret = cls.new_secret()
        expires_at = timezone.now() + timedelta(days=days) if days is not None else None
        token = cls.objects.create(
            user=user,
            name=name,
            scopes=scopes,
            lane=lane,
            weight=weight,
            expires_at=expires_at,
            made_by=made_by,
            **kept_of(secret),
        )
        return token, secret

    @staticmethod
    def new_secret() -> str:
        return f"asr_{secrets.token_urlsafe(32)}"

    @property
    def scope_words(self) -> str:
        """The names of its scopes in the reader's language."""
        return ", ".join(str(self.Scope(scope).label) for scope in self.scopes)

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @classmethod
    def living(cls) -> QuerySet[Self]:
        """Tokens that work now, with their users. A token that another one made ends with that one."""
        now = timezone.now()
        unexpired = Q(expires_at=None) | Q(expires_at__gt=now)
        maker_unexpired = Q(made_by__expires_at=None) | Q(made_by__expires_at__gt=now)
        unrevoked = Q(revoked_at=None, made_by__revoked_at=None)  # without a maker, its columns are null
        working = unexpired & maker_unexpired & unrevoked
        return cls.objects.select_related("user").filter(working, user__is_active=True)

    @classmethod
    async def authenticate(cls, secret: str) -> Self | None:
        """The working token with this secret; None if there is none. Its use is noted at most once a minute.

        The lookup is by digest, so its duration tells nothing about existing secrets.
        """
        now = timezone.now()
        token = await cls.living().filter(digest=digest(secret)).afirst()
        if token and (token.last_used_at is None or now - token.last_used_at > cls.LAST_USE_RESOLUTION):
            with suppress(DatabaseError):  # for example a full disk: the request matters more than the note
                await cls.objects.filter(pk=token.pk).aupdate(last_used_at=now)
        return token


class SocketTicket(models.Model):
    """Ticket that opens one WebSocket with the rights of its token or session, neither of which may stand in a URL."""

    LIFE = timedelta(seconds=30)

    digest = models.CharField(max_length=64, unique=True)
    token = models.ForeignKey(ApiToken, models.CASCADE, null=True, related_name="+")
    session = models.CharField(max_length=40, blank=True, help_text="the name of its row, see `sessions`")
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"ticket until {self.expires_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    async def issue(cls, token: ApiToken | None, session: str) -> str:
        """Make a ticket and return its secret. Deletes expired tickets."""
        secret, now = secrets.token_urlsafe(32), timezone.now()
        await cls.objects.filter(expires_at__lte=now).adelete()
        await cls.objects.acreate(digest=digest(secret), token=token, session=session, expires_at=now + cls.LIFE)
        return secret

    @classmethod
    async def redeem(cls, secret: str) -> Self | None:
        """The ticket with this secret, used up; None for every later caller, also at the same moment."""
        ticket = await cls.objects.filter(digest=digest(secret), expires_at__gt=timezone.now()).afirst()
        used = ticket and (await cls.objects.filter(pk=ticket.pk).adelete())[0]
        return ticket if used else None


class SignInLink(models.Model):
    """Link that signs the first administrator in, once. It stops working after its use, after an hour, with a newer
    link, and with the next start of the server.
    """

    LIFE = timedelta(hours=1)

    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.created_at:%Y-%m-%d %H:%M}"

    @classmethod
    def issue(cls) -> str:
        """Make a link and return its secret. Earlier links stop working."""
        secret = secrets.token_urlsafe(32)
        cls.objects.all().delete()
        cls.objects.create(digest=digest(secret))
        return secret

    @classmethod
    def redeem(cls, secret: str) -> bool:
        """Use the link up. Returns whether it worked: only for the first caller, also at the same moment."""
        living = cls.objects.filter(created_at__gt=timezone.now() - cls.LIFE)
        return living.filter(digest=digest(secret)).delete()[0] == 1


class FirstAnswer(models.Model):
    """Answer to a request with an `Idempotency-Key`, kept for the same request again; see `idempotency`."""

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
