"""What the relay calls when a message of the smart gate came in, was delivered or was refused; thin: they call services."""

from datetime import datetime

from lxml import etree

from relay.envelope import text_of
from relay.registry import Incoming, MessageRefused, OutboundRef
from smartgate import services
from smartgate.messages import parse_receipt
from smartgate.models import Filing, subject_of
from smartgate.services import settling


def handle_receipt(message: Incoming) -> str:
    """SGW102: kept with its filing, and moves it when the state table allows."""
    receipt = parse_receipt(message.business)
    try:
        return services.apply_receipt(receipt=receipt, message_id=message.message_id, in_reply_to=message.in_reply_to)
    except Filing.DoesNotExist:
        raise MessageRefused("UNKNOWN_FILING", f"no filing has SeqNo {receipt.data_center_no} and SureId {receipt.trip_no}") from None
    except services.ReceiptNumberReusedError:
        raise MessageRefused("RECEIPT_NO_REUSED", f"another receipt of {receipt.trip_no} has the number {receipt.receipt_no}") from None


def subject_of_receipt(business: etree._Element) -> str:
    """The subject of the filing that an SGW102 speaks of."""
    return subject_of(text_of(business, "SeqNo"))


def handle_delivered(original: OutboundRef, at: datetime) -> None:
    """Customs' exchange has stored an SGW101."""
    services.mark_relayed(subject=original.subject, message_id=original.message_id, at=at)


def handle_refused(original: OutboundRef, at: datetime, code: str, reason: str) -> None:
    """Customs' exchange has refused an SGW101 as unreadable."""
    services.mark_relay_refused(subject=original.subject, message_id=original.message_id, at=at, code=code, reason=reason)


def handle_requeued(original: OutboundRef, at: datetime) -> None:
    """An operator has a refused SGW101 sent again."""
    settling.send_again(subject=original.subject, message_id=original.message_id, at=at)


def handle_settled(original: OutboundRef, at: datetime, delivered: bool, reason: str) -> None:
    """An operator has asked customs whether it holds what its exchange had refused."""
    settling.settle(subject=original.subject, message_id=original.message_id, delivered=delivered, at=at, reason=reason)
