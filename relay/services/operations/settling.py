"""Putting down what an operator has heard from the partner by other ways: that it has a message after all, or will never take it."""

from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from core import audit
from core.workflow import ActionRefused
from relay import registry
from relay.models import CONTRADICTS_REFUSAL, InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.services.dispatching import reference, refuse
from relay.services.operations.actors import OperationRefused, Operator
from relay.services.operations.pausing import require_reason

log = structlog.get_logger(__name__)

#: Reason code of a message whose refusal an operator put down.
BY_OPERATOR = "OPERATOR"


def settle(*, message_id: UUID, delivered: bool, reason: str, operator: Operator, dry_run: bool = False) -> OutboundMessage:
    """Put down that the partner has a message (`delivered`), or that it does not and will not.

    | the message is | delivered | not delivered |
    |---|---|---|
    | unfinished | ends as delivered | ends as refused |
    | delivered | its application hears of it once more: `on_settled` | refused: such a message is sent again instead |
    | refused | becomes delivered; `on_settled` | stays refused; `on_settled` |

    What the application does with a refusal that is contradicted is its own business (`registry.register_outbound`, `on_settled`).
    Raises OperationRefused: REASON_MISSING, REASON_TOO_LONG, UNKNOWN_MESSAGE, NO_RECEIPT_NEEDED, DELIVERED, NOT_FOR_THIS_TYPE, and
    FORBIDDEN with the application's words.
    """
    reason = require_reason(reason)
    with transaction.atomic():
        message = OutboundMessage.objects.select_for_update().defer("content").filter(message_id=message_id).first()
        if message is None:
            raise OperationRefused("UNKNOWN_MESSAGE", _("没有编号为 %(id)s 的发出报文。") % {"id": message_id})
        before = {"state": message.state, "reason_code": message.reason_code}
        try:
            _settle(message, delivered, timezone.now(), reason)
        except OperationRefused:
            raise
        except ActionRefused as refusal:
            raise OperationRefused("FORBIDDEN", str(refusal)) from refusal
        audit.record(
            action="relay.message.settle",
            obj=message,
            actor=operator,
            enterprise_id=None,
            before=before,
            after={"state": str(message.state), "reason_code": message.reason_code},
            reason=reason,
        )
        if dry_run:
            transaction.set_rollback(True)
    if not dry_run:
        log.warning(
            "relay_settled",
            request_id=message.request_id,
            message_id=str(message.message_id),
            subject=message.subject,
            was=before["state"],
            state=str(message.state),
            operator=operator.get_username(),
        )
    return message


def _settle(message: OutboundMessage, delivered: bool, now: datetime, reason: str) -> None:
    if not message.needs_receipt:
        raise OperationRefused("NO_RECEIPT_NEEDED", _("技术回执不需要答复，无须处置。"))
    hooks = registry.outbound_hooks(message.message_type)
    if hooks is None:
        raise OperationRefused("NOT_FOR_THIS_TYPE", _("没有业务登记该类型的报文，不能处置。"))
    was_refused = message.state == OutboundState.REFUSED
    if was_refused:
        # What was held until somebody had asked is decided with this.
        held = InboundMessage.objects.filter(original=message, state=InboundState.QUARANTINED, reason_code=CONTRADICTS_REFUSAL)
        held.update(state=InboundState.DISCARDED, outcome=reason)
    had_ended = message.finished_at is not None
    if was_refused and hooks.on_settled is None and hooks.on_refused is not None:
        raise OperationRefused("NOT_FOR_THIS_TYPE", _("该类型报文被拒收后不能由平台处置。"))
    if not delivered and message.state == OutboundState.DELIVERED:
        raise OperationRefused("DELIVERED", _("该报文已送达。对方确认没有时，请重发。"))
    if delivered:
        message.state = OutboundState.DELIVERED
        message.finished_at = message.finished_at or now
        message.reason_code = message.reason_text = ""
        message.lease_token = message.leased_until = None
        message.save(update_fields=["state", "finished_at", "reason_code", "reason_text", "lease_token", "leased_until"])
    elif not was_refused:
        refuse(message, now, BY_OPERATOR, reason)
    if had_ended and hooks.on_settled is not None:
        hooks.on_settled(reference(message), now, delivered, reason)
    elif delivered and hooks.on_delivered is not None:
        hooks.on_delivered(reference(message), now)
