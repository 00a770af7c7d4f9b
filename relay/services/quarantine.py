"""Running again what was set aside."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from core import audit
from relay.models import InboundMessage, InboundState


class NotInQuarantineError(ValueError):
    """The message is not set aside, or was set aside unread and has no bytes here."""


@transaction.atomic
def retry_quarantined(inbound_id: int, *, actor: Any | None) -> InboundMessage:
    """Put a message back to be read from the beginning; the workers take it with the next beat.

    `actor` is the user who asks, or None for a command. Raises InboundMessage.DoesNotExist, and NotInQuarantineError for
    a message that is not set aside or whose file was never read (put that file back into InBox instead).
    """
    message = InboundMessage.objects.select_for_update().defer("content").get(pk=inbound_id)
    if message.state != InboundState.QUARANTINED:
        raise NotInQuarantineError(f"{message} is {message.state}")
    if message.sha256 is None:
        raise NotInQuarantineError(f"{message} was not read; it lies in {message.kept_as}")
    before = {"state": message.state, "reason_code": message.reason_code, "reason_text": message.reason_text}
    message.state = InboundState.RECEIVED
    message.finished_at = None
    message.due_at = timezone.now()
    message.attempts = 0
    message.reason_code = message.reason_text = ""
    message.save(update_fields=["state", "finished_at", "due_at", "attempts", "reason_code", "reason_text"])
    audit.record(
        action="relay.quarantine.retry", obj=message, actor=actor, enterprise_id=None, before=before, after={"state": str(message.state)}
    )
    return message
