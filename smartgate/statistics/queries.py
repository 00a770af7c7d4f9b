"""Counts of an enterprise's filings over some days, all of them in one pass over the rows."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import IntEnum
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import TruncDate
from django.utils.timezone import get_default_timezone

from smartgate.models import Filing

#: So many vehicles are named, those with the most filings; the others are counted together.
MOST_VEHICLES = 20


@dataclass(frozen=True, slots=True)
class Group:
    """Some filings that have a value in common; of vehicles `key` is 绑定介质关键信息 and `kind` its 绑定介质类型."""

    key: str
    filings: int
    kind: str = ""


@dataclass
class Statistics:
    """The filings entered from `first` to `last`, both days included. Every list but `days` has the largest group first."""

    first: date
    last: date
    total: int = 0
    #: Every day of the period, those without a filing, too.
    days: list[tuple[date, int]] = field(default_factory=list)
    customs: list[Group] = field(default_factory=list)
    business: list[Group] = field(default_factory=list)
    statuses: list[Group] = field(default_factory=list)
    #: Those named; `vehicle_count` is how many there are.
    vehicles: list[Group] = field(default_factory=list)
    vehicle_count: int = 0


class _By(IntEnum):
    """What a row of the answer is grouped by: PostgreSQL's GROUPING() has a 1 for each column that it is *not* grouped by."""

    DAY = 0b01111
    CUSTOMS = 0b10111
    BUSINESS = 0b11011
    STATUS = 0b11101
    VEHICLE = 0b11110
    ALL = 0b11111


#: What the planner may take for the query. With PostgreSQL's own 4 MB it sorts the rows on disk, once for the days and once for the
#: vehicles; with this it counts all five at once in memory, some 10 MB for a year of 600,000 filings (docs/adr/0102).
_MEMORY = "256MB"
# One pass instead of six queries. The rows come from a scoped queryset, whose SQL stands in the place of {rows}.
_GROUPED = """
SELECT by, day, customs_code, business_type, status, bind_key_type, bind_key_info, filings, groups
  FROM (
        SELECT GROUPING(day, customs_code, business_type, status, bind_key_info) AS by,
               day, customs_code, business_type, status, bind_key_type, bind_key_info,
               count(*) AS filings,
               count(*) OVER of_its_kind AS groups,
               row_number() OVER (of_its_kind ORDER BY count(*) DESC, bind_key_info, bind_key_type) AS place
          FROM ({rows}) AS filing
         GROUP BY GROUPING SETS ((), (day), (customs_code), (business_type), (status), (bind_key_type, bind_key_info))
        WINDOW of_its_kind AS (PARTITION BY GROUPING(day, customs_code, business_type, status, bind_key_info))
       ) AS grouped
 WHERE place <= %s OR by <> %s
 ORDER BY filings DESC, customs_code, business_type, status, bind_key_info
"""


def statistics_for(user: Any, *, first: date, last: date, vehicles: int = MOST_VEHICLES) -> Statistics:
    """What the user's enterprise entered from `first` to `last` (days of the portal's time zone, both included); deleted drafts do
    not count. `vehicles` is how many of them are named.
    """
    zone = get_default_timezone()
    rows = (
        Filing.objects.for_user(user)
        .filter(
            entered_at__gte=datetime.combine(first, time.min, tzinfo=zone),
            entered_at__lt=datetime.combine(last + timedelta(days=1), time.min, tzinfo=zone),
        )
        .annotate(day=TruncDate("entered_at", tzinfo=zone))
        .order_by()
        .values("day", "customs_code", "business_type", "status", "bind_key_type", "bind_key_info")
    )
    result = Statistics(first, last)
    sql, values = rows.query.sql_with_params()
    by_day: dict[date, int] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('work_mem', %s, true)", [_MEMORY])
        # What stands in {rows} is Django's own SQL with its parameters apart.
        cursor.execute(_GROUPED.format(rows=sql), [*values, vehicles, _By.VEHICLE])
        for by, day, customs, business, status, key_type, key_info, filings, groups in cursor.fetchall():
            match by:
                case _By.ALL:
                    result.total = filings
                case _By.DAY:
                    by_day[day] = filings
                case _By.CUSTOMS:
                    result.customs.append(Group(customs, filings))
                case _By.BUSINESS:
                    result.business.append(Group(business, filings))
                case _By.STATUS:
                    result.statuses.append(Group(status, filings))
                case _By.VEHICLE:
                    result.vehicles.append(Group(key_info, filings, key_type))
                    result.vehicle_count = groups
    length = (last - first).days + 1
    result.days = [(day, by_day.get(day, 0)) for day in (first + timedelta(days=number) for number in range(length))]
    return result
