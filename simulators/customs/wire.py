"""Messages as the exchange's schemas have them: reading the portal's, writing customs'."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lxml import etree

from simulators.customs.behaviours import script_of

NS = "urn:ln-singlewindow:exchange:1"
FILING = "SGW101"
RECEIPT = "SGW102"
TECHNICAL = "RCV001"
#: Ids of answers are derived from what they answer: after a crash the same answer is made again, byte for byte.
_ANSWERS = uuid.UUID("5f9b1c0e-7f4e-4b7e-9a55-0c1d2e3f4a5b")


class UnreadableError(ValueError):
    """Bytes that are no message of the exchange; the codes stand in docs/protocol/README.md."""

    def __init__(self, code: str, reason: str, message_id: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.message_id = message_id


@dataclass(frozen=True, slots=True)
class Message:
    """What was read: the envelope's facts and the business element."""

    message_id: str
    message_type: str
    correlation_id: str
    sha256: str
    business: etree._Element
    #: The children of SignInfo by name; empty for an unsigned message.
    sign_info: Mapping[str, str] = field(default_factory=dict)

    def text(self, path: str) -> str:
        """The text of an element below the business element (`Head/SeqNo`), or an empty string."""
        return (self.business.findtext("/".join(_q(name) for name in path.split("/"))) or "").strip()

    def count(self, path: str) -> int:
        """How many elements there are at a path."""
        return len(self.business.findall("/".join(_q(name) for name in path.split("/"))))


@dataclass(frozen=True, slots=True)
class Accepted:
    """A filing that customs has taken, as it stands in the journal."""

    at: datetime
    message_id: str
    message_type: str
    correlation_id: str
    function: str
    version: int
    seq_no: str
    sure_id: str
    bind_key_info: str
    sha256: str
    lines: int
    #: Of a MOD or DEL: the version that it changes or voids; None where the message does not say.
    base: int | None = None
    #: What chooses the behaviour: the end of the plate or of a change's remark.
    script: str = ""

    @classmethod
    def of(cls, message: Message, at: datetime) -> "Accepted":
        """From a message of type SGW101."""
        return cls(
            at=at.replace(microsecond=at.microsecond // 1000 * 1000),
            message_id=message.message_id,
            message_type=message.message_type,
            correlation_id=message.correlation_id,
            function=message.text("Function"),
            version=int(message.text("Version")),
            seq_no=message.text("Head/SeqNo"),
            sure_id=message.text("Head/SureId"),
            bind_key_info=message.text("Head/BindKeyInfo"),
            sha256=message.sha256,
            lines=message.count("List/Item"),
            base=int(message.text("BaseVersion")) if message.text("BaseVersion") else None,
            script=script_of(
                function=message.text("Function"), bind_key_info=message.text("Head/BindKeyInfo"), remark=message.text("Head/Remark")
            )[-5:],
        )

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> "Accepted":
        """From a line of the journal."""
        values = {_JOURNAL_NAMES.get(name, name): value for name, value in line.items()}
        # Journals of before had no changes, and the plate alone chose.
        values.setdefault("script", line["BindKeyInfo"])
        return cls(**values | {"at": datetime.fromisoformat(line["at"])})

    def as_json(self) -> dict[str, Any]:
        """A line of the journal, fields of the message under their wire names."""
        values = {wire_name: getattr(self, name) for wire_name, name in _JOURNAL_NAMES.items()}
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "message_id": self.message_id,
            "correlation_id": self.correlation_id,
            **values,
            "function": self.function,
            "version": self.version,
            "sha256": self.sha256,
            "lines": self.lines,
            "base": self.base,
            "script": self.script,
        }


_JOURNAL_NAMES = {"type": "message_type", "SeqNo": "seq_no", "SureId": "sure_id", "BindKeyInfo": "bind_key_info"}


