"""Declared filings by the thousand, with the messages they wait for: copies of one, with plates and numbers of their own."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from uuid import uuid4

from django.db import transaction

from accounts.models import User
from benchmarks import filings
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from smartgate import services
from smartgate.models import Filing, FilingStatus

#: Numbers that the portal's own sequences will not come to.
FIRST_NUMBER = 5 * 10**12
#: Each filing: SGW101 out, its receipt back, customs' answer back, our receipt out.
MESSAGES_EACH = 4


@dataclass(frozen=True, slots=True)
class Pattern:
    """A filing that is declared, and its message."""

    filing: Filing
    content: bytes


def pattern(writer: User, plate: str) -> Pattern:
    """A filing that is declared, and its message; both are taken away, so that nothing of them goes out."""
    filing = filings.saved(writer, plate)
    declared = services.declare_filing(actor=writer, filing_id=filing.pk)
    message = OutboundMessage.objects.get(message_id=declared.message_id)
    content = bytes(message.content)
    message.delete()
    return Pattern(declared, content)


def make(like: Pattern, plates: Iterator[str], already: int) -> None:
    """Declared filings and the messages they wait for, as `declare_filing` leaves them."""
    model = like.filing
    rows, waiting = [], []
    for number, plate in enumerate(plates, start=FIRST_NUMBER + already):
        filing = copy(model)
        filing.pk, filing.message_id, filing.bind_key_info = None, uuid4(), plate
        filing.data_center_no, filing.trip_no = f"{model.data_center_no[:4]}{number:014d}", f"{model.trip_no[:-13]}{number:013d}"
        content = like.content
        for old, new in (
            (model.message_id, filing.message_id),
            (model.data_center_no, filing.data_center_no),
            (model.trip_no, filing.trip_no),
            (model.bind_key_info, plate),
        ):
            content = content.replace(str(old).encode(), str(new).encode())
        rows.append(filing)
        waiting.append(
            OutboundMessage(
                message_id=filing.message_id,
                message_type="SGW101",
                partner="customs",
                subject=filing.subject,
                enterprise_id=filing.enterprise_id,
                content=content,
                state=OutboundState.QUEUED,
                created_at=model.declared_at,
                due_at=model.declared_at,
            )
        )
    with transaction.atomic():
        Filing.unscoped.bulk_create(rows)
        OutboundMessage.objects.bulk_create(waiting)


def is_stored(writer: User, number: int) -> bool:
    """Whether customs has taken so many of them."""
    return Filing.unscoped.filter(enterprise_id=writer.enterprise_id, status=FilingStatus.STORED).count() >= number


def is_settled() -> bool:
    """Whether nothing is left to send, to wait for or to handle."""
    unhandled = InboundMessage.objects.filter(state__in=[InboundState.RECEIVED, InboundState.READY])
    return not unhandled.exists() and not OutboundMessage.objects.filter(finished_at__isnull=True).exists()
