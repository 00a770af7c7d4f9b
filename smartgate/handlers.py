"""What the relay calls when a message of the smart gate came in, was delivered or was refused; thin: they call services."""

from datetime import datetime

from relay.registry import Incoming, MessageRefused, OutboundRef
from smartgate import services
from smartgate.messages import filing_id_of, parse_receipt
from smartgate.models import Filing


def handle_receipt(message: Incoming) -> str:
    """SGW102: kept with its filing, and moves it when the state table allows."""
    receipt = parse_receipt(message.business)
    try:
        return services.apply_receipt(receipt=receipt, message_id=message.message_id, in_reply_to=message.in_reply_to)
    except Filing.DoesNotExist:
        raise MessageRefused("UNKNOWN_FILING", f"no filing has SeqNo {receipt.data_center_no} and SureId {receipt.trip_no}") from None


def handle_delivered(original: OutboundRef, at: datetime) -> None:
    """Customs' exchange has stored an SGW101."""
    services.mark_relayed(filing_id=filing_id_of(original.subject), message_id=original.message_id, at=at)


def handle_refused(original: OutboundRef, at: datetime, code: str, reason: str) -> None:
    """Customs' exchange has refused an SGW101 as unreadable."""
    services.mark_relay_refused(filing_id=filing_id_of(original.subject), message_id=original.message_id, at=at, code=code, reason=reason)
