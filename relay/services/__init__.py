"""Every write of the relay. Applications use `queue_message`; workers, commands and the console use the rest."""

from relay.services.dispatching import collect_returned, dispatch, withdraw_refused
from relay.services.handling import handle
from relay.services.outbox import NotInTransactionError, UnregisteredTypeError, queue_message
from relay.services.quarantine import NotInQuarantineError, discard_quarantined, retry_quarantined
from relay.services.reading import read
from relay.services.storing import receive

__all__ = [
    "NotInQuarantineError",
    "NotInTransactionError",
    "UnregisteredTypeError",
    "collect_returned",
    "discard_quarantined",
    "dispatch",
    "handle",
    "queue_message",
    "read",
    "receive",
    "retry_quarantined",
    "withdraw_refused",
]
