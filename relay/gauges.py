"""The state of the exchange in Prometheus' form: asked of the database at each scrape, from partial indexes only."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from django.db.models import Count
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from relay import registry
from relay.conf import partners
from relay.envelope import RECEIPT_TYPE
from relay.models import Alert, AlertKind, InboundState, OutboundState
from relay.queries import Direction, Queue, open_pauses, queues
from relay.trouble import look

_QUEUE: Final = ("direction", "partner", "message_type", "state")


def families() -> list[Metric]:
    """All gauges of the relay."""
    now = timezone.now()
    messages = GaugeMetricFamily("relay_messages", "Messages that wait, were refused or set aside", labels=_QUEUE)
    oldest = GaugeMetricFamily("relay_oldest_seconds", "Age of the oldest of them; of those refused or set aside since then", labels=_QUEUE)
    numbers: defaultdict[tuple[str, ...], int] = defaultdict(int)
    ages: defaultdict[tuple[str, ...], float] = defaultdict(float)
    # What should be none is there as 0, so that a rule can tell nothing from no answer.
    for partner in partners():
        for message_type in [*registry.outbound_types(), RECEIPT_TYPE]:
            for state in (OutboundState.QUEUED, OutboundState.SENT):
                numbers[Direction.OUT, partner, message_type, state.value] = 0
        numbers[Direction.IN, partner, "none", InboundState.RECEIVED.value] = 0
    waiting = queues()
    for queue in waiting:
        key = (queue.direction.value, queue.partner, _label(queue.message_type), queue.state)
        numbers[key] += queue.number
        ages[key] = max(ages[key], (now - queue.since).total_seconds())
    for labels, number in sorted(numbers.items()):
        messages.add_metric(labels, number)
        oldest.add_metric(labels, ages[labels])
    return [messages, oldest, *_decided(), *_wrong(waiting)]


def _decided() -> list[Metric]:
    paused = GaugeMetricFamily("relay_paused_seconds", "For how long sending is paused (* for all)", labels=["partner", "message_type"])
    for pause in open_pauses():
        paused.add_metric([pause.partner or "*", pause.message_type or "*"], (timezone.now() - pause.paused_at).total_seconds())
    return [paused]


def _wrong(waiting: Sequence[Queue]) -> list[Metric]:
    now = timezone.now()
    silent = GaugeMetricFamily(
        "relay_partner_silent_seconds", "For how long a partner that owes us a receipt sent nothing", labels=["partner"]
    )
    seen = look(now, waiting)
    for partner, seconds in seen.silent_seconds.items():
        silent.add_metric([partner], seconds)
    wrong = GaugeMetricFamily(
        "relay_trouble", "Messages that are wrong in a way operators are told of", labels=["kind", "partner", "message_type"]
    )
    numbers: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for one in seen.troubles:
        numbers[one.kind.value, one.partner, _label(one.message_type)] += one.number
    for labels, number in sorted(numbers.items()):
        wrong.add_metric(labels, number)
    alerts = GaugeMetricFamily("relay_alerts_open", "Alerts that operators were told of and that are not over", labels=["kind"])
    opened = dict(Alert.objects.filter(closed_at__isnull=True, opened_at__isnull=False).values_list("kind").annotate(Count("pk")))
    for kind in AlertKind.values:
        alerts.add_metric([kind], opened.get(kind, 0))
    return [silent, wrong, alerts]


def _label(message_type: str) -> str:
    """A type as a label. A partner may name any; what nobody here knows is `other`, what could not be read `none`."""
    if message_type in (RECEIPT_TYPE, *registry.outbound_types(), *registry.inbound_types()):
        return message_type
    return "other" if message_type else "none"
