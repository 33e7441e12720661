"""What people and programs do with API tokens of their own: make one, list them, revoke one.

A person has all rights over their own tokens. A program has fewer, since its token may be stolen: it sees and revokes
its own token and those that this token made, and it makes tokens with its own rights at most. Such a token ends with
the token that made it (`ApiToken.living`) and makes none itself. So a revoked token leaves nothing behind.
"""

from collections.abc import Iterable

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import ApiToken, kept_of
from web.problems import Problem, not_found
from web.throttle import TOKENS

MOST = 100  # tokens of one person that are not revoked: more than anybody can tell apart in a list


def make_token(
    user: User,
    name: str,
    *,
    scopes: Iterable[str],
    days: float | None,
    lane: str = ApiToken.Lane.INTERACTIVE,
    weight: int = 1,
    by: ApiToken | None = None,
) -> tuple[ApiToken, str]:
    """Make a token of the user. Returns its row and its secret, which is kept nowhere. by: the token that asks for it.

    Raises Problem 403 for rights beyond those of `by`, 409 where the user has MOST tokens, 429 past the throttle.
    """
    wanted = [scope for scope in ApiToken.Scope.values if scope in set(scopes)]
    if by:
        _require_own_rights(by, wanted, lane, weight)
    TOKENS.require(user.pk)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # two at the same time would both be the last one allowed
        if tokens_of(user).count() >= MOST:
            raise Problem("too_many_tokens", most=MOST)
        token, secret = ApiToken.issue(user, name, scopes=wanted, days=days, lane=lane, weight=weight, made_by=by)
        if by and by.expires_at and (token.expires_at is None or token.expires_at > by.expires_at):
            token.expires_at = by.expires_at
            token.save(update_fields=["expires_at"])
    return token, secret


amake_token = sync_to_async(make_token)


def _require_own_rights(maker: ApiToken, scopes: Iterable[str], lane: str, weight: int) -> None:
    """Raises Problem 403 for rights beyond those of `maker`, and where another token made it."""
    if maker.made_by_id:
        raise Problem("made_by_token")
    beyond = [str(ApiToken.Scope(scope).label) for scope in scopes if scope not in maker.scopes]
    if lane != maker.lane and maker.lane == ApiToken.Lane.BATCH:
        beyond.append(_("lane"))
    if weight > maker.weight:
        beyond.append(_("weight"))
    if beyond:
        raise Problem("beyond_own_rights", what=", ".join(beyond))


def tokens_of(user: User, by: ApiToken | None = None) -> QuerySet[ApiToken]:
    """The user's tokens that are not revoked, the newest first, with those that have expired. by: the token that asks,
    which sees itself and those that it made."""
    own = ApiToken.objects.filter(user=user, revoked_at=None, made_by__revoked_at=None).select_related("made_by")
    if by:
        own = own.filter(Q(pk=by.pk) | Q(made_by=by))
    return own.order_by("-pk")


def renew_token(user: User, token_id: int, by: ApiToken | None = None) -> tuple[ApiToken, str]:
    """Give the token another secret; the earlier one stops working. Raises Problem 404 where `tokens_of` lacks it."""
    secret = ApiToken.new_secret()
    found = ApiToken.objects.filter(pk__in=tokens_of(user, by).filter(pk=token_id).values("pk"))
    if not found.update(**kept_of(secret)):
        raise not_found()
    return found.get(), secret


arenew_token = sync_to_async(renew_token)


def revoke_token(user: User, token_id: int, by: ApiToken | None = None) -> ApiToken:
    """End the token, and all that it made, at once and for good. Raises Problem 404 where `tokens_of` lacks it."""
    token = tokens_of(user, by).filter(pk=token_id).first()
    if token is None:
        raise not_found()
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])  # tells the sockets of the user, see `rights`
    return token


def listed_tokens(user: User, by: ApiToken | None = None) -> list[ApiToken]:
    """The same as a list."""
    return list(tokens_of(user, by))


alisted_tokens = sync_to_async(listed_tokens)
arevoke_token = sync_to_async(revoke_token)
