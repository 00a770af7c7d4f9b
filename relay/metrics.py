"""What the relay counts, each at the moment it has happened, after its commit; read by /metrics (docs/operations/watching.md)."""

from datetime import datetime
from functools import partial as bind
from typing import Final

from django.db import transaction

from core.metrics import Counter, Histogram
from relay.models import OutboundMessage

ATTEMPTS: Final = Counter(
    "relay_attempts_total",
    "Attempts to send: sent, waiting (the copy of before lies there still), error",
    ("partner", "message_type", "outcome"),
)
REFUSED: Final = Counter("relay_refused_total", "Messages that a partner definitely refused", ("partner", "message_type"))
RECEIVED: Final = Counter("relay_received_total", "Files that came in; again: byte for byte as before", ("partner", "again"))
HANDLED: Final = Counter("relay_handled_total", "Incoming messages handled", ("partner", "message_type"))
HANDLER_FAILURES: Final = Counter("relay_handler_failures_total", "Times a handler failed on a message", ("partner", "message_type"))
QUARANTINED: Final = Counter("relay_quarantined_total", "Incoming messages set aside", ("partner", "code"))
LEAVING: Final = Histogram("relay_leaving_seconds", "From queueing a message to its first copy leaving", ("partner", "message_type"))
RECEIPT: Final = Histogram(
    "relay_receipt_seconds",
    "From a message's first copy leaving to the receipt or answer that proves its delivery",
    ("partner", "message_type"),
)


def note_attempt(partner: str, message_type: str, outcome: str) -> None:
    """A message was tried to be sent."""
    ATTEMPTS.count(partner=partner, message_type=message_type, outcome=str(outcome))


def note_left(partner: str, message_type: str, seconds: float) -> None:
    """Its first copy has left, so long after it was queued."""
    LEAVING.observe(seconds, partner=partner, message_type=message_type)


def note_received(partner: str, *, new: int, again: int) -> None:
    """Files came in and are stored."""
    for number, is_again in ((new, "no"), (again, "yes")):
        if number:
            RECEIVED.count(by=number, partner=partner, again=is_again)


def note_delivered(message: OutboundMessage, at: datetime) -> None:
    """Its receipt has come: counted when the caller's transaction commits."""
    # One that was delivered before and went again would count the time since it first left.
    if message.sent_at is not None and not message.delivered_before:
        seconds = (at - message.sent_at).total_seconds()
        observe = bind(RECEIPT.observe, seconds, partner=message.partner, message_type=message.message_type)
        transaction.on_commit(observe, robust=True)


def note_refused(message: OutboundMessage) -> None:
    """It was refused: counted when the caller's transaction commits."""
    transaction.on_commit(bind(REFUSED.count, partner=message.partner, message_type=message.message_type), robust=True)


def note_quarantined(partner: str, code: str) -> None:
    """It was set aside: counted when the caller's transaction commits, or at once."""
    transaction.on_commit(bind(QUARANTINED.count, partner=partner, code=code), robust=True)
