"""The bearer token of a request (RFC 6750)."""

from django.http import HttpRequest


def bearer_secret(request: HttpRequest) -> str | None:
    """The token sent along; None where another scheme, or nothing, is sent."""
    scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None