class Wire:
    """Reads and writes with the schemas in one directory. `me` and `portal` are the ids of the two sides."""

    def __init__(self, schemas: Path, me: str, portal: str) -> None:
        self._schemas = {name: etree.XMLSchema(file=str(schemas / f"{name}.xsd")) for name in (FILING, TECHNICAL)}
        self._me = me
        self._portal = portal

    def read(self, content: bytes) -> Message:
        """A message from the portal. Raises UnreadableError."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True)
        try:
            root = etree.fromstring(content, parser)
        except etree.XMLSyntaxError as error:
            raise UnreadableError("NOT_XML", str(error)) from error
        if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]
            raise UnreadableError("DOCTYPE", "a document type declaration is not allowed")
        info = root.find(_q("EnvelopInfo"))
        if info is None:
            raise UnreadableError("NOT_A_PACKAGE", "there is no EnvelopInfo")
        found = {etree.QName(child).localname: (child.text or "").strip() for child in info}
        message_id = found.get("message_id", "")
        schema = self._schemas.get(found.get("message_type", ""))
        if schema is None:
            raise UnreadableError("UNKNOWN_TYPE", f"customs does not take {found.get('message_type', '')!r:.20}", message_id)
        if not schema.validate(root):
            raise UnreadableError("SCHEMA", str(schema.error_log.last_error), message_id)  # type: ignore[attr-defined]
        if found["sender_id"] != self._portal:
            raise UnreadableError("WRONG_SENDER", f"{found['sender_id']} is not {self._portal}", message_id)
        if found["receiver_id"] != self._me:
            raise UnreadableError("WRONG_RECEIVER", f"{found['receiver_id']} is not {self._me}", message_id)
        business = root.find(_q("DataInfo"))[0]  # type: ignore[index]
        signed = root.find(_q("SignInfo"))
        sign_info = {} if signed is None else {etree.QName(child).localname: child.text or "" for child in signed}
        digest = hashlib.sha256(content).hexdigest()
        return Message(message_id.lower(), found["message_type"], found.get("correlation_id", ""), digest, business, sign_info)

    def technical_receipt(
        self, *, at: datetime, result: str, message_id: str = "", file_name: str = "", code: str = "", note: str = ""
    ) -> tuple[str, bytes]:
        """File name and bytes of an RCV001; the same arguments give the same bytes."""
        fields = {"RefMessageId": message_id, "RefFileName": "" if message_id else file_name, "Result": result, "Code": code, "Note": note}
        reply_id = answer_id(f"{message_id or file_name}:{result}:{at}")
        return self._package("TechnicalReceipt", fields, self._envelope(TECHNICAL, reply_id, at, message_id))

    def receipt(
        self, filing: Accepted, *, message_id: str, event: str, code: str, note: str, at: datetime, number: str
    ) -> tuple[str, bytes]:
        """File name and bytes of an SGW102; the same arguments give the same bytes."""
        fields = {
            "SeqNo": filing.seq_no,
            "SureId": filing.sure_id,
            "Version": str(filing.version),
            "ReceiptNo": number,
            "Event": event,
            "EventTime": at.isoformat(timespec="milliseconds"),
            "Code": code,
            "Note": note,
        }
        envelope = self._envelope(RECEIPT, message_id, at, filing.message_id, filing.correlation_id)
        return self._package("SmartGateReceipt", fields, envelope)

    def _envelope(self, message_type: str, message_id: str, at: datetime, in_reply_to: str, correlation_id: str = "") -> dict[str, str]:
        return {
            "version": "1.0",
            "message_id": message_id,
            "message_type": message_type,
            "sender_id": self._me,
            "receiver_id": self._portal,
            "send_time": at.isoformat(timespec="milliseconds"),
            "in_reply_to": in_reply_to,
            "correlation_id": correlation_id,
        }

    def _package(self, tag: str, fields: dict[str, str], envelope: dict[str, str]) -> tuple[str, bytes]:
        package = etree.Element(_q("Package"), nsmap={None: NS})  # type: ignore[dict-item]
        _fill(etree.SubElement(package, _q("EnvelopInfo")), envelope)
        _fill(etree.SubElement(etree.SubElement(package, _q("DataInfo")), _q(tag)), fields)
        name = f"{envelope['message_type']}_{envelope['message_id']}.xml"
        return name, etree.tostring(package, xml_declaration=True, encoding="UTF-8")


def answer_id(derived_from: str) -> str:
    """The id of an answer: the same for the same reason, whenever it is asked for."""
    return str(uuid.uuid5(_ANSWERS, derived_from))


def _fill(parent: etree._Element, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        if value:
            etree.SubElement(parent, _q(name)).text = value[:1000]


def _q(name: str) -> str:
    return f"{{{NS}}}{name}"
