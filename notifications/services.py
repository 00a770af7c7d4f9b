"""Telling people something: queued in the transaction of what gave rise to it, sent after its commit, tried again until it expires."""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from notifications.gateways import GatewayError, gateway_of
from notifications.models import Delivery, DeliveryStatus, Way

log = structlog.get_logger(__name__)
#: A worker that died has its delivery back after this time.
_LEASE = timedelta(seconds=60)
_FIRST_WAIT_SECONDS = 2
_LONGEST_WAIT_SECONDS = 300


def queue_sms(*, mobile: str, text: str, keeps: timedelta = timedelta(days=1), at: datetime | None = None) -> Delivery:
    """Queue an SMS; call it in the transaction that gives rise to it. After `keeps` it is of no use and no longer tried."""
    return _queue(way=Way.SMS, recipient=mobile, subject="", body=text, keeps=keeps, at=at)


def queue_email(*, address: str, subject: str, text: str, keeps: timedelta = timedelta(days=3), at: datetime | None = None) -> Delivery:
    """Queue an e-mail; call it in the transaction that gives rise to it."""
    return _queue(way=Way.EMAIL, recipient=address, subject=subject, body=text, keeps=keeps, at=at)


def _queue(*, way: Way, recipient: str, subject: str, body: str, keeps: timedelta, at: datetime | None) -> Delivery:
    now = at or timezone.now()
    delivery = Delivery.objects.create(
        way=way, recipient=recipient, subject=subject, body=body, created_at=now, due_at=now, expires_at=now + keeps
    )
    transaction.on_commit(lambda: _wake(delivery.pk), robust=True)
    return delivery


def _wake(delivery_id: int) -> None:
    from notifications.tasks import send

    # A broker that is away costs nothing but time: the sweep finds what nobody was woken for.
    send.delay(delivery_id)


def send_due(*, limit: int = 200) -> int:
    """Send everything that is due; gives how many were tried. Several may run at once."""
    tried = 0
    while tried < limit and send_one(None):
        tried += 1
    return tried


def send_one(delivery_id: int | None) -> bool:
    """Send one delivery that is due (the oldest, without an id). Gives whether there was one.

    Claimed in one transaction, sent outside of any, its outcome recorded in another: dying in between costs a second try under the
    same reference.
    """
    now = timezone.now()
    with transaction.atomic():
        due = Delivery.objects.select_for_update(skip_locked=True).filter(status=DeliveryStatus.WAITING, due_at__lte=now)
        if delivery_id is not None:
            due = due.filter(pk=delivery_id)
        delivery = due.order_by("due_at").first()
        if delivery is None:
            return False
        if delivery.expires_at <= now:
            _finish(delivery, DeliveryStatus.FAILED, error=delivery.error or "expired")
            return True
        delivery.attempts += 1
        delivery.due_at = now + _LEASE
        delivery.save(update_fields=["attempts", "due_at"])
    try:
        gateway_of(delivery.way).send(
            reference=delivery.reference, recipient=delivery.recipient, subject=delivery.subject, body=delivery.body
        )
    except GatewayError as refusal:
        _record_failure(delivery, refusal)
    else:
        _finish(delivery, DeliveryStatus.SENT)
    return True


def _record_failure(delivery: Delivery, refusal: GatewayError) -> None:
    log.warning("delivery_failed", delivery=delivery.pk, way=delivery.way, attempt=delivery.attempts, error=str(refusal))
    if refusal.permanent:
        _finish(delivery, DeliveryStatus.FAILED, error=str(refusal))
        return
    wait = min(_FIRST_WAIT_SECONDS * 2 ** (delivery.attempts - 1), _LONGEST_WAIT_SECONDS)
    Delivery.objects.filter(pk=delivery.pk, status=DeliveryStatus.WAITING).update(
        due_at=timezone.now() + timedelta(seconds=wait), error=str(refusal)[:300]
    )


def _finish(delivery: Delivery, status: DeliveryStatus, *, error: str = "") -> None:
    """The outcome; the body goes, since it may hold a code."""
    Delivery.objects.filter(pk=delivery.pk, status=DeliveryStatus.WAITING).update(
        status=status, body="", error=error[:300], sent_at=timezone.now() if status == DeliveryStatus.SENT else None
    )


def forget_old(*, at: datetime | None = None) -> int:
    """Delete deliveries that ended more than `NOTIFICATION_KEEP_DAYS` ago; gives how many."""
    before = (at or timezone.now()) - timedelta(days=settings.NOTIFICATION_KEEP_DAYS)
    deleted, _per_model = Delivery.objects.exclude(status=DeliveryStatus.WAITING).filter(created_at__lt=before).delete()
    return deleted
