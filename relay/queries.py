"""What operators and health checks ask. Every count stands on a partial index over rows that are not finished."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Max, Min, Model, Q, QuerySet
from django.utils import timezone

from relay import registry
from relay.conf import partners
from relay.envelope import RECEIPT_TYPE
from relay.models import CONTRADICTS_REFUSAL, Attempt, AttemptOutcome, InboundMessage, InboundState, OutboundMessage, OutboundState, Pause

#: Over how long the rates are taken.
RATE_SECONDS: Final = 300
#: Of each type; those that a partner might send again.
_NEWEST: Final = 200


@dataclass(slots=True)
class Traffic:
    """One message type of one partner. Ages are seconds; `last_received_at` is None when nothing ever came.

    Rates are messages a minute over the last RATE_SECONDS. `failing` are those queued messages that were tried and could not be
    written; `last_error` is what the last of them met with. `paused` says why, when an open pause covers this row.
    """

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
    sent_per_minute: float = 0.0
    failed_per_minute: float = 0.0
    received_per_minute: float = 0.0
    failing: int = 0
    last_error: str = ""
    last_error_at: datetime | None = None
    last_refusal_code: str = ""
    last_refusal_text: str = ""
    paused: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values; times in ISO 8601 with zone."""
        values = asdict(self)
        for name in ("last_received_at", "last_error_at"):
            values[name] = values[name].isoformat() if values[name] else None
        return values


class Direction(StrEnum):
    """Whether a message goes out or came in."""

    OUT = "out"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Queue:
    """Messages of one type of one partner that are in one state: how many, and since when the oldest is.

    Of what waits that is when it was made or came, of what was refused or set aside the moment of that.
    """

    direction: Direction
    partner: str
    message_type: str
    state: str
    number: int
    since: datetime


#: Each set of rows has a partial index of its own.
_QUEUES: Final[tuple[tuple[Direction, type[Model], Q, str], ...]] = (
    (Direction.OUT, OutboundMessage, Q(finished_at__isnull=True), "created_at"),
    (Direction.OUT, OutboundMessage, Q(state=OutboundState.REFUSED), "finished_at"),
    (Direction.IN, InboundMessage, Q(state=InboundState.RECEIVED), "received_at"),
    (Direction.IN, InboundMessage, Q(state=InboundState.READY), "received_at"),
    (Direction.IN, InboundMessage, Q(state=InboundState.QUARANTINED), "finished_at"),
)


def queues() -> list[Queue]:
    """Everything that waits for something or for somebody: unfinished, unhandled, refused, set aside. Nothing else is counted."""
    found: list[Queue] = []
    for direction, model, condition, since in _QUEUES:
        rows = model._default_manager.filter(condition).values_list("partner", "message_type", "state")
        found.extend(Queue(direction, *group) for group in rows.annotate(Count("pk"), Min(since)).order_by())
    return found


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

    _add_queues(table, now, queues())
    _add_rates(table, now - timedelta(seconds=RATE_SECONDS))
    _add_failures(table)
    for pause in open_pauses():
        _add_pause(table, pause)
    for partner in partners():
        for message_type, received_at in last_received(partner).items():
            table.row(partner, message_type).last_received_at = received_at
    return sorted(table.rows.values(), key=lambda row: (row.partner, row.message_type))


def last_received(partner: str) -> dict[str, datetime]:
    """When the newest message of each type came; types of which nothing ever came are left out."""
    found: dict[str, datetime] = {}
    for message_type in [*registry.inbound_types(), RECEIPT_TYPE, ""]:
        newest = InboundMessage.objects.filter(partner=partner, message_type=message_type).order_by("-pk")
        if received_at := newest.values_list("received_at", flat=True).first():
            found[message_type] = received_at
    return found


def last_heard(partner: str) -> datetime | None:
    """When anything came from it last, also what it had sent before; None when nothing ever did.

    What comes once more makes no row, but moves the time of the one that is there. A partner sends again what it sent of late: looked for
    among the newest of each type, never in the whole table.
    """
    heard: list[datetime] = []
    for message_type in [*registry.inbound_types(), RECEIPT_TYPE, ""]:
        newest = InboundMessage.objects.filter(partner=partner, message_type=message_type).order_by("-pk")[:_NEWEST]
        if latest := newest.aggregate(latest=Max("last_seen_at"))["latest"]:
            heard.append(latest)
    return max(heard, default=None)


def _add_queues(table: _Table, now: datetime, waiting: Iterable[Queue]) -> None:
    for queue in waiting:
        row, age = table.row(queue.partner, queue.message_type), (now - queue.since).total_seconds()
        match queue.state:
            case OutboundState.REFUSED:
                row.refused = queue.number
            case InboundState.QUARANTINED:
                row.quarantined = queue.number
            case InboundState.RECEIVED | InboundState.READY:
                row.received_unhandled += queue.number
                row.oldest_unhandled_seconds = max(row.oldest_unhandled_seconds or 0.0, age)
            case _:
                if queue.state == OutboundState.QUEUED:
                    row.queued = queue.number
                else:
                    row.awaiting_receipt = queue.number
                row.oldest_unfinished_seconds = max(row.oldest_unfinished_seconds or 0.0, age)


