"""申报前检查 (SGW-11): what customs might say no to, told before it is asked. Nothing here refuses anything (docs/adr/0105).

`of_values` looks at what was entered alone; `cautions` also at the enterprise's other filings and base data, and at whether a vehicle, a
container or a 转关单 stands in an open filing of whomever. Of another enterprise's filing nobody hears more than that there is one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from django.db import models
from django.db.models import TextChoices
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.forms.cautions import Caution
from core.identifiers import is_trailer_plate
from core.text import decimal_text
from smartgate import rules
from smartgate.base_data.models import KnownBill
from smartgate.elsewhere import Elsewhere, Entry, Values, bills_of, containers_of, objects_of
from smartgate.models import BindKeyType, Filing, FilingLine, ObjectType


class CautionCode(TextChoices):
    """Stable names of the cautions, as they stand in the trail of the declaration that passed them."""

    UNUSUAL_PLATE = "unusual_plate", gettext_lazy("特殊车牌，已标记核实")
    OPEN_VEHICLE = "open_vehicle", gettext_lazy("车辆另有未办结的申报")
    LIKE_TONNES = "like_tonnes", gettext_lazy("重量像是按吨填写的")
    ZERO_WEIGHT = "zero_weight", gettext_lazy("重量为 0")
    ODD_WEIGHT = "odd_weight", gettext_lazy("重量不在常见范围内")
    TOTAL_WEIGHT = "total_weight", gettext_lazy("车货总重超限")
    CONTAINER_TWICE = "container_twice", gettext_lazy("集装箱号在本票重复")
    CONTAINER_OPEN = "container_open", gettext_lazy("集装箱另有未办结的申报")
    TRANSIT_OPEN = "transit_open", gettext_lazy("转关单另有未办结的申报")
    BILL_WEIGHT = "bill_weight", gettext_lazy("提货重量超过提单剩余")
    BILL_VOYAGE = "bill_voyage", gettext_lazy("提单的船名航次与此前不同")


@dataclass(frozen=True, slots=True)
class Limits:
    """Ordinary weights in kg, both ends among them, and where they come from."""

    least: int
    most: int
    source: str | Promise


#: GB 1589-2016 (limits of dimensions, axle loads and masses of motor vehicles), table 3: 31 t are the most that a single lorry may weigh
#: laden, 40 t a semi-trailer. Lorries lighter than 0.8 t and trailers lighter than 1 t do not carry port cargo; a trailer that weighs
#: more than half of what it may weigh laden carries little but itself.
VEHICLE: Final = Limits(800, 31_000, gettext_lazy("GB 1589-2016：单车最大允许总质量 31 吨"))
TRAILER: Final = Limits(1_000, 20_000, gettext_lazy("GB 1589-2016：半挂车最大允许总质量 40 吨，自重一般不超过其一半"))
#: Tare of one container: about 2 t (20-foot) to 5 t (45-foot, 40-foot reefer); light boxes and tank containers lie a little outside.
CONTAINER: Final = Limits(1_800, 6_000, gettext_lazy("空箱自重：20 英尺箱约 2 吨，45 英尺箱和冷藏箱约 5 吨"))
#: A lorry takes two 20-foot containers, or one longer.
CONTAINERS_AT_MOST: Final = 2
#: GB 1589-2016, table 3: the heaviest combination, six axles.
COMBINATION_MOST: Final = 49_000
#: In kg; what is less was meant in tonnes.
TONNES_BELOW: Final = 100

_WEIGHTS = ("vehicle_weight", "trailer_weight", "container_weight")


def cautions(*, user: Any, header: Values, lines: Sequence[Values], filing_id: int | None = None) -> list[Caution]:
    """Everything to tell `user` before he declares a filing with this header and body, by the names of the stored fields.

    `filing_id` is the filing itself, which is not counted against itself. At most four queries, however many lines there are.
    """
    return _of_each(user, [Entry(header, lines, filing_id)])[0]


def of_filing(user: Any, filing: Filing, lines: Sequence[FilingLine]) -> list[Caution]:
    """The same of a stored filing."""
    return _of_each(user, [_entry(filing, lines)])[0]


def of_filings(user: Any, filings: Sequence[Filing]) -> list[list[Caution]]:
    """The same of many that are to be declared one after the other: also that a vehicle stands among them twice.

    No more queries than for one, where their lines have been prefetched.
    """
    found = _of_each(user, [_entry(filing, list(filing.lines.all())) for filing in filings])
    seen: set[tuple[str, str]] = set()
    for filing, told in zip(filings, found, strict=True):
        vehicle = (filing.bind_key_type, filing.bind_key_info)
        if vehicle in seen and not any(caution.code == CautionCode.OPEN_VEHICLE for caution in told):
            text = _("介质“%(key)s”在前面已有一票，前一票申报后，办结前本票不能申报。") % {"key": filing.bind_key_info}
            told.append(Caution(CautionCode.OPEN_VEHICLE, text, "bind_key_info"))
        seen.add(vehicle)
    return found


def _entry(filing: Filing, lines: Sequence[FilingLine]) -> Entry:
    return Entry(vars(filing), [vars(line) for line in lines], filing.pk)


def _of_each(user: Any, entries: Sequence[Entry]) -> list[list[Caution]]:
    elsewhere = Elsewhere(user, entries)
    return [
        [
            *of_values(entry.header, entry.lines),
            *_open_vehicle(user, entry, elsewhere),
            *_open_objects(user, entry, elsewhere),
            *_bills(entry, elsewhere),
        ]
        for entry in entries
    ]


def of_values(header: Values, lines: Sequence[Values]) -> list[Caution]:
    """What the entered values say by themselves."""
    return [*_plates(header, lines), *_weights(header, lines), *_repeated(lines)]


# -- The values alone -----------------------------------------------------------------------------


def _plates(header: Values, lines: Sequence[Values]) -> Iterator[Caution]:
    if not header.get("plate_verified"):
        return
    text = _("车牌号“%(plate)s”不是系统认识的格式，已标记为“车牌号已核实”，请确认与行驶证一致。")
    for line, plate in _plate_fields(header, lines):
        if rules.is_unusual_plate(plate):
            field = "object_id" if line else "bind_key_info"
            yield Caution(CautionCode.UNUSUAL_PLATE, text % {"plate": plate}, field, line)


def _plate_fields(header: Values, lines: Sequence[Values]) -> Iterator[tuple[int | None, str]]:
    """Line number (None: the header) and number of every plate."""
    if header["bind_key_type"] == BindKeyType.PLATE and header["bind_key_info"]:
        yield None, header["bind_key_info"]
    for number, line in enumerate(lines, start=1):
        if line["object_type"] == ObjectType.VEHICLE_PLATE and line["object_id"]:
            yield number, line["object_id"]


def _weights(header: Values, lines: Sequence[Values]) -> Iterator[Caution]:
    boxes = {number for line in lines for number in containers_of(line)}
    has_trailer = any(is_trailer_plate(plate) for _line, plate in _plate_fields(header, lines))
    times = min(len(boxes), CONTAINERS_AT_MOST) or 1
    tare = Limits(CONTAINER.least, CONTAINER.most * times, CONTAINER.source)
    yield from _weight("vehicle_weight", header, VEHICLE, is_there=True)
    yield from _weight("trailer_weight", header, TRAILER, is_there=has_trailer)
    yield from _weight("container_weight", header, tare if boxes else None, is_there=bool(boxes))
    for number, line in enumerate(lines, start=1):
        yield from _weight("pickup_weight", line, None, is_there=line["object_type"] == ObjectType.BILL, number=number)
    total = sum((header[name] for name in _WEIGHTS), Decimal(0)) + sum((line["pickup_weight"] or Decimal(0) for line in lines), Decimal(0))
    if total > COMBINATION_MOST:
        text = _("车辆、挂车、集装箱与本次提货合计 %(total)s 千克，超过汽车列车最大允许总质量 %(most)s 千克（GB 1589-2016）。")
        yield Caution(CautionCode.TOTAL_WEIGHT, text % {"total": decimal_text(total), "most": COMBINATION_MOST}, "vehicle_weight")


def _weight(name: str, values: Values, limits: Limits | None, *, is_there: bool, number: int | None = None) -> Iterator[Caution]:
    """What is to be said of one weight; `is_there` says that what it weighs is plainly there."""
    weight = values[name]
    if weight is None:
        return
    field: models.Field[Any, Any] = (Filing if number is None else FilingLine)._meta.get_field(name)  # type: ignore[assignment]
    told = {"label": str(field.verbose_name), "weight": decimal_text(weight)}
    if weight == 0:
        if is_there:
            yield Caution(CautionCode.ZERO_WEIGHT, _("%(label)s为 0，请确认是否漏填。") % told, name, number)
    elif weight < TONNES_BELOW:
        text = _("%(label)s为 %(weight)s 千克，像是按吨填写的；单位应为千克。")
        yield Caution(CautionCode.LIKE_TONNES, text % told, name, number)
    elif limits is not None and not limits.least <= weight <= limits.most:
        text = _("%(label)s为 %(weight)s 千克，不在常见范围 %(least)s 至 %(most)s 千克内（%(source)s）。")
        told |= {"least": str(limits.least), "most": str(limits.most), "source": str(limits.source)}
        yield Caution(CautionCode.ODD_WEIGHT, text % told, name, number)


def _repeated(lines: Sequence[Values]) -> Iterator[Caution]:
    """A container that is bound twice, or both containers of one line. One that several bills lie in is none."""
    bound = Counter(line["object_id"] for line in lines if line["object_type"] == ObjectType.CONTAINER and line["object_id"])
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        box = line["object_id"]
        if line["object_type"] == ObjectType.CONTAINER and bound[box] > 1:
            if box in seen:
                text = _("集装箱 %(box)s 在本票表体中重复。") % {"box": box}
                yield Caution(CautionCode.CONTAINER_TWICE, text, "object_id", number)
            seen.add(box)
        if line["container_no_1"] and line["container_no_1"] == line["container_no_2"]:
            text = _("集装箱号1 与集装箱号2 都是 %(box)s。") % {"box": line["container_no_1"]}
            yield Caution(CautionCode.CONTAINER_TWICE, text, "container_no_2", number)


# -- Other filings and base data ------------------------------------------------------------------


def _open_vehicle(user: Any, entry: Entry, elsewhere: Elsewhere) -> Iterator[Caution]:
    """The declaration will be refused (docs/adr/0006, 0100)."""
    other = elsewhere.open_filing(entry)
    if other is not None:
        text = _("介质“%(key)s”已有一票未办结的申报，办结前本票不能申报。") % {"key": entry.header["bind_key_info"]}
        caution = Caution(CautionCode.OPEN_VEHICLE, text, "bind_key_info")
        yield _pointing(caution, user, owner_id=other["enterprise_id"], filing_id=other["pk"], trip_no=other["trip_no"])


def _open_objects(user: Any, entry: Entry, elsewhere: Elsewhere) -> Iterator[Caution]:
    """Containers and 转关单 that stand in another open filing."""
    numbers: dict[tuple[str, str], int] = {}
    for number, line in enumerate(entry.lines, start=1):
        for named in objects_of(line):
            numbers.setdefault(named, number)
    for named, number in numbers.items():
        row = elsewhere.open_line(entry, named)
        if row is None:
            continue
        kind, told = named[0], {"number": named[1]}
        if kind == ObjectType.CONTAINER:
            text = _("集装箱 %(number)s 已在另一票未办结的单据中。") % told
            caution = Caution(CautionCode.CONTAINER_OPEN, text, "object_id", number)
        else:
            text = _("转关单 %(number)s 已在另一票未办结的单据中；同一转关单分车运输的，可以继续。") % told
            caution = Caution(CautionCode.TRANSIT_OPEN, text, "object_id", number)
        yield _pointing(caution, user, owner_id=row["enterprise_id"], filing_id=row["filing_id"], trip_no=row["filing__trip_no"])


def _bills(entry: Entry, elsewhere: Elsewhere) -> Iterator[Caution]:
    bills: dict[str, list[int]] = {}
    for number, line in enumerate(entry.lines, start=1):
        for bill_no in bills_of(line):
            bills.setdefault(bill_no, []).append(number)
    for bill_no, numbers in bills.items():
        known, before = elsewhere.bill(bill_no), elsewhere.voyages(entry, bill_no)
        if known is not None:
            taken = sum((row["taken"] for row in before), Decimal(0))
            wanted = sum((entry.lines[number - 1]["pickup_weight"] or Decimal(0) for number in numbers), Decimal(0))
            yield from _over(known, taken, wanted, numbers[0])
        for number in numbers:
            yield from _voyage(entry.lines[number - 1], number, known, before)


def _over(bill: KnownBill, taken: Decimal, wanted: Decimal, number: int) -> Iterator[Caution]:
    left = bill.total_weight - taken
    if wanted > left:
        text = _(
            "提单 %(bill)s 总重 %(total)s 千克，其他单据已提 %(taken)s 千克，剩余 %(left)s 千克；本票 %(wanted)s 千克，超出 %(over)s 千克。"
        ) % {
            "bill": bill.bill_no,
            "total": decimal_text(bill.total_weight),
            "taken": decimal_text(taken),
            "left": decimal_text(left),
            "wanted": decimal_text(wanted),
            "over": decimal_text(wanted - left),
        }
        yield Caution(CautionCode.BILL_WEIGHT, text, "pickup_weight", number)


def _voyage(line: Values, number: int, known: KnownBill | None, before: Sequence[Values]) -> Iterator[Caution]:
    """Whether the line's vessel and voyage are those that the enterprise keeps with the bill or, where it keeps none, filed before.

    The two legs of a bill go by different vessels, and so are compared apart. What was filed once more with other ones stands.
    """
    if known is not None and (known.vessel_name or known.voyage_no):
        kept = {"vessel_name": known.vessel_name, "voyage_no": known.voyage_no}
        if not _same_voyage(line, kept):
            text = _("提单 %(bill)s 在常用提单中的船名航次为“%(known)s”，本行为“%(entered)s”，请核对。")
            told = {"bill": known.bill_no, "known": _voyage_text(kept), "entered": _voyage_text(line)}
            yield Caution(CautionCode.BILL_VOYAGE, text % told, "voyage_no", number)
        return
    filed = [row for row in before if row["bill_type"] == line["bill_type"]]
    if filed and not any(_same_voyage(line, row) for row in filed):
        text = _("提单 %(bill)s 此前申报的船名航次为“%(known)s”，本行为“%(entered)s”，请核对。")
        told = {"bill": line["object_id"], "known": _voyage_text(filed[-1]), "entered": _voyage_text(line)}
        url = reverse("smartgate:detail", args=[filed[-1]["last"]])
        yield Caution(CautionCode.BILL_VOYAGE, text % told, "voyage_no", number, url, _("查看该票"))


def _same_voyage(one: Values, other: Values) -> bool:
    """Whether two say the same; what one of them does not say is no difference."""
    return all(not one[name] or not other[name] or _plain(one[name]) == _plain(other[name]) for name in ("vessel_name", "voyage_no"))


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()


def _voyage_text(values: Values) -> str:
    return f"{values['vessel_name']} {values['voyage_no']}".strip()


def _pointing(caution: Caution, user: Any, *, owner_id: int, filing_id: int, trip_no: str) -> Caution:
    """A caution about another filing: one's own with the way to it, a stranger's without whose it is."""
    if owner_id == user.enterprise_id:
        label = _("查看车次 %(trip_no)s") % {"trip_no": trip_no}
        return replace(caution, url=reverse("smartgate:detail", args=[filing_id]), url_label=label)
    return replace(caution, text=caution.text + _("该票由其他企业申报，请与相关方核实。"))
