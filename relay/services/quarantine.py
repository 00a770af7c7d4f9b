"""What was set aside: running it again, or giving it up."""

from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from core import audit
from relay.models import InboundMessage, InboundState
from relay.services.operations.actors import Operator
from relay.services.operations.pausing import require_reason

log = structlog.get_logger(__name__)


class NotInQuarantineError(ValueError):
    """The message is not set aside, or was set aside unread or emptied and has no bytes here."""


@transaction.atomic
def retry_quarantined(inbound_id: int, *, actor: Any | None) -> InboundMessage:
    """Put a message back to be read from the beginning; the workers take it with the next beat. One that was given up can come back, too.

    `actor` is who asks. Raises InboundMessage.DoesNotExist, and NotInQuarantineError for
    a message that is not set aside or whose file was never read (put that file back into InBox instead).
    """
    message = _locked(inbound_id, InboundState.QUARANTINED, InboundState.DISCARDED)
    if message.sha256 is None:
        raise NotInQuarantineError(f"{message} was not read; it lies in {message.kept_as}")
    if message.emptied_at is not None:
        raise NotInQuarantineError(f"the bytes of {message} are no longer kept")
    before = {"state": message.state, "reason_code": message.reason_code, "reason_text": message.reason_text}
    message.state = InboundState.RECEIVED
    message.finished_at = None
    message.due_at = timezone.now()
    message.attempts = 0
    message.outcome = message.reason_code = message.reason_text = ""
    message.save(update_fields=["state", "finished_at", "due_at", "attempts", "outcome", "reason_code", "reason_text"])
    audit.record(
        action="relay.quarantine.retry", obj=message, actor=actor, enterprise_id=None, before=before, after={"state": str(message.state)}
    )
    return message


@transaction.atomic
def discard_quarantined(inbound_id: int, *, operator: Operator, reason: str) -> InboundMessage:
    """Give up a message: it stays as it is, and leaves the quarantine's count. The reason is kept with it.

    Raises InboundMessage.DoesNotExist, NotInQuarantineError, and OperationRefused without a reason (REASON_MISSING, REASON_TOO_LONG).
    """
    reason = require_reason(reason)
    message = _locked(inbound_id, InboundState.QUARANTINED)
    message.state = InboundState.DISCARDED
    message.outcome = reason
    message.save(update_fields=["state", "outcome"])
    audit.record(
        action="relay.quarantine.discard",
        obj=message,
        actor=operator,
        enterprise_id=None,
        before={"state": str(InboundState.QUARANTINED), "reason_code": message.reason_code},
        after={"state": str(message.state)},
        reason=reason,
    )
    log.warning("relay_discarded", inbound_id=message.pk, file=message.file_name, code=message.reason_code, reason=reason)
    return message


def _locked(inbound_id: int, *states: InboundState) -> InboundMessage:
    message = InboundMessage.objects.select_for_update(of=("self",)).defer("content", "send_time").get(pk=inbound_id)
    if message.state not in states:
        raise NotInQuarantineError(f"{message} is {message.state}")
    return message
