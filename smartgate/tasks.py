"""The workers' jobs of the smart gate."""

from celery import shared_task

from smartgate.batches import services as batches
from smartgate.drops import services as drops
from smartgate.importing import services as importing


@shared_task(name="smartgate.work_on_import")
def work_on_import(import_id: int) -> None:
    """Check an uploaded workbook, or store its filings, whichever is to be done."""
    importing.work(import_id)


@shared_task(name="smartgate.sweep_imports")
def sweep_imports() -> None:
    """Find imports that nobody was woken for, or whose worker has died."""
    for import_id in importing.waiting():
        importing.work(import_id)


@shared_task(name="smartgate.forget_imports")
def forget_imports() -> None:
    """Delete workbooks that nobody wanted in time, batches of long ago, and what has lain in drop folders."""
    importing.forget_expired()
    batches.forget_old()
    drops.forget_old()


@shared_task(name="smartgate.take_drops")
def take_drops() -> None:
    """Take what other software dropped, and tell it what became of earlier drafts."""
    drops.take_all()
