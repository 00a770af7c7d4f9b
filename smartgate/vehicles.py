"""Who has a vehicle: customs expects it with one filing at a time (docs/adr/0006, 0100)."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from smartgate.models import OPEN_STATUSES, Filing, FilingVersion, Outcome


def key_of(filing: Filing) -> dict[str, str]:
    """The vehicle of a filing, as a condition on filings and on versions."""
    return {"bind_key_type": filing.bind_key_type, "bind_key_info": filing.bind_key_info}


def holders(kinds: Collection[str], keys: Collection[str]) -> Iterable[Mapping[str, Any]]:
    """Filings that have vehicles of these kinds and keys: open ones, and those to which a 变更 that waits gives it. One query.

    `pk`, `bind_key_type`, `bind_key_info`, `trip_no`, `enterprise_id`; of one vehicle it is one filing.
    """
    vehicles = {"bind_key_type__in": kinds, "bind_key_info__in": keys}
    is_open = Filing.unscoped.filter(status__in=OPEN_STATUSES, deleted_at__isnull=True, **vehicles)
    waits = FilingVersion.unscoped.filter(outcome=Outcome.WAITING, **vehicles).order_by()
    rows: Iterable[Mapping[str, Any]] = is_open.values("pk", "bind_key_type", "bind_key_info", "trip_no", "enterprise_id").union(
        waits.values("filing_id", "bind_key_type", "bind_key_info", "filing__trip_no", "enterprise_id")
    )
    return rows
