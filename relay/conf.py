"""The partners messages go to and come from, as the settings configure them."""

from django.conf import settings


class UnknownPartnerError(LookupError):
    """No partner of this name is configured (`RELAY_PARTNERS`)."""


def partners() -> dict[str, dict[str, str]]:
    """Every configured partner: code (also the name of its directory and its id in envelopes) → its channel's options."""
    configured: dict[str, dict[str, str]] = settings.RELAY_PARTNERS
    return configured


def require_partner(code: str) -> dict[str, str]:
    """The options of one partner. Raises UnknownPartnerError."""
    try:
        return partners()[code]
    except KeyError:
        raise UnknownPartnerError(code) from None


def handler_attempts() -> int:
    """How often an inbound message is handed to its handler before it is set aside."""
    return int(settings.RELAY_HANDLER_ATTEMPTS)
