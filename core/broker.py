"""Telling a worker at once that something waits for it, from a web process.

Only a courtesy: a sweep finds what nobody was told of. So it must never fail, and never hold up the user whose request gave rise to it.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

import structlog
from celery import current_app

log = structlog.get_logger(__name__)

#: After a failure this process tries again only after so many seconds: the sweeps are there meanwhile.
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


def quiet() -> bool:
    """Whether the broker failed a moment ago, so that nobody should wait for it now."""
    return time.monotonic() < _quiet_until


def wake(task: Any, args: Sequence[Any]) -> None:
    """Have `task` run soon. Never raises; while the broker is away nobody waits for it."""
    if quiet():
        return
    try:
        # A connection of its own: the pooled one would try to connect three times, six seconds long (docs/adr/0030).
        with current_app.connection_for_write(transport_options=IMPATIENT) as connection:
            task.apply_async(args=tuple(args), connection=connection, retry=False, expires=60)
    except Exception as error:  # whatever it is, what waits is stored and a sweep will find it
        be_quiet()
        log.warning("wake_failed", task=task.name, error=type(error).__name__)


def be_quiet() -> None:
    """The broker has just failed."""
    global _quiet_until  # noqa: PLW0603 - one broker for the whole process
    _quiet_until = time.monotonic() + QUIET_SECONDS
