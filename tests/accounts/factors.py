"""Second factors in tests: real codes, and the password asked for again."""

import time
from typing import Any

from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD


def code_of(secret: str, *, steps: int = 0) -> str:
    """What an authenticator with this secret shows now, or so many half minutes later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def give_totp(user: User) -> str:
    """Set up 动态口令 for a user; gives the secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def give_recovery_codes(user: User) -> list[str]:
    return list(RecoveryCodes.activate(user).generate_codes())


def prove_again(client: Client, then: str = "/accounts/security/") -> Any:
    """Give the password once more, as every change of the factors asks for."""
    return client.post(f"/accounts/reauthenticate/?next={then}", {"password": PASSWORD, "next": then})


def forget_used_codes() -> None:
    """As if the half minute of the code had passed."""
    cache.clear()
