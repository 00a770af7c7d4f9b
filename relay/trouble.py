"""What operators are told of: looked up anew each time, from rows that are not finished; nothing here writes.

`relay.services.watching` makes alerts of it, /metrics shows it as `relay_trouble`, so that Prometheus tells of it although no worker runs.
What is paused is no trouble: somebody has decided so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min, Q

from relay.conf import partners
from relay.models import AlertKind, InboundState, OutboundMessage, OutboundState, Pause
from relay.queries import Queue, last_heard, queues

#: What has not ended. What was delivered before and goes again waits once for a receipt that need not come (docs/adr/0095).
_OWED = OutboundMessage.objects.filter(finished_at__isnull=True, delivered_before=False)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong with one type of one partner (an empty type: whatever it is), since when, and with how many messages."""

    kind: AlertKind
    partner: str
    message_type: str
    since: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one look."""

    troubles: list[Trouble]
    #: For how long each partner owes us a receipt and has sent nothing at all; 0: not.
    silent_seconds: dict[str, float]


def look(at: datetime, waiting: Sequence[Queue] | None = None) -> Look:
    """Everything that is wrong at this time; `waiting` is what waits, where the caller has asked already."""
    waiting = queues() if waiting is None else waiting
    pauses = list(Pause.objects.filter(Q(resumed_at__isnull=True) | Q(resumed_at__gte=_long_ago(at))))
    silences = list(_silences(pauses))
    silent_seconds = dict.fromkeys(partners(), 0.0) | {partner: max((at - since).total_seconds(), 0.0) for partner, since, _ in silences}
    silent = [
        Trouble(AlertKind.PARTNER_SILENT, partner, "", since, number)
        for partner, since, number in silences
        if silent_seconds[partner] >= settings.RELAY_ALERT_SILENT_SECONDS
    ]
    return Look([*_old(waiting, pauses, at), *silent, *_set_aside(waiting, at), *_refused(at)], silent_seconds)


def _long_ago(at: datetime) -> datetime:
    """A pause that ended before this moves no age over its limit, nor back below it."""
    return at - timedelta(seconds=max(settings.RELAY_ALERT_OUTBOUND_SECONDS, settings.RELAY_ALERT_SILENT_SECONDS))


def _old(waiting: Sequence[Queue], pauses: Sequence[Pause], at: datetime) -> Iterator[Trouble]:
    groups = _OWED.values_list("partner", "message_type").annotate(Count("pk"), Min("created_at")).order_by()
    for partner, message_type, number, first in groups:
        since = _waits_since(first, partner, message_type, pauses)
        if since is not None and (at - since).total_seconds() >= settings.RELAY_ALERT_OUTBOUND_SECONDS:
            yield Trouble(AlertKind.OUTBOUND_OLD, partner, message_type, since, number)
    unhandled: dict[tuple[str, str], list[Queue]] = {}
    for queue in waiting:
        if queue.state in (InboundState.RECEIVED, InboundState.READY):
            unhandled.setdefault((queue.partner, queue.message_type), []).append(queue)
    for (partner, message_type), states in unhandled.items():
        since = min(queue.since for queue in states)
        if (at - since).total_seconds() >= settings.RELAY_ALERT_INBOUND_SECONDS:
            yield Trouble(AlertKind.INBOUND_OLD, partner, message_type, since, sum(queue.number for queue in states))


def _silences(pauses: Sequence[Pause]) -> Iterator[tuple[str, datetime, int]]:
    """Partner, since when we hear nothing, how many receipts it owes."""
    sent = _OWED.filter(state=OutboundState.SENT)
    owed: dict[str, list[tuple[datetime, int]]] = {}
    for partner, message_type, number, first in (
        sent.values_list("partner", "message_type").annotate(Count("pk"), Min("sent_at")).order_by()
    ):
        if (since := _waits_since(first, partner, message_type, pauses)) is not None:
            owed.setdefault(partner, []).append((since, number))
    for partner, parts in owed.items():
        since = min(since for since, _ in parts)
        yield partner, max(since, last_heard(partner) or since), sum(number for _, number in parts)


def _waits_since(since: datetime, partner: str, message_type: str, pauses: Sequence[Pause]) -> datetime | None:
    """Since when this is anybody's fault: not before the last pause over it ended; None while one is open."""
    for pause in pauses:
        if pause.partner in ("", partner) and pause.message_type in ("", message_type):
            if pause.resumed_at is None:
                return None
            since = max(since, pause.resumed_at)
    return since


def _set_aside(waiting: Sequence[Queue], at: datetime) -> Iterator[Trouble]:
    for queue in waiting:
        if queue.state == InboundState.QUARANTINED and (at - queue.since).total_seconds() >= settings.RELAY_ALERT_QUARANTINE_SECONDS:
            yield Trouble(AlertKind.QUARANTINE, queue.partner, queue.message_type, queue.since, queue.number)


def _refused(at: datetime) -> Iterator[Trouble]:
    after = at - timedelta(seconds=settings.RELAY_ALERT_REFUSED_SECONDS)
    recent = OutboundMessage.objects.filter(state=OutboundState.REFUSED, finished_at__gt=after)
    for partner, message_type, number, first in (
        recent.values_list("partner", "message_type").annotate(Count("pk"), Min("finished_at")).order_by()
    ):
        yield Trouble(AlertKind.REFUSED, partner, message_type, first, number)
