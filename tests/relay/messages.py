"""Messages for the tests: filings to send, and whatever a partner may put into the box."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from lxml import etree

NS = "urn:ln-singlewindow:exchange:1"
SENT_AT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def fill(parent: etree._Element, **fields: str) -> etree._Element:
    """Append children in the order given; returns the parent."""
    for name, value in fields.items():
        etree.SubElement(parent, f"{{{NS}}}{name}").text = value
    return parent


def sub(parent: etree._Element, name: str) -> etree._Element:
    """A new child."""
    return etree.SubElement(parent, f"{{{NS}}}{name}")


def filing(
    number: int = 1,
    *,
    plate: str = "辽B12345",
    function: str = "ADD",
    version: int = 1,
    lines: int = 1,
    base: int | None = None,
    remark: str = "",
) -> etree._Element:
    """The business element of a valid SGW101."""
    root = etree.Element(f"{{{NS}}}SmartGateFiling", nsmap={None: NS})
    fill(root, Function=function, Version=str(version), **({} if base is None else {"BaseVersion": str(base)}))
    fill(
        sub(root, "Head"),
        SeqNo=f"2026{number:014}",
        SureId=f"202603{'U' + str(number).rjust(12, '0')}{number:013}",
        CustomsMaster="0908",
        OpTime="2026-03-01T08:00:00+08:00",
        ContractorCodeScc="91350100M000100Y43",
        ContractorCode="M000100Y4",
        OpUserId="demo_operator",
        BindKeyType="VN",
        BindKeyInfo=plate,
        RdCode="1000000000",
        DeclTrafMode="2",
        IEFlag="I",
        VehicleWeight="15000.5",
        TrailerWeight="0",
        ContaWeight="0",
        **({"Remark": remark} if remark else {}),
    )
    items = sub(root, "List")
    for line in range(1, lines + 1):
        fill(
            sub(items, "Item"),
            GNo=str(line),
            BindObjType="B",
            BindObjId=f"BL{number:06}",
            TransportId="MV HARBOUR",
            VoyageNo="2026E",
            RdCode="1000000000",
            BillType="1",
            GoodsWt="1000",
        )
    return root


def package(
    business: etree._Element,
    *,
    message_type: str,
    message_id: uuid.UUID | None = None,
    in_reply_to: uuid.UUID | None = None,
    sender: str = "customs",
    receiver: str = "LNSW",
    correlation_id: str = "",
) -> bytes:
    """A message as a partner builds it: nothing is checked."""
    root = etree.Element(f"{{{NS}}}Package", nsmap={None: NS})
    info = fill(
        sub(root, "EnvelopInfo"),
        version="1.0",
        message_id=str(message_id or uuid.uuid4()),
        message_type=message_type,
        sender_id=sender,
        receiver_id=receiver,
        send_time=SENT_AT.isoformat(),
    )
    if in_reply_to:
        fill(info, in_reply_to=str(in_reply_to))
    if correlation_id:
        fill(info, correlation_id=correlation_id)
    sub(root, "DataInfo").append(business)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def receipt(
    *, event: str = "STORED", number: int = 1, in_reply_to: uuid.UUID | None = None, message_id: uuid.UUID | None = None, note: str = ""
) -> bytes:
    """An SGW102 of customs."""
    business = etree.Element(f"{{{NS}}}SmartGateReceipt", nsmap={None: NS})
    fill(
        business,
        SeqNo=f"2026{number:014}",
        SureId=f"202603{'U' + str(number).rjust(12, '0')}{number:013}",
        Version="1",
        ReceiptNo=f"HG{number}-{event.replace('_', '-')}",
        Event=event,
        EventTime=SENT_AT.isoformat(),
    )
    if note:
        fill(business, Note=note)
    return package(business, message_type="SGW102", message_id=message_id, in_reply_to=in_reply_to)


def technical(
    ref: uuid.UUID | None,
    *,
    result: str = "STORED",
    code: str = "",
    note: str = "",
    file_name: str = "",
    in_reply_to: uuid.UUID | None = None,
) -> bytes:
    """An RCV001 of customs."""
    business = etree.Element(f"{{{NS}}}TechnicalReceipt", nsmap={None: NS})
    fields = {"RefMessageId": str(ref) if ref else "", "RefFileName": file_name, "Result": result, "Code": code, "Note": note}
    fill(business, **{name: value for name, value in fields.items() if value})
    return package(business, message_type="RCV001", in_reply_to=in_reply_to or ref)


def read_fields(content: bytes, *path: str) -> Sequence[str]:
    """The texts of all elements with this last name."""
    return [element.text or "" for element in etree.fromstring(content).iter(*(f"{{{NS}}}{name}" for name in path))]