def _add_rates(table: _Table, since: datetime) -> None:
    minutes = RATE_SECONDS / 60
    tried = Attempt.objects.filter(at__gte=since).values_list("message__partner", "message__message_type")
    errors = Q(outcome=AttemptOutcome.ERROR)
    for partner, message_type, failed, number in tried.annotate(failed=Count("pk", filter=errors), tried=Count("pk")).order_by():
        row = table.row(partner, message_type)
        row.sent_per_minute, row.failed_per_minute = (number - failed) / minutes, failed / minutes
    came = InboundMessage.objects.filter(received_at__gte=since).values_list("partner", "message_type")
    for partner, message_type, number in came.annotate(Count("pk")).order_by():
        table.row(partner, message_type).received_per_minute = number / minutes


def _add_failures(table: _Table) -> None:
    failing = OutboundMessage.objects.filter(finished_at__isnull=True, state=OutboundState.QUEUED, attempts__gt=0)
    for partner, message_type, number in failing.values_list("partner", "message_type").annotate(Count("pk")).order_by():
        row = table.row(partner, message_type)
        row.failing = number
        errors = Attempt.objects.filter(outcome=AttemptOutcome.ERROR, message__partner=partner, message__message_type=message_type)
        for last in errors.order_by("-pk")[:1]:
            row.last_error, row.last_error_at = last.error, last.at
    for row in table.rows.values():
        if row.refused:
            refusals = OutboundMessage.objects.filter(state=OutboundState.REFUSED, partner=row.partner, message_type=row.message_type)
            for code, text in refusals.order_by("-finished_at").values_list("reason_code", "reason_text")[:1]:
                row.last_refusal_code, row.last_refusal_text = code, text


def _add_pause(table: _Table, pause: Pause) -> None:
    """Into every row that it covers; a pause of a type that has no row yet makes one, so that nobody overlooks it."""
    if pause.partner and pause.message_type:
        table.row(pause.partner, pause.message_type)
    for row in table.rows.values():
        if pause.partner in ("", row.partner) and pause.message_type in ("", row.message_type):
            row.paused = pause.reason


def open_pauses() -> list[Pause]:
    """What is paused now, the longest first."""
    return list(Pause.objects.filter(resumed_at__isnull=True).order_by("paused_at", "pk"))


def pause_as_json(pause: Pause) -> dict[str, Any]:
    """Plain values; empty partner or type: all."""
    return {
        "partner": pause.partner,
        "message_type": pause.message_type,
        "reason": pause.reason,
        "paused_by": pause.paused_by,
        "paused_at": pause.paused_at.isoformat(),
        "resumed_by": pause.resumed_by,
        "resumed_at": pause.resumed_at.isoformat() if pause.resumed_at else None,
    }


def quarantined(
    *, partner: str = "", message_type: str | None = None, code: str = "", until: datetime | None = None
) -> QuerySet[InboundMessage]:
    """What is set aside, oldest first, without the bytes. An empty type is what could not be read far enough; None: any."""
    rows = InboundMessage.objects.filter(state=InboundState.QUARANTINED).defer("content", "send_time").order_by("pk")
    if message_type is not None:
        rows = rows.filter(message_type=message_type)
    conditions = {"partner": partner, "reason_code": code, "received_at__lt": until}
    return rows.filter(**{name: value for name, value in conditions.items() if value})


def inbound_as_json(message: InboundMessage) -> dict[str, Any]:
    """What is known of an incoming message, without its bytes."""
    return {
        "id": message.pk,
        "partner": message.partner,
        "message_type": message.message_type,
        "message_id": str(message.message_id) if message.message_id else None,
        "in_reply_to": str(message.in_reply_to) if message.in_reply_to else None,
        "subject": message.subject,
        "file_name": message.file_name,
        "size": message.size,
        "sha256": bytes(message.sha256).hex() if message.sha256 else None,
        "kept_as": message.kept_as,
        "state": str(message.state),
        "received_at": message.received_at.isoformat(),
        "last_seen_at": message.last_seen_at.isoformat(),
        "repeats": message.repeats,
        "attempts": message.attempts,
        "reason_code": message.reason_code,
        "reason_text": message.reason_text,
        "answer_result": message.answer_result,
        "outcome": message.outcome,
    }


def contradicting_receipts() -> QuerySet[InboundMessage, UUID | None]:
    """Ids of refused messages that the partner says it has stored after all, as long as nobody has asked it."""
    held = InboundMessage.objects.filter(state=InboundState.QUARANTINED, reason_code=CONTRADICTS_REFUSAL)
    return held.values_list("original__message_id", flat=True)
