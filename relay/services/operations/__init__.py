"""What operators do to the exchange; the commands and the pages of /admin/ call the same functions (RLY-04)."""

from relay.services.operations.actors import OperationRefused, Operator
from relay.services.operations.pausing import pause, resume
from relay.services.operations.resending import ResendOutcome, Resent, Selection, resend, resend_selected
from relay.services.operations.settling import settle

__all__ = [
    "OperationRefused",
    "Operator",
    "ResendOutcome",
    "Resent",
    "Selection",
    "pause",
    "resend",
    "resend_selected",
    "resume",
    "settle",
]
