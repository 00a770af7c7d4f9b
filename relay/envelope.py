"""The envelope around every message: building ours, reading theirs (`domain.md` §7, `docs/protocol/exchange.xsd`)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from lxml import etree

from relay import schemas

NS: Final = "urn:ln-singlewindow:exchange:1"
VERSION: Final = "1.0"
#: The type of technical receipts: relay's own, handled by no application, never answered.
RECEIPT_TYPE: Final = "RCV001"
#: The years a time may have, both included (`ZonedTime` in `exchange.xsd`). Wider ones overflow once they change their zone.
YEARS: Final = (1900, 2999)

_FILE_NAME = re.compile(r"([A-Z]{3}[0-9]{3})_([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\.xml")
_NOT_IN_CORRELATION_ID = re.compile(r"[^A-Za-z0-9_.:\-]")


class UnreadableMessageError(ValueError):
    """Bytes that are no message of this exchange; `code` is one of those listed in `docs/protocol/README.md`.

    `message_id` and `message_type` are what could be read before it went wrong, so that the answer can name them.
    """

    def __init__(self, code: str, reason: str, *, message_id: UUID | None = None, message_type: str = "") -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.message_id = message_id
        self.message_type = message_type


@dataclass(frozen=True, slots=True)
class SignInfo:
    """A signature; certificate and signature in base64.

    It covers the UTF-8 bytes of `signed_text`, which says what the business element says (docs/protocol/signed-text.md); without a
    text, the canonical business element (`canonical`).
    """

    algorithm: str
    certificate: str
    signature: str
    signed_text: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around the business element."""

    message_id: UUID
    message_type: str
    sender_id: str
    receiver_id: str
    send_time: datetime
    in_reply_to: UUID | None = None
    correlation_id: str = ""


def q(name: str) -> str:
    """An element name in the exchange's namespace, as lxml writes it."""
    return f"{{{NS}}}{name}"


def element(name: str) -> etree._Element:
    """A new element in the exchange's namespace, the namespace being the default one."""
    return etree.Element(q(name), nsmap={None: NS})  # type: ignore[dict-item]


def text_of(parent: etree._Element, name: str) -> str:
    """The text of a child element with its outer blanks gone; an empty string when the child is not there."""
    return (parent.findtext(q(name)) or "").strip()


def canonical(business: etree._Element) -> bytes:
    """What a signature without a text covers: the business element in exclusive canonical form without comments, UTF-8."""
    return etree.tostring(business, method="c14n", exclusive=True, with_comments=False)


def build(envelope: Envelope, business: etree._Element, signature: SignInfo | None = None) -> bytes:
    """The bytes of a message, checked against the schema of its type.

    Takes `business` into the new document. Raises schemas.NoSchemaError and schemas.SchemaViolationError.
    """
    package = element("Package")
    info = etree.SubElement(package, q("EnvelopInfo"))
    _add(info, "version", VERSION)
    _add(info, "message_id", str(envelope.message_id))
    _add(info, "message_type", envelope.message_type)
    _add(info, "sender_id", envelope.sender_id)
    _add(info, "receiver_id", envelope.receiver_id)
    _add(info, "send_time", envelope.send_time.isoformat(timespec="milliseconds"))
    if envelope.in_reply_to is not None:
        _add(info, "in_reply_to", str(envelope.in_reply_to))
    # A request id can come from a header that anybody may set; it must not keep a message from being valid.
    if correlation_id := _NOT_IN_CORRELATION_ID.sub("", envelope.correlation_id)[:64]:
        _add(info, "correlation_id", correlation_id)
    etree.SubElement(package, q("DataInfo")).append(business)
    if signature is not None:
        sign_info = etree.SubElement(package, q("SignInfo"))
        _add(sign_info, "algorithm", signature.algorithm)
        _add(sign_info, "certificate", signature.certificate)
        _add(sign_info, "signature", signature.signature)
        if signature.signed_text:
            _add(sign_info, "signed_text", signature.signed_text)
    schemas.validate(package, envelope.message_type)
    return etree.tostring(package, xml_declaration=True, encoding="UTF-8")


