"""The caller of a request: a person with a session (CSRF-protected), or a program with a token and its scopes."""

from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import aget_user
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware
from ninja.security.base import AuthBase

from accounts.lanes import WorkLane, lane_of
from accounts.models import ApiToken
from web.bearer import bearer_secret
from web.problems import Problem, not_signed_in
from web.throttle import BAD_TOKENS, CALLS

Scope = ApiToken.Scope
COUNTED = "stile.counted"  # key in a request's scope, once the throttle CALLS has counted it


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, and the token of a program. `token` is None for a session, which may do everything of its user.

    lane: see `lane_of`.
    """

    user: User
    token: ApiToken | None = None
    lane: WorkLane = "interactive"

    @property
    def weight(self) -> int:
        """See `ApiToken.weight`."""
        return self.token.weight if self.token else 1

    def holds(self, *scopes: str) -> bool:
        """Whether the caller has one of the scopes. A person signed in by session has all."""
        return self.token is None or not set(scopes).isdisjoint(self.token.scopes)

    def require(self, *scopes: str) -> None:
        """Raises Problem 403 unless the caller has one of the scopes."""
        if not self.holds(*scopes):
            raise Problem("missing_scope", scope=scopes[0])


class PageRequest(HttpRequest):
    """From a person who is signed in."""

    user: User


class ApiRequest(HttpRequest):
    """A request that has passed `needs(…)`, with its caller in `auth`."""

    auth: Caller


async def identify(request: HttpRequest) -> Caller:
    """The caller of the request, whose call is counted once for each request. Raises Problem 400, 401 or 429."""
    caller = await who(request)
    scope = getattr(request, "scope", request.META)
    if COUNTED not in scope:
        CALLS.require(caller.user.pk)
        scope[COUNTED] = True
    return caller


async def who(request: HttpRequest) -> Caller:
    """The caller by token, or without a token by session. Raises Problem 400 (see `lane_of`), 401 or 429."""
    secret = bearer_secret(request)
    if secret is not None:
        token = await ApiToken.authenticate(secret)
        if token is None:
            BAD_TOKENS.require(request.META.get("REMOTE_ADDR", ""))
            raise not_signed_in()
        return Caller(token.user, token, lane_of(request, token))
    user = await aget_user(request)
    if not isinstance(user, User):
        raise not_signed_in()
    return Caller(user, lane=lane_of(request, None))


async def read_form(request: HttpRequest) -> None:
    """Parse an uploaded form in a thread; later, `request.POST` would parse it on the event loop."""
    if request.content_type == "multipart/form-data":
        # Django takes a form without a length (sent in chunks) for empty; any number but 0 makes it read.
        request.META.setdefault("CONTENT_LENGTH", "1")
        await sync_to_async(lambda: request.POST, thread_sensitive=False)()


class BearerToken(AuthBase):
    """ninja's authentication by a token with one of the scopes; None leaves a request without a token to the next."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, *scopes: str) -> None:
        super().__init__()
        self.scopes = scopes

    async def __call__(self, request: HttpRequest) -> Caller | None:
        if bearer_secret(request) is None:
            return None
        caller = await identify(request)
        caller.require(*self.scopes)
        await read_form(request)
        return caller


class _CsrfCheck(CsrfViewMiddleware):
    """Django's check without its page, which would ask the database from the event loop who is signed in."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponseForbidden:
        return HttpResponseForbidden(reason)


class SessionCookie(AuthBase):
    """ninja's authentication by a session, with Django's check of the CSRF token."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = settings.SESSION_COOKIE_NAME
    csrf = True  # makes the page of the API docs send the CSRF token

    async def __call__(self, request: HttpRequest) -> Caller:
        caller = await identify(request)
        await read_form(request)  # the CSRF token may be a field of it
        check = _CsrfCheck(lambda _request: HttpResponse())
        check.process_request(request)
        if check.process_view(request, HttpResponse, (), {}):
            raise Problem("csrf_failed")
        return caller


def needs(*scopes: str) -> list[Any]:
    """Authentication of a route: a session, or a token with one of these scopes."""
    return [BearerToken(*scopes), SessionCookie()]
