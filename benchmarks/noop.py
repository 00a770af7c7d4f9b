"""The least that a Celery task can do; the worker of `relay` loads it beside the portal's own."""

from celery import shared_task


@shared_task(name="benchmarks.noop")
def noop(number: int) -> None:
    """Nothing."""