def read(content: bytes) -> tuple[Envelope, etree._Element]:
    """The envelope and the business element of foreign bytes, valid by the schema of their type.

    Raises UnreadableMessageError: NOT_XML, DOCTYPE, NOT_A_PACKAGE, UNKNOWN_TYPE, SCHEMA.
    No entity is expanded, nothing is fetched, and libxml2's own limits on depth and size stay on.
    """
    try:
        root = _parsed(content)
    except (etree.XMLSyntaxError, ValueError) as error:
        # A document type is mostly refused below; the parser comes first where its entities go beyond its limits.
        raise UnreadableMessageError("DOCTYPE" if b"<!DOCTYPE" in content[:4096] else "NOT_XML", str(error)) from error
    if root.getroottree().docinfo.doctype:  # type: ignore[attr-defined]
        raise UnreadableMessageError("DOCTYPE", "a document type declaration is not allowed")
    info = root.find(q("EnvelopInfo"))
    if root.tag != q("Package") or info is None:
        raise UnreadableMessageError("NOT_A_PACKAGE", f"the root element is {root.tag!s:.100}, or has no EnvelopInfo")
    message_type = text_of(info, "message_type")
    message_id = uuid_or_none(text_of(info, "message_id"))
    try:
        schemas.validate(root, message_type)
        send_time = zoned_time(text_of(info, "send_time"))
    except schemas.NoSchemaError:
        raise UnreadableMessageError("UNKNOWN_TYPE", f"no schema for message type {message_type!r:.40}", message_id=message_id) from None
    except ValueError as error:  # a SchemaViolationError, or a day that XSD has and the calendar has not
        raise UnreadableMessageError("SCHEMA", str(error), message_id=message_id, message_type=message_type) from error
    envelope = Envelope(
        message_id=UUID(text_of(info, "message_id")),
        message_type=message_type,
        sender_id=text_of(info, "sender_id"),
        receiver_id=text_of(info, "receiver_id"),
        send_time=send_time,
        in_reply_to=uuid_or_none(text_of(info, "in_reply_to")),
        correlation_id=text_of(info, "correlation_id"),
    )
    return envelope, business_of(root)


def is_well_formed(content: bytes) -> bool:
    """Whether these bytes are XML to their end; those of a file that breaks off are not."""
    try:
        _parsed(content)
    except (etree.XMLSyntaxError, ValueError):
        return False
    return True


def _parsed(content: bytes) -> etree._Element:
    # Comments and processing instructions go: a value cut in two by one would validate whole and be read half.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    return etree.fromstring(content, parser)


def business_of(package: etree._Element) -> etree._Element:
    """The business element of a package that its schema has found valid."""
    data = package.find(q("DataInfo"))
    assert data is not None  # noqa: S101 - the schema demands it
    return data[0]


def file_name_of(message_type: str, message_id: UUID) -> str:
    """Name of the message's file in the boxes: `<type>_<message_id>.xml` (`domain.md` §7)."""
    return f"{message_type}_{message_id}.xml"


def type_and_id(file_name: str) -> tuple[str, UUID] | None:
    """What `<type>_<message_id>.xml` says, or None for any other name."""
    match = _FILE_NAME.fullmatch(file_name)
    return (match[1], UUID(match[2])) if match else None


def uuid_or_none(text: str) -> UUID | None:
    """The UUID that `text` writes in its usual form, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None


def zoned_time(text: str) -> datetime:
    """A time of the wire (ISO 8601 with its zone), in UTC. The one way to read them, so that what is taken in can be stored and shown.

    Raises ValueError for what is no such time, has no zone or lies outside YEARS.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"time {text:.40} has no zone")
    if not YEARS[0] <= time.year <= YEARS[1]:
        raise ValueError(f"time {text:.40} is not of the years {YEARS[0]} to {YEARS[1]}")
    return time.astimezone(UTC)


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, q(name)).text = text
