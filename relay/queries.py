"""What operators and health checks ask. Every count stands on a partial index over rows that are not finished."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.utils import timezone

from relay import registry
from relay.conf import partners
from relay.envelope import RECEIPT_TYPE
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState


@dataclass(slots=True)
class Traffic:
    """One message type of one partner. Ages are seconds; `last_received_at` is None when nothing ever came."""

    partner: str
    message_type: str
    queued: int = 0
    awaiting_receipt: int = 0
    refused: int = 0
    oldest_unfinished_seconds: float | None = None
    received_unhandled: int = 0
    oldest_unhandled_seconds: float | None = None
    quarantined: int = 0
    last_received_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values; times in ISO 8601 with zone."""
        values = asdict(self)
        values["last_received_at"] = self.last_received_at.isoformat() if self.last_received_at else None
        return values


@dataclass(slots=True)
class _Table:
    rows: dict[tuple[str, str], Traffic] = field(default_factory=dict)

    def row(self, partner: str, message_type: str) -> Traffic:
        return self.rows.setdefault((partner, message_type), Traffic(partner, message_type))


def status() -> list[Traffic]:
    """The state of the exchange, by partner and type, sorted; types without any traffic are left out.

    What could not be read far enough to know its type stands under an empty type.
    """
    now = timezone.now()
    table = _Table()

    def counted(rows: QuerySet[Any], since: str) -> Iterator[tuple[Traffic, str, int, float]]:
        groups = rows.values_list("partner", "message_type", "state").annotate(Count("pk"), Min(since)).order_by()
        for partner, message_type, state, number, oldest in groups:
            yield table.row(partner, message_type), state, number, (now - oldest).total_seconds()

    for row, state, number, age in counted(OutboundMessage.objects.filter(finished_at__isnull=True), "created_at"):
        if state == OutboundState.QUEUED:
            row.queued = number
        else:
            row.awaiting_receipt = number
        row.oldest_unfinished_seconds = max(row.oldest_unfinished_seconds or 0.0, age)
    for row, _, number, _ in counted(OutboundMessage.objects.filter(state=OutboundState.REFUSED), "created_at"):
        row.refused = number
    for unhandled in (InboundState.RECEIVED, InboundState.READY):
        for row, _, number, age in counted(InboundMessage.objects.filter(state=unhandled), "received_at"):
            row.received_unhandled += number
            row.oldest_unhandled_seconds = max(row.oldest_unhandled_seconds or 0.0, age)
    for row, _, number, _ in counted(InboundMessage.objects.filter(state=InboundState.QUARANTINED), "received_at"):
        row.quarantined = number
    for partner in partners():
        for message_type in [*registry.inbound_types(), RECEIPT_TYPE, ""]:
            newest = InboundMessage.objects.filter(partner=partner, message_type=message_type).order_by("-pk")
            if received_at := newest.values_list("received_at", flat=True).first():
                table.row(partner, message_type).last_received_at = received_at
    return sorted(table.rows.values(), key=lambda row: (row.partner, row.message_type))
