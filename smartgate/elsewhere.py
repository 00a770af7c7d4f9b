"""What other filings and base data hold of what some filings name: what `smartgate.cautions` has to look up, for all of them at once.

Four queries, however many filings there are, and however many lines they have.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from django.db.models import Case, F, Max, Q, Sum, Value, When

from smartgate import vehicles
from smartgate.base_data.models import KnownBill
from smartgate.base_data.queries import taking
from smartgate.models import OPEN_STATUSES, FilingLine, ObjectType

#: Lines of open filings that are looked at, for each filing that is asked about; more than one filing can have.
MOST_LINES: Final = 2_000

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A filing that is asked about, by the names of the stored fields. `filing_id` is its row, which is not counted against itself."""

    header: Values
    lines: Sequence[Values]
    filing_id: int | None = None


@dataclass(slots=True)
class _Voyage:
    """What filings take of a bill by one vessel and voyage; those that are asked about stand apart, so that each can be left out."""

    names: Values
    taken: Decimal = Decimal(0)
    taken_by: dict[int, Decimal] = field(default_factory=dict)
    filings: list[int] = field(default_factory=list)

    def without(self, filing_id: int | None) -> Values | None:
        """What is left of it without one filing, with the newest of the others; None where there is no other."""
        last = next((number for number in self.filings if number != filing_id), None)
        if last is None:
            return None
        return {**self.names, "taken": self.taken - self.taken_by.get(filing_id or 0, Decimal(0)), "last": last}


class Elsewhere:
    """What stands elsewhere of the vehicles, containers, 转关单 and bills of `entries`, as `user` may hear of it."""

    def __init__(self, user: Any, entries: Sequence[Entry]) -> None:
        self._vehicles = {(row["bind_key_type"], row["bind_key_info"]): row for row in _open_vehicles(entries)}
        self._lines: dict[tuple[str, str], list[Values]] = {}
        # One's own first: what can be looked up is worth more than that there is something.
        for row in sorted(_open_lines(entries), key=lambda row: row["enterprise_id"] != user.enterprise_id):
            for named in objects_of(row):
                self._lines.setdefault(named, []).append(row)
        bills = sorted({number for entry in entries for line in entry.lines for number in bills_of(line)})
        known = KnownBill.objects.for_user(user).filter(bill_no__in=bills) if bills else ()
        self._bills = {bill.bill_no: bill for bill in known}
        self._voyages = _voyages(user, bills, [entry.filing_id for entry in entries if entry.filing_id]) if bills else {}

    def open_filing(self, entry: Entry) -> Values | None:
        """Another filing that has the entry's vehicle, or gets it by a 变更 that waits: `pk`, `trip_no`, `enterprise_id`."""
        row = self._vehicles.get((entry.header["bind_key_type"], entry.header["bind_key_info"]))
        return row if row is not None and row["pk"] != entry.filing_id else None

    def open_line(self, entry: Entry, named: tuple[str, str]) -> Values | None:
        """A line of another open filing that names a container or 转关单: `filing_id`, `filing__trip_no`, `enterprise_id`."""
        return next((row for row in self._lines.get(named, ()) if row["filing_id"] != entry.filing_id), None)

    def bill(self, bill_no: str) -> KnownBill | None:
        """The bill as the enterprise keeps it."""
        return self._bills.get(bill_no)

    def voyages(self, entry: Entry, bill_no: str) -> list[Values]:
        """What the enterprise's other filings take of a bill: `bill_type`, `vessel_name`, `voyage_no`, `taken`, and `last`, the newest
        filing that says so; the newest at the end."""
        found = [voyage.without(entry.filing_id) for voyage in self._voyages.get(bill_no, ())]
        return sorted((row for row in found if row is not None), key=lambda row: row["last"])


def containers_of(line: Values) -> list[str]:
    """The containers that a line names, in whichever of its fields."""
    named = [line["object_id"]] if line["object_type"] == ObjectType.CONTAINER else []
    return [number for number in [*named, line["container_no_1"], line["container_no_2"]] if number]


def objects_of(line: Values) -> list[tuple[str, str]]:
    """What a line names that should stand in one open filing: containers and 转关单, each with its type."""
    found: list[tuple[str, str]] = [(ObjectType.CONTAINER, number) for number in containers_of(line)]
    if line["object_type"] == ObjectType.TRANSIT_DOCUMENT and line["object_id"]:
        found.append((ObjectType.TRANSIT_DOCUMENT, line["object_id"]))
    return found


def bills_of(line: Values) -> list[str]:
    """The bill that a line takes of, if any."""
    return [line["object_id"]] if line["object_type"] == ObjectType.BILL and line["object_id"] else []


def _open_vehicles(entries: Iterable[Entry]) -> Iterable[Values]:
    """At most one of each vehicle (docs/adr/0006, 0100)."""
    named = {(entry.header["bind_key_type"], entry.header["bind_key_info"]) for entry in entries}
    return vehicles.holders({kind for kind, _key in named}, {key for _kind, key in named})


def _open_lines(entries: Sequence[Entry]) -> Iterable[Values]:
    named = {one for entry in entries for line in entry.lines for one in objects_of(line)}
    if not named:
        return ()
    boxes = [number for kind, number in named if kind == ObjectType.CONTAINER]
    transits = [number for kind, number in named if kind == ObjectType.TRANSIT_DOCUMENT]
    same = (
        Q(object_type=ObjectType.CONTAINER, object_id__in=boxes)
        | Q(container_no_1__in=boxes)
        | Q(container_no_2__in=boxes)
        | Q(object_type=ObjectType.TRANSIT_DOCUMENT, object_id__in=transits)
    )
    others = FilingLine.unscoped.filter(same, filing__status__in=OPEN_STATUSES, filing__deleted_at__isnull=True)
    names = ("object_type", "object_id", "container_no_1", "container_no_2", "filing_id", "filing__trip_no", "enterprise_id")
    rows: Iterable[Values] = others.values(*names)[: MOST_LINES * len(entries)]
    return rows


def _voyages(user: Any, bills: Sequence[str], filing_ids: Sequence[int]) -> dict[str, list[_Voyage]]:
    """By bill. The filings that are asked about are rows of their own, all others of a voyage are one."""
    one_of_them = Case(When(filing_id__in=[*filing_ids, 0], then=F("filing_id")), default=Value(0))
    rows = taking(user, bills).annotate(asked=one_of_them).values("object_id", "bill_type", "vessel_name", "voyage_no", "asked")
    found: dict[tuple[str, ...], _Voyage] = {}
    for row in rows.annotate(taken=Sum("pickup_weight"), last=Max("filing_id")).order_by("-last"):
        names = {name: row[name] for name in ("bill_type", "vessel_name", "voyage_no")}
        voyage = found.setdefault((row["object_id"], *names.values()), _Voyage(names))
        taken = row["taken"] or Decimal(0)
        voyage.taken += taken
        voyage.filings.append(row["last"])
        if row["asked"]:
            voyage.taken_by[row["asked"]] = taken
    by_bill: dict[str, list[_Voyage]] = {}
    for (bill_no, *_names), voyage in found.items():
        by_bill.setdefault(bill_no, []).append(voyage)
    return by_bill
