"""Telling people something: queued in the transaction of what gave rise to it, sent after its commit, tried again until it expires."""

import time
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core import audit, broker
from notifications.gateways import GatewayError, gateway_of
from notifications.models import Delivery, DeliveryStatus, Way

log = structlog.get_logger(__name__)
_FIRST_WAIT_SECONDS = 2
_LONGEST_WAIT_SECONDS = 300
#: A gateway that answers nobody makes each try last as long as its timeout: a sweep ends after this time and leaves the rest to the next.
_SWEEP_SECONDS = 10.0


def queue_sms(*, mobile: str, text: str, keeps: timedelta = timedelta(days=1), at: datetime | None = None) -> Delivery:
    """Queue an SMS; call it in the transaction that gives rise to it. After `keeps` it is of no use and no longer tried."""
    return _queue(way=Way.SMS, recipient=mobile, subject="", body=text, keeps=keeps, at=at)


def queue_email(*, address: str, subject: str, text: str, keeps: timedelta = timedelta(days=3), at: datetime | None = None) -> Delivery:
    """Queue an e-mail; call it in the transaction that gives rise to it."""
    return _queue(way=Way.EMAIL, recipient=address, subject=subject, body=text, keeps=keeps, at=at)


def _queue(*, way: Way, recipient: str, subject: str, body: str, keeps: timedelta, at: datetime | None) -> Delivery:
    now = at or timezone.now()
    delivery = Delivery.objects.create(
        way=way,
        recipient=recipient,
        subject=subject,
        body=body,
        created_at=now,
        due_at=now,
        expires_at=now + keeps,
        request_id=audit.current_request_id(),
    )
    transaction.on_commit(lambda: _wake(delivery.pk), robust=True)
    return delivery


def _wake(delivery_id: int) -> None:
    from notifications.tasks import send

    broker.wake(send, [delivery_id])


def send_due(*, limit: int = 200, seconds: float = _SWEEP_SECONDS) -> int:
    """Send what is due, at most `limit` and for about `seconds`; gives how many were tried. Several may run at once."""
    tried, until = 0, time.monotonic() + seconds
    while tried < limit and time.monotonic() < until and send_one(None):
        tried += 1
    return tried


def send_one(delivery_id: int | None) -> bool:
    """Send one delivery that is due (the oldest, without an id). Gives whether there was one.

    Claimed in one transaction, sent outside of any, its outcome recorded in another: dying in between costs a second try under the
    same reference.
    """
    delivery = _claim(delivery_id)
    if delivery is None:
        return False
    if delivery.expires_at <= timezone.now():
        _finish(delivery, DeliveryStatus.FAILED, error=delivery.error or "expired")
        return True
    try:
        _hand_over(delivery)
    except GatewayError as refusal:
        _record_failure(delivery, refusal)
    else:
        _finish(delivery, DeliveryStatus.SENT)
        log.info("delivery_sent", request_id=delivery.request_id, delivery=delivery.pk, way=delivery.way, attempt=delivery.attempts)
    return True


def _claim(delivery_id: int | None) -> Delivery | None:
    """Take a delivery for as long as its lease lasts; None when nothing is due. A worker that dies has it back after that.

    Without the body: one that no key of ours opens must not keep all others from being claimed.
    """
    now = timezone.now()
    with transaction.atomic():
        due = Delivery.objects.defer("body").select_for_update(skip_locked=True).filter(status=DeliveryStatus.WAITING, due_at__lte=now)
        if delivery_id is not None:
            due = due.filter(pk=delivery_id)
        delivery = due.order_by("due_at").first()
        if delivery is not None:
            delivery.attempts += 1
            delivery.due_at = now + _lease(delivery.way)
            delivery.save(update_fields=["attempts", "due_at"])
    return delivery


def _lease(way: str) -> timedelta:
    """Longer than a try can last, or two workers would send the same: an SMS is one exchange, a mail several."""
    lasts = 2 * settings.SMS_GATEWAY_TIMEOUT_SECONDS if way == Way.SMS else 6 * settings.EMAIL_TIMEOUT
    return timedelta(seconds=30 + lasts)


def _hand_over(delivery: Delivery) -> None:
    """Give it to its gateway. Raises GatewayError, whatever goes wrong.

    What else was raised is told by its kind only: its text may quote what was to be sent.
    """
    try:
        body = delivery.body
    except ValueError:
        raise GatewayError("the body fits none of FIELD_KEYS", permanent=True) from None
    try:
        gateway_of(delivery.way).send(reference=delivery.reference, recipient=delivery.recipient, subject=delivery.subject, body=body)
    except GatewayError:
        raise
    except Exception as error:
        raise GatewayError(type(error).__name__) from None


def _record_failure(delivery: Delivery, refusal: GatewayError) -> None:
    log.warning(
        "delivery_failed",
        request_id=delivery.request_id,
        delivery=delivery.pk,
        way=delivery.way,
        attempt=delivery.attempts,
        error=str(refusal),
    )
    if refusal.permanent:
        _finish(delivery, DeliveryStatus.FAILED, error=str(refusal))
        return
    wait = timedelta(seconds=min(_FIRST_WAIT_SECONDS * 2 ** min(delivery.attempts - 1, 20), _LONGEST_WAIT_SECONDS))
    # At its end it is given up at once: what it holds has to go. Who was so slow that another claimed it has no say any more.
    Delivery.objects.filter(pk=delivery.pk, status=DeliveryStatus.WAITING, attempts=delivery.attempts).update(
        due_at=min(timezone.now() + wait, delivery.expires_at), error=str(refusal)[:300]
    )


def _finish(delivery: Delivery, status: DeliveryStatus, *, error: str = "") -> None:
    """The outcome; the body goes, since it may hold a code."""
    Delivery.objects.filter(pk=delivery.pk, status=DeliveryStatus.WAITING).update(
        status=status, body="", error=error[:300], sent_at=timezone.now() if status == DeliveryStatus.SENT else None
    )


def forget_old(*, at: datetime | None = None) -> int:
    """Delete deliveries that ended and were queued more than `NOTIFICATION_KEEP_DAYS` ago; gives how many."""
    before = (at or timezone.now()) - timedelta(days=settings.NOTIFICATION_KEEP_DAYS)
    deleted, _per_model = Delivery.objects.exclude(status=DeliveryStatus.WAITING).filter(created_at__lt=before).delete()
    return deleted
