"""Telling a worker at once that there is something to send: a burst makes one wake, and none ever fails (`core.broker`)."""

from typing import Final

import structlog
from django.core.cache import cache

from core import broker

log = structlog.get_logger(__name__)

#: A wake that was lost with its worker stands in the way of the next for this long.
WAKE_SECONDS: Final = 5


def wake(partner: str) -> None:
    """Have `relay.dispatch` run for this partner soon, unless a run is already asked for. Never raises."""
    if broker.quiet():
        return
    try:
        is_first = cache.add(_key(partner), 1, timeout=WAKE_SECONDS)
    except Exception as error:  # whatever it is, the message is stored and the sweep will send it
        broker.be_quiet()
        log.warning("relay_wake_failed", partner=partner, error=str(error))
        return
    if is_first:
        from relay.tasks import dispatch

        broker.wake(dispatch, [partner])


def awake(partner: str) -> None:
    """A worker begins to send: what is queued from here on asks for a run of its own. Never raises."""
    try:
        cache.delete(_key(partner))
    except Exception as error:  # the key goes by itself
        log.warning("relay_wake_not_cleared", partner=partner, error=str(error))


def _key(partner: str) -> str:
    return f"relay:wake:{partner}"
