"""The partners messages go to and come from, as the settings configure them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from django.conf import settings

#: What one step over messages holds of their contents; a step ends with the message that reaches it. PostgreSQL takes at most
#: 1 GB in one statement, in which bytes are written out twice as long.
BATCH_BYTES: Final = 32 * 1024**2

T = TypeVar("T")


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


def portions(items: Iterable[T], size: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """The items in their order, in lists that end after `most` of them or with the one that brings their sizes to BATCH_BYTES."""
    portion: list[T] = []
    filled = 0
    for item in items:
        portion.append(item)
        filled += size(item)
        if len(portion) >= most or filled >= BATCH_BYTES:
            yield portion
            portion, filled = [], 0
    if portion:
        yield portion
