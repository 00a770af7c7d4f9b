"""/metrics: what Prometheus asks every few seconds (OPS-03, docs/operations/watching.md).

Counters and who is alive come from Redis, states from PostgreSQL. What is away is said, and the rest told all the same.
"""

import secrets
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from core import alive
from core import metrics as counting
from core.deadlines import PROBE_SECONDS, database_within
from relay import gauges

log = structlog.get_logger(__name__)

#: With one of these a request has come through a proxy, and its last station says nothing about where from.
_FORWARDED: Final = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
    "HTTP_FORWARDED",
    "HTTP_VIA",
)


def _redis() -> list[Metric]:
    workers = GaugeMetricFamily("portal_workers_alive", "Workers that take from a queue and said so within 20 s", labels=["queue"])
    for queue in settings.CELERY_TASK_QUEUES:
        workers.add_metric([queue.name], alive.number(f"worker.{queue.name}"))
    beats = GaugeMetricFamily("portal_beats_alive", "Clocks that handed out a job within 20 s", value=alive.number("beat"))
    return [workers, beats, *counting.families()]


def _database() -> list[Metric]:
    with database_within(PROBE_SECONDS), transaction.atomic():
        with connection.cursor() as cursor:
            # For the server, which would go on with what nobody waits for any more.
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(PROBE_SECONDS * 1000))])
        return gauges.families()


PARTS: dict[str, Callable[[], list[Metric]]] = {"database": _database, "redis": _redis}


class _Collected(CollectorRegistry):
    """What was collected already, for `generate_latest`."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Everything in Prometheus' text form, 200 also while a part is away (`portal_up`); 403 for who may not read it."""
    if not _may_read(request):
        return HttpResponse("METRICS_TOKEN is needed, see docs/operations/watching.md\n", status=403, content_type="text/plain")
    up = GaugeMetricFamily("portal_up", "Whether PostgreSQL and Redis answered this question", labels=["part"])
    found: list[Metric] = [up]
    for name, ask in PARTS.items():
        try:
            found += ask()
            up.add_metric([name], 1)
        except Exception as error:  # whatever it is: that it is away is what is told
            log.warning("metrics_part_away", part=name, error=type(error).__name__)
            up.add_metric([name], 0)
    return HttpResponse(generate_latest(_Collected(found)), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    """Who brings the token; where there is none, who asks from this machine itself and through no proxy."""
    if settings.METRICS_TOKEN:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    if settings.BEHIND_TLS_PROXY or any(name in request.META for name in _FORWARDED):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
