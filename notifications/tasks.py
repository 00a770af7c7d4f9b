"""The workers' jobs for deliveries."""

from celery import shared_task

from notifications import services


@shared_task(name="notifications.send")
def send(delivery_id: int) -> None:
    """Send one delivery, if it still is to be sent."""
    services.send_one(delivery_id)


@shared_task(name="notifications.sweep")
def sweep() -> None:
    """Find what nobody was woken for, or what is due again."""
    services.send_due()


@shared_task(name="notifications.forget_old")
def forget_old() -> None:
    """Delete what ended long ago."""
    services.forget_old()
