"""SGW101 and SGW102: filings as customs reads them, customs' receipts as the portal does (`domain.md` §3, `docs/protocol/`).

Only data and XML; what is done with a message that came in stands in `handlers.py` (docs/adr/0003).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Field
from lxml import etree

from core.text import decimal_text
from relay.envelope import element, q, text_of, zoned_time
from smartgate.models import Filing, FilingLine, Function

FILING = "SGW101"
RECEIPT = "SGW102"
CUSTOMS = "customs"


#: Wire name and field of the header, in the order of the schema; OpTime, SeqNo … are filled from the same names.
HEADER_FIELDS: tuple[tuple[str, str], ...] = (
    ("SeqNo", "data_center_no"),
    ("SureId", "trip_no"),
    ("CustomsMaster", "customs_code"),
    ("OpTime", "entered_at"),
    ("ContractorCodeScc", "credit_code"),
    ("ContractorCode", "organisation_code"),
    ("OpUserId", "operator"),
    ("BindKeyType", "bind_key_type"),
    ("BindKeyInfo", "bind_key_info"),
    ("RdCode", "business_type"),
    ("DeclTrafMode", "transport_mode"),
    ("IEFlag", "ie_flag"),
    ("BayonetRdCode", "vehicle_flow_type"),
    ("VehicleWeight", "vehicle_weight"),
    ("TrailerWeight", "trailer_weight"),
    ("ContaWeight", "container_weight"),
    ("Remark", "remark"),
)
LINE_FIELDS: tuple[tuple[str, str], ...] = (
    ("GNo", "line_no"),
    ("IEDirection", "direction"),
    ("BindObjType", "object_type"),
    ("BindObjId", "object_id"),
    ("TransportId", "vessel_name"),
    ("VoyageNo", "voyage_no"),
    ("RdCode", "business_type"),
    ("BillType", "bill_type"),
    ("GoodsWt", "pickup_weight"),
    ("ContaId1", "container_no_1"),
    ("ContaId2", "container_no_2"),
    ("EsealId1", "seal_no_1"),
    ("EsealId2", "seal_no_2"),
    ("Remark", "remark"),
)


#: Given to a filing once, and never entered.
_OWN = {"data_center_no", "trip_no", "entered_at", "credit_code", "organisation_code"}
#: What a 变更 can change of the header: the entered fields, and who declares.
HEADER_CONTENTS = tuple(pair for pair in HEADER_FIELDS if pair[1] not in _OWN)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The contents of an SGW102."""

    data_center_no: str
    trip_no: str
    version: int
    receipt_no: str
    event: str
    event_time: datetime
    code: str
    note: str


def wire_text(value: object) -> str:
    """A field's value as the wire has it: times ISO 8601 in Shanghai time, decimals without exponent and needless zeros."""
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(ZoneInfo(settings.TIME_ZONE)).isoformat(timespec="seconds")
        case Decimal():
            return decimal_text(value)
        case _:
            return str(value)


def _append(parent: etree._Element, record: object, fields: Sequence[tuple[str, str]]) -> None:
    for wire_name, field in fields:
        text = wire_text(getattr(record, field))
        if text:
            etree.SubElement(parent, q(wire_name)).text = text


def filing_element(filing: Filing, lines: Sequence[FilingLine], function: Function, *, base: int | None = None) -> etree._Element:
    """The business element of an SGW101 for the filing as it is now; fields without a value are left out.

    `base` is the version that customs holds, which a MOD changes and a DEL voids.
    """
    root = element("SmartGateFiling")
    etree.SubElement(root, q("Function")).text = function.value
    etree.SubElement(root, q("Version")).text = str(filing.version)
    if base is not None:
        etree.SubElement(root, q("BaseVersion")).text = str(base)
    _append(etree.SubElement(root, q("Head")), filing, HEADER_FIELDS)
    items = etree.SubElement(root, q("List"))
    for line in lines:
        _append(etree.SubElement(items, q("Item")), line, LINE_FIELDS)
    return root


def parse_contents(business: etree._Element) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What `filing_element` made of a filing, as values of its header's entered fields and of its lines' fields."""
    head, items = business.find(q("Head")), business.find(q("List"))
    assert head is not None  # noqa: S101 - the schema demands both
    assert items is not None  # noqa: S101
    header = field_values(Filing, {name: head.findtext(q(wire_name)) for wire_name, name in HEADER_CONTENTS})
    lines = [{name: item.findtext(q(wire_name)) for wire_name, name in LINE_FIELDS} for item in items]
    return header, [field_values(FilingLine, line) for line in lines]


def field_values(model: type[Filing] | type[FilingLine], texts: Mapping[str, str | None]) -> dict[str, Any]:
    """The values of a record's fields that `wire_text` made these texts of; None is a field without a value."""
    values: dict[str, Any] = {}
    for name, text in texts.items():
        field: Field[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]  # no relation is on the wire
        # What has no value is not on the wire: NULL where the column knows it, an empty text elsewhere.
        values[name] = (None if field.null else "") if text is None else field.to_python(text)
    return values


def parse_receipt(business: etree._Element) -> Receipt:
    """The contents of an SGW102 that its schema has already accepted. Raises ValueError for a time that no calendar has."""
    return Receipt(
        data_center_no=text_of(business, "SeqNo"),
        trip_no=text_of(business, "SureId"),
        version=int(text_of(business, "Version")),
        receipt_no=text_of(business, "ReceiptNo"),
        event=text_of(business, "Event"),
        event_time=zoned_time(text_of(business, "EventTime")),
        code=text_of(business, "Code"),
        note=text_of(business, "Note"),
    )
