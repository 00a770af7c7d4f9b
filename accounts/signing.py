"""Signing on entry pages: what `core.forms` asks of an application, answered with the user's own card."""

from accounts.models import User
from accounts.services.card_signing import not_bound
from core.forms.signing import SigningRequest


def signing_request(*, user: User, text: str) -> SigningRequest:
    """The question for a signature of the user's bound card over `text`; without one the way to binding it."""
    bound = user.ic_card_no
    return SigningRequest(
        text=text,
        template="accounts/signing_panel.html",
        context={"bound_card": bound} if bound else {"why_not": not_bound()},
        is_possible=bool(bound),
    )
