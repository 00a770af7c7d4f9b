"""Stopping what goes out and letting it go again; what comes in is not touched by it."""

from functools import partial as bind
from typing import Final

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from core import audit
from relay import registry
from relay.conf import partners
from relay.envelope import RECEIPT_TYPE
from relay.models import Pause
from relay.services.operations.actors import OperationRefused, Operator
from relay.wake import wake

log = structlog.get_logger(__name__)

REASON_LENGTH: Final = 500


def pause(*, partner: str, message_type: str, reason: str, operator: Operator) -> Pause:
    """Send nothing more to `partner` (empty: to anybody) of `message_type` (empty: of any), until `resume`.

    What a worker has claimed already goes out; nothing is claimed after this has returned. Raises OperationRefused: REASON_MISSING,
    UNKNOWN_PARTNER, UNKNOWN_TYPE, ALREADY_PAUSED.
    """
    reason = require_reason(reason)
    if partner and partner not in partners():
        raise OperationRefused("UNKNOWN_PARTNER", _("没有配置名为“%(partner)s”的接收方。") % {"partner": partner})
    if message_type and message_type not in outbound_types():
        raise OperationRefused("UNKNOWN_TYPE", _("没有名为“%(type)s”的发出报文类型。") % {"type": message_type})
    try:
        with transaction.atomic():
            row = Pause.objects.create(
                partner=partner,
                message_type=message_type,
                reason=reason,
                paused_by=operator.get_username()[:150],
                paused_at=timezone.now(),
            )
            audit.record(
                action="relay.pause.begin",
                obj=row,
                actor=operator,
                enterprise_id=None,
                after={"partner": partner, "message_type": message_type, "reason": reason},
                reason=reason,
            )
    except IntegrityError:
        known = Pause.objects.filter(partner=partner, message_type=message_type, resumed_at__isnull=True).first()
        if known is None:  # resumed between the two statements: whoever asks again gets his pause
            raise
        raise OperationRefused(
            "ALREADY_PAUSED",
            _("已由 %(who)s 于 %(when)s 暂停，原因：%(why)s")
            % {"who": known.paused_by, "when": f"{timezone.localtime(known.paused_at):%Y-%m-%d %H:%M:%S}", "why": known.reason},
        ) from None
    log.warning("relay_paused", partner=partner, message_type=message_type, reason=reason, operator=operator.get_username())
    return row


def resume(*, partner: str, message_type: str, reason: str = "", operator: Operator) -> Pause:
    """End the pause of just this partner and type (each may be empty, as `pause` has it); what waits goes at once.

    A wider pause or a narrower one that is open, too, goes on holding what it covers. Raises OperationRefused: NOT_PAUSED.
    """
    with transaction.atomic():
        row = Pause.objects.select_for_update().filter(partner=partner, message_type=message_type, resumed_at__isnull=True).first()
        if row is None:
            raise OperationRefused("NOT_PAUSED", _("该范围没有处于暂停之中。"))
        row.resumed_at = timezone.now()
        row.resumed_by = operator.get_username()[:150]
        row.resume_reason = reason.strip()[:REASON_LENGTH]
        row.save(update_fields=["resumed_at", "resumed_by", "resume_reason"])
        audit.record(
            action="relay.pause.end",
            obj=row,
            actor=operator,
            enterprise_id=None,
            before={"partner": partner, "message_type": message_type, "reason": row.reason},
            reason=row.resume_reason,
        )
        for code in [partner] if partner else partners():
            transaction.on_commit(bind(wake, code), robust=True)
    log.warning("relay_resumed", partner=partner, message_type=message_type, operator=operator.get_username())
    return row


def outbound_types() -> list[str]:
    """Every type that can be sent, sorted."""
    return sorted([*registry.outbound_types(), RECEIPT_TYPE])


def require_reason(reason: str) -> str:
    """The reason without blanks around it. Raises OperationRefused: REASON_MISSING, REASON_TOO_LONG."""
    reason = reason.strip()
    if not reason:
        raise OperationRefused("REASON_MISSING", _("请写明原因。"))
    if len(reason) > REASON_LENGTH:
        raise OperationRefused("REASON_TOO_LONG", _("原因不能超过 %(most)s 字。") % {"most": REASON_LENGTH})
    return reason
