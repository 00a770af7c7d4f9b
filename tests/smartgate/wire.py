"""Customs' side of the wire, written out by hand: what a partner would put into InBox, without the code under test."""

from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from lxml import etree

from relay import services
from smartgate.models import Filing

NS = "urn:ln-singlewindow:exchange:1"


def _box(name: str) -> Path:
    box = Path(settings.EXCHANGE_ROOT) / "customs" / name
    box.mkdir(parents=True, exist_ok=True)
    return box


def put_into_inbox(message_type: str, business: str, *, message_id: UUID | None = None, in_reply_to: UUID | None = None) -> UUID:
    """A file from customs with this business element; its message id."""
    message_id = message_id or uuid4()
    reply = f"<in_reply_to>{in_reply_to}</in_reply_to>" if in_reply_to else ""
    (_box("InBox") / f"{message_type}_{message_id}.xml").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><Package xmlns="{NS}"><EnvelopInfo><version>1.0</version>'
        f"<message_id>{message_id}</message_id><message_type>{message_type}</message_type>"
        f"<sender_id>customs</sender_id><receiver_id>{settings.RELAY_SENDER_ID}</receiver_id>"
        f"<send_time>2026-11-21T08:00:00+08:00</send_time>{reply}</EnvelopInfo><DataInfo>{business}</DataInfo></Package>",
        encoding="utf-8",
    )
    return message_id


#: When customs decides, where a test does not say.
DECIDED = "2026-11-21T08:00:00+08:00"


def receipt_xml(filing: Filing, event: str, *, version: int | None = None, receipt_no: str = "", note: str = "", at: str = DECIDED) -> str:
    """An SGW102's business element."""
    return (
        f"<SmartGateReceipt><SeqNo>{filing.data_center_no}</SeqNo><SureId>{filing.trip_no}</SureId>"
        f"<Version>{filing.version if version is None else version}</Version><ReceiptNo>{receipt_no or uuid4().hex[:20]}</ReceiptNo>"
        f"<Event>{event}</Event><EventTime>{at}</EventTime>{f'<Note>{note}</Note>' if note else ''}</SmartGateReceipt>"
    )


def receive_receipt(filing: Filing, event: str, *, in_reply_to: UUID | None = None, **more: object) -> UUID:
    """Let customs send a receipt, and the relay take it in and handle it."""
    message_id = put_into_inbox("SGW102", receipt_xml(filing, event, **more), in_reply_to=in_reply_to or filing.message_id or uuid4())  # type: ignore[arg-type]
    services.receive("customs")
    return message_id


def receive_technical_receipt(message_id: UUID, result: str = "STORED", note: str = "") -> None:
    """Let customs' exchange say that it stored or refused a message."""
    code = "<Code>XSD</Code>" if result == "REJECTED" else ""
    text = f"<Note>{note}</Note>" if note else ""
    put_into_inbox(
        "RCV001",
        f"<TechnicalReceipt><RefMessageId>{message_id}</RefMessageId><Result>{result}</Result>{code}{text}</TechnicalReceipt>",
        in_reply_to=message_id,
    )
    services.receive("customs")


def refuse_by_fail_box(message_id: UUID) -> None:
    """Let customs' agent put a message aside without a word, and the relay find it."""
    (sent,) = _box("OutBox").glob(f"*{message_id}.xml")
    sent.rename(_box("FailBox") / sent.name)
    services.collect_returned("customs")


def sent_files() -> list[Path]:
    """What lies in OutBox."""
    return sorted(_box("OutBox").glob("*.xml"))


def texts(element: etree._Element) -> dict[str, str]:
    """The children of an element: local name → text."""
    return {etree.QName(child).localname: child.text or "" for child in element}
