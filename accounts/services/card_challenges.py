"""Challenges for cards (CARD-02): 32 random bytes, one use, two minutes, for one purpose and one browser."""

import re
import secrets
from datetime import datetime, timedelta

from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import CardChallenge, CardPurpose
from accounts.signatures.refusals import ChallengeRefusedError

LIFETIME = timedelta(minutes=2)


def issue(*, purpose: CardPurpose, bound_to: str, at: datetime | None = None) -> str:
    """A new challenge: 32 random bytes as 64 hex digits, which is the text that the card signs.

    `bound_to` says who gets it (`holder`).
    """
    now = at or timezone.now()
    value = secrets.token_hex(32)
    CardChallenge.objects.create(value=value, purpose=purpose, bound_to=_digest(bound_to), created_at=now, expires_at=now + LIFETIME)
    return value


def use(*, purpose: CardPurpose, value: str, bound_to: str, at: datetime | None = None) -> None:
    """Use up a challenge. Call it before the signature is verified, and outside of what a wrong signature rolls back: a challenge
    has one try.

    Raises ChallengeRefusedError, with the same text whatever is wrong with it.
    """
    now = at or timezone.now()
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise ChallengeRefusedError
    used = CardChallenge.objects.filter(
        value=value, purpose=purpose, bound_to=_digest(bound_to), used_at=None, created_at__lte=now, expires_at__gt=now
    ).update(used_at=now)
    if used != 1:
        raise ChallengeRefusedError


def holder(request: HttpRequest) -> str:
    """Whom a challenge is given to: the browser's session, and whoever is logged in there. A visitor may have no session yet; then this is
    an empty text, which no challenge is given out for."""
    key = request.session.session_key or ""
    return f"{key} {request.user.pk}" if request.user.is_authenticated else key


def forget_old(*, at: datetime | None = None) -> int:
    """Delete challenges that nobody can use any more; gives how many."""
    deleted, _per_model = CardChallenge.objects.filter(expires_at__lt=(at or timezone.now()) - timedelta(days=1)).delete()
    return deleted


def _digest(bound_to: str) -> str:
    return salted_hmac("accounts.card_challenges", bound_to, algorithm="sha256").hexdigest()
