"""The workers' jobs. Their names stand in the settings (routing, beat); each takes partners and calls a service.

Runs may overlap: rows are claimed, and a box is looked into by one worker at a time.
"""

from collections.abc import Callable, Sequence

import structlog
from celery import shared_task

from relay import services
from relay.conf import partners
from relay.services import watching
from relay.services.operations import housekeeping

log = structlog.get_logger(__name__)


@shared_task(name="relay.dispatch")
def dispatch(partner: str | None = None) -> None:
    """Send what is due, to one partner or to all."""
    _for_each([services.dispatch], [partner] if partner else list(partners()))


@shared_task(name="relay.sweep")
def sweep() -> None:
    """Find what nobody was woken for: due again, left by a dead worker, queued while Redis was away, refused."""
    _for_each([services.collect_returned, services.withdraw_refused, services.dispatch], list(partners()))


@shared_task(name="relay.receive")
def receive() -> None:
    """Take in what has come, read it, hand it to the applications."""
    _for_each([services.receive], list(partners()))


@shared_task(name="relay.empty_old")
def empty_old() -> None:
    """Take the bytes of messages that are old and settled."""
    housekeeping.empty_old()


@shared_task(name="relay.watch")
def watch() -> None:
    """Tell operators what is wrong, and what is over."""
    watching.watch()


def _for_each(jobs: Sequence[Callable[[str], int]], codes: list[str]) -> None:
    """Each job for each partner: where one breaks down, the others and its own next job go on. The last error is raised in the end."""
    failed: Exception | None = None
    for job in jobs:
        for code in codes:
            try:
                job(code)
            except Exception as error:
                log.exception("relay_job_failed", job=job.__name__, partner=code)
                failed = error
    if failed is not None:
        raise failed
