"""What is offered while somebody enters a filing, and what is left of a bill; always of the reader's own enterprise."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Case, Count, IntegerField, Max, Sum, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from core.identifiers import normalised, normalised_plate
from core.text import decimal_text
from smartgate.base_data.models import KnownBill, UsualVehicle
from smartgate.models import BindKeyType, Filing, FilingLine, FilingStatus, ObjectType, VehicleFlowType

MOST_OFFERED = 20
#: 常用 by use: of the newest filings of so many days, and of no more than so many of them, however busy the enterprise.
USED_DAYS = 90
USED_FILINGS = 2000
#: Filings that take nothing of a bill any more.
GIVEN_BACK = (FilingStatus.REJECTED, FilingStatus.VOIDED)


@dataclass(frozen=True, slots=True)
class Offer:
    """One line of a list of suggestions: what is typed, what stands beside it, and what choosing it fills in where nothing stands."""

    value: str
    note: str
    fills: Mapping[str, str] = field(default_factory=dict)


def vehicles_offered(user: Any, *, kind: str, typed: str = "", at: datetime | None = None) -> list[Offer]:
    """Vehicles of the medium `kind` that contain what was typed: those entered, and those of the enterprise's own filings most used of
    late; first those that begin so. Three queries at most."""
    text = _key_text(kind, typed)
    entered = UsualVehicle.objects.for_user(user).filter(bind_key_type=kind, bind_key_info__contains=text)
    rows = list(entered.order_by(_beginning("bind_key_info", text), "-updated_at", "-id")[:MOST_OFFERED])
    offers = {vehicle.bind_key_info: _of_vehicle(vehicle) for vehicle in rows}
    if len(offers) < MOST_OFFERED:
        for filing, times in _used(user, kind, text, at or timezone.now()):
            offers.setdefault(filing.bind_key_info, _of_filing(filing, times))
    return sorted(offers.values(), key=lambda offer: not offer.value.startswith(text))[:MOST_OFFERED]


def bills_offered(user: Any, *, typed: str = "") -> list[Offer]:
    """Bills that contain what was typed, with what is left of each; first those that begin so. Two queries."""
    text = normalised(typed)
    found = KnownBill.objects.for_user(user).filter(bill_no__contains=text)
    bills = list(found.order_by(_beginning("bill_no", text), "-updated_at", "-id")[:MOST_OFFERED])
    taken = weights_taken(user, [bill.bill_no for bill in bills])
    return [_of_bill(bill, taken.get(bill.bill_no, Decimal(0))) for bill in bills]


def weights_taken(user: Any, bill_nos: Collection[str], *, but: int | None = None) -> dict[str, Decimal]:
    """How much, in kg, the enterprise's filings took of each bill, drafts too; those rejected, voided or deleted took nothing. The filing
    `but` is left out. A bill that nobody took anything of is not among them."""
    if not bill_nos:
        return {}
    rows = taking(user, bill_nos, but=but).values("object_id").annotate(taken=Sum("pickup_weight")).order_by()
    return {row["object_id"]: row["taken"] or Decimal(0) for row in rows}


def taking(user: Any, bill_nos: Collection[str], *, but: int | None = None) -> Any:
    """The lines of the enterprise's filings that take of these bills. One filing is one row however often it was changed: what a 变更
    asks for counts when customs has accepted it."""
    lines = FilingLine.objects.for_user(user).filter(object_type=ObjectType.BILL, object_id__in=bill_nos, filing__deleted_at__isnull=True)
    lines = lines.exclude(filing__status__in=GIVEN_BACK)
    return lines if but is None else lines.exclude(filing_id=but)


def _key_text(kind: str, typed: str) -> str:
    if kind == BindKeyType.BARCODE:
        return typed.strip()
    return normalised_plate(typed) if kind == BindKeyType.PLATE else normalised(typed)


def _beginning(name: str, text: str) -> Case:
    return Case(When(**{f"{name}__startswith": text}, then=Value(0)), default=Value(1), output_field=IntegerField())


def _used(user: Any, kind: str, text: str, at: datetime) -> list[tuple[Filing, int]]:
    """The newest filing of each vehicle most used, and how often it was used."""
    newest = Filing.objects.for_user(user).filter(entered_at__gte=at - timedelta(days=USED_DAYS)).order_by("-entered_at", "-id")
    of_kind = Filing.objects.for_user(user).filter(pk__in=newest.values("pk")[:USED_FILINGS], bind_key_type=kind)
    groups = of_kind.filter(bind_key_info__contains=text).values("bind_key_info").annotate(times=Count("pk"), last=Max("pk"))
    counted = {group["last"]: group["times"] for group in groups.order_by("-times", "-last")[:MOST_OFFERED]}
    filings = {filing.pk: filing for filing in Filing.objects.for_user(user).filter(pk__in=counted)}
    return [(filings[pk], times) for pk, times in counted.items() if pk in filings]


def _of_vehicle(vehicle: UsualVehicle) -> Offer:
    fills = {
        **_weights(vehicle, "vehicle_weight", "trailer_weight", "container_weight"),
        **({"vehicle_flow_type": vehicle.vehicle_flow_type} if vehicle.vehicle_flow_type else {}),
        **({"plate_verified": "True"} if vehicle.plate_verified else {}),
    }
    return Offer(vehicle.bind_key_info, _noted(fills, vehicle.remark), fills)


def _of_filing(filing: Filing, times: int) -> Offer:
    """Not the weight of the container: the next trip has another one."""
    flow = {"vehicle_flow_type": filing.vehicle_flow_type} if filing.vehicle_flow_type else {}
    fills = {**_weights(filing, "vehicle_weight", "trailer_weight"), **flow}
    return Offer(filing.bind_key_info, _noted(fills, _("近 %(days)d 天 %(times)d 票") % {"days": USED_DAYS, "times": times}), fills)


def _weights(record: Any, *names: str) -> dict[str, str]:
    return {name: decimal_text(value) for name in names if (value := getattr(record, name)) is not None}


def _noted(fills: Mapping[str, str], more: str) -> str:
    weights = [fills[name] for name in ("vehicle_weight", "trailer_weight") if name in fills]
    flow = fills.get("vehicle_flow_type", "")
    parts = [
        _("%(weights)s 千克") % {"weights": " + ".join(weights)} if weights else "",
        str(VehicleFlowType(flow).label) if flow in VehicleFlowType.values else "",
        more,
    ]
    return " · ".join(part for part in parts if part)


def _of_bill(bill: KnownBill, taken: Decimal) -> Offer:
    left = _("剩余 %(left)s / %(total)s 千克") % {
        "left": decimal_text(bill.total_weight - taken),
        "total": decimal_text(bill.total_weight),
    }
    note = " · ".join(part for part in (left, f"{bill.vessel_name} {bill.voyage_no}".strip()) if part)
    fills = {name: value for name in ("vessel_name", "voyage_no") if (value := getattr(bill, name))}
    return Offer(bill.bill_no, note, fills)
