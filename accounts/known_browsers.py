"""Browsers that logged in to an account before: their wrong passwords count apart (`accounts.services.login`).

A signed cookie, which no script sees, holds keyed digests of the accounts: who strays over it learns no user name, and who invents
one convinces nobody. A stranger therefore never closes the door to the browser that its owner uses.
"""

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

COOKIE = "portal_known"
_SALT = "accounts.known_browsers"
_MAX_AGE_SECONDS = 365 * 24 * 3600
#: A cookie has little room, and a browser with more accounts belongs to nobody in particular.
_MAX_ACCOUNTS = 10


def knows(request: HttpRequest, username: str) -> bool:
    """Whether this browser has logged in to the account of this name before."""
    return _digest(username) in _accounts(request)


def remember(request: HttpRequest, response: HttpResponse, username: str) -> None:
    """Note in the browser that it may be trusted to belong to a user of this account; the oldest of many accounts goes."""
    mine = _digest(username)
    accounts = [mine, *[account for account in _accounts(request) if account != mine]][:_MAX_ACCOUNTS]
    response.set_cookie(
        COOKIE,
        signing.dumps(accounts, salt=_SALT),
        max_age=_MAX_AGE_SECONDS,
        path="/accounts/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _accounts(request: HttpRequest) -> list[str]:
    try:
        accounts = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=_MAX_AGE_SECONDS)
    except signing.BadSignature:
        return []
    return [str(account) for account in accounts]


def _digest(username: str) -> str:
    return salted_hmac(_SALT, username.lower(), algorithm="sha256").hexdigest()[:32]
