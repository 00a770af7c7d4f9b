"""Telling a worker at once that there is something to send.

Only a courtesy: the sweep finds what nobody was told of. So it must never fail, and never hold up the user who has just
declared something: a burst makes one wake, and while the broker is away nobody waits for it.
"""

import time
from typing import Final

import structlog
from celery import current_app
from django.core.cache import cache

log = structlog.get_logger(__name__)

#: A wake that was lost with its worker stands in the way of the next for this long.
WAKE_SECONDS: Final = 5
#: After a failure this process tries again only after so many seconds: the sweep, every two seconds, is there meanwhile.
QUIET_SECONDS: Final = 10

IMPATIENT: Final = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 1,
}

_quiet_until = 0.0


def wake(partner: str) -> None:
    """Have `relay.dispatch` run for this partner soon, unless a run is already asked for. Never raises."""
    global _quiet_until  # noqa: PLW0603 - one broker for the whole process
    if time.monotonic() < _quiet_until:
        return
    try:
        if cache.add(_key(partner), 1, timeout=WAKE_SECONDS):
            from relay.tasks import dispatch

            # A connection of its own: the pooled one would try to connect three times, six seconds long (docs/adr/0030).
            with current_app.connection_for_write(transport_options=IMPATIENT) as connection:
                dispatch.apply_async(args=(partner,), connection=connection, retry=False, expires=60)  # type: ignore[call-arg]
    except Exception as error:  # whatever it is, the message is stored and the sweep will send it
        _quiet_until = time.monotonic() + QUIET_SECONDS
        log.warning("relay_wake_failed", partner=partner, error=str(error))


def awake(partner: str) -> None:
    """A worker begins to send: what is queued from here on asks for a run of its own. Never raises."""
    try:
        cache.delete(_key(partner))
    except Exception as error:  # the key goes by itself
        log.warning("relay_wake_not_cleared", partner=partner, error=str(error))


def _key(partner: str) -> str:
    return f"relay:wake:{partner}"
