"""SGW301 to SGW303: drafts as other software sends them, the answer to a file, and what became of a filing since."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from django.conf import settings
from lxml import etree

from core.codes import CodeOption
from relay.channels.base import printable
from relay.envelope import Envelope, build, element, q, text_of
from smartgate import messages
from smartgate.models import Filing, FilingReceipt
from smartgate.services import HEADER_NAMES, LINE_NAMES

DRAFTS: Final = "SGW301"
ANSWER: Final = "SGW302"
STATE: Final = "SGW303"
#: Ids of answers are made from what they answer: written twice, they are the same file.
_SPACE: Final = UUID("4d3c1c0a-6a53-5b0e-9b43-6d9a5d6f2b11")
#: Customs knows no such field (docs/adr/0105), so the messages to it have no name for it.
_VOUCHED: Final = ("PlateVerified", "plate_verified")
_HEAD = [*(pair for pair in messages.HEADER_FIELDS if pair[1] in HEADER_NAMES), _VOUCHED]
_ITEM = [pair for pair in messages.LINE_FIELDS if pair[1] in LINE_NAMES]
#: Wire name of a field in an error, by part.
WIRE_NAMES = {False: {name: wire for wire, name in _HEAD}, True: {name: wire for wire, name in _ITEM}}
Texts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Draft:
    """One filing of an SGW301, its values as texts."""

    reference: str
    header: Texts
    lines: list[Texts]


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field: `line` 0 is the header, `wire_name` "" the whole of header or line."""

    line: int
    wire_name: str
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one filing of a file: its numbers, or what is wrong with it."""

    reference: str
    filing: Filing | None = None
    errors: Sequence[FieldError] = field(default_factory=tuple)


def parse_drafts(business: etree._Element) -> list[Draft]:
    """The contents of an SGW301 that its schema has already accepted."""
    return [
        Draft(
            text_of(draft, "Reference"),
            _texts(draft.find(q("Head")), _HEAD),
            [_texts(item, _ITEM) for item in draft.iterfind(f"{q('List')}/{q('Item')}")],
        )
        for draft in business.iterfind(q("Draft"))
    ]


def items_in(business: etree._Element) -> int:
    """How many body lines an SGW301 has in all its drafts."""
    return sum(1 for _item in business.iter(q("Item")))


def _texts(part: etree._Element | None, fields: Sequence[tuple[str, str]]) -> Texts:
    return {name: "" if part is None else text_of(part, wire) for wire, name in fields}


def answer(
    *, credit_code: str, in_reply_to: UUID | None, at: datetime, code: str = "", reason: str = "", drafts: Sequence[Answered] = (), key: str
) -> bytes:
    """An SGW302. `key` names what is answered; the same one gives the same message_id."""
    root = element("SmartGateDraftsAnswer")
    _add(root, "Result", "REFUSED" if code else "ACCEPTED")
    _add(root, "Code", code)
    _add(root, "Note", printable(reason)[:1000])
    for one in drafts:
        draft = etree.SubElement(root, q("Draft"))
        _add(draft, "Reference", one.reference)
        if one.filing is not None:
            _add(draft, "SeqNo", one.filing.data_center_no)
            _add(draft, "SureId", one.filing.trip_no)
        for error in one.errors:
            wrong = etree.SubElement(draft, q("Error"))
            _add(wrong, "Line", str(error.line))
            _add(wrong, "Field", error.wire_name)
            _add(wrong, "Text", error.text[:1000])
    return build(_envelope(credit_code, ANSWER, key, at, in_reply_to), root)


def state(
    *, credit_code: str, reference: str, change: int, filing: Filing, receipts: Sequence[FilingReceipt], status: CodeOption
) -> tuple[UUID, bytes]:
    """An SGW303 with its id: the filing's state as it is now, after so many changes, and all its receipts."""
    root = element("SmartGateState")
    _add(root, "Reference", reference)
    _add(root, "SeqNo", filing.data_center_no)
    _add(root, "SureId", filing.trip_no)
    _add(root, "Change", str(change))
    _add(root, "Version", str(filing.version))
    _add(root, "Status", status.code)
    _add(root, "StatusName", status.name)
    _add(root, "StatusTime", messages.wire_text(filing.status_at))
    _add(root, "Note", filing.status_note)
    for receipt in receipts:
        one = etree.SubElement(root, q("Receipt"))
        _add(one, "ReceiptNo", receipt.receipt_no)
        _add(one, "Event", receipt.event)
        _add(one, "EventTime", messages.wire_text(receipt.event_time))
        _add(one, "Code", receipt.code)
        _add(one, "Note", receipt.note)
    envelope = _envelope(credit_code, STATE, f"{filing.data_center_no}/{change}", filing.status_at, None)
    return envelope.message_id, build(envelope, root)


def _envelope(credit_code: str, message_type: str, key: str, at: datetime, in_reply_to: UUID | None) -> Envelope:
    return Envelope(uuid5(_SPACE, f"{message_type}:{key}"), message_type, settings.RELAY_SENDER_ID, credit_code, at, in_reply_to)


def _add(parent: etree._Element, name: str, text: str) -> None:
    """Left out when there is nothing to say."""
    if text:
        etree.SubElement(parent, q(name)).text = text


def file_names(directory: Sequence[str]) -> Iterator[str]:
    """Those of these names that are messages to us: other software's own files beside them are none of ours."""
    return (name for name in directory if name.lower().endswith(".xml"))
