"""Reading deliveries."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from notifications.models import Delivery, DeliveryStatus, Way


@dataclass(frozen=True, slots=True)
class WayStatus:
    """How the deliveries of one way fare; ages in seconds, None where there is nothing."""

    way: str
    waiting: int
    oldest_waiting_seconds: float | None
    #: Of those that wait, how many were tried already, and how often the unluckiest.
    waiting_tried: int
    most_attempts: int
    sent_last_day: int
    failed_last_day: int
    last_error: str

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def status(*, at: datetime | None = None) -> list[WayStatus]:
    """One row for each way, also for those without deliveries."""
    now = at or timezone.now()
    waiting, recent = Q(status=DeliveryStatus.WAITING), Q(created_at__gt=now - timedelta(days=1))
    counted = (
        Delivery.objects.filter(waiting | recent)
        .values("way")
        .annotate(
            waiting=Count("pk", filter=waiting),
            oldest=Min("created_at", filter=waiting),
            waiting_tried=Count("pk", filter=waiting & Q(attempts__gt=0)),
            most_attempts=Max("attempts", filter=waiting, default=0),
            sent=Count("pk", filter=recent & Q(status=DeliveryStatus.SENT)),
            failed=Count("pk", filter=recent & Q(status=DeliveryStatus.FAILED)),
        )
    )
    rows: dict[str, dict[str, Any]] = {row["way"]: dict(row) for row in counted}
    return [_row(way, rows.get(way, {}), now) for way in Way.values]


def _row(way: str, row: dict[str, Any], now: datetime) -> WayStatus:
    troubled = Delivery.objects.filter(way=way, created_at__gt=now - timedelta(days=3)).exclude(error="")
    return WayStatus(
        way=way,
        waiting=row.get("waiting", 0),
        oldest_waiting_seconds=(now - row["oldest"]).total_seconds() if row.get("oldest") else None,
        waiting_tried=row.get("waiting_tried", 0),
        most_attempts=row.get("most_attempts", 0),
        sent_last_day=row.get("sent", 0),
        failed_last_day=row.get("failed", 0),
        last_error=troubled.order_by("-created_at").values_list("error", flat=True).first() or "",
    )
