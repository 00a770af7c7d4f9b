"""What customs and its exchange say of a filing."""

from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from core import audit
from core.text import has_chinese
from relay.services.operations.settling import BY_OPERATOR
from smartgate import messages, states
from smartgate.models import Filing, FilingReceipt, data_center_no_of
from smartgate.services import change_answers, versions
from smartgate.services.filings import MOVED, move

log = structlog.get_logger(__name__)


class ReceiptNumberReusedError(Exception):
    """Customs sent two different receipts under one number."""


def mark_relayed(*, subject: str, message_id: UUID, at: datetime) -> bool:
    """发往内网成功: customs' exchange has stored the message. Whether that moved the filing, or a change of it; a second time does not."""
    return _delivery(subject=subject, message_id=message_id, event=states.Event.RELAYED, at=at, note="")


def mark_relay_refused(*, subject: str, message_id: UUID, at: datetime, code: str, reason: str) -> bool:
    """发往内网失败: customs' exchange has refused the message for good. Whether the filing moved; a change of it ends as not sent."""
    note = _("发往内网失败：%(why)s（%(code)s）。请核对后重新申报；再次失败请联系平台客服。") % {
        "why": _why_refused(code, reason),
        "code": code,
    }
    return _delivery(subject=subject, message_id=message_id, event=states.Event.RELAY_REFUSED, at=at, note=note[:1000], code=code)


def _why_refused(code: str, reason: str) -> str:
    """A refusal in the user's language. The relay's and the partner's own words are for operators, unless they are Chinese."""
    if has_chinese(reason) and code != BY_OPERATOR:
        return reason
    known = {
        BY_OPERATOR: _("平台已向海关核实，海关没有收到"),
        "FAIL_BOX": _("海关端未能接收报文"),
        "SCHEMA": _("报文格式不符合海关要求"),
        "TOO_LARGE": _("报文超过海关端的大小限制"),
        "ID_REUSED": _("报文编号重复"),
        "SIGNED_TEXT": _("签名原文与申报内容不一致"),
        "SIGNATURE": _("签名未通过海关端核验"),
    }
    return known.get(code, _("海关端不能识别报文"))


# No savepoint for what customs says: the relay hands over many messages in one transaction, and what fails rolls all of it back
# (docs/adr/0031). Savepoints were a third of the statements that a message costs.
@transaction.atomic(savepoint=False)
def _delivery(*, subject: str, message_id: UUID, event: states.Event, at: datetime, note: str, code: str = "") -> bool:
    filing = _for_an_answer().get(data_center_no=data_center_no_of(subject))
    if filing.message_id != message_id:
        if event == states.Event.RELAYED:
            return change_answers.delivered(filing, message_id, at=at)
        return change_answers.refused(filing, message_id, at=at, code=code, reason=note)
    if not states.TABLE.allows(filing.status, event):
        log.info("delivery_without_effect", trip_no=filing.trip_no, status=filing.status, filing_event=event.value)
        return False
    apply_event(filing, event, at=at, note=note, message_id=message_id)
    return True


@transaction.atomic(savepoint=False)
def apply_receipt(*, receipt: messages.Receipt, message_id: UUID, in_reply_to: UUID | None) -> str:
    """Keep customs' receipt with its filing and, when the table allows it from the present state, move the filing.

    Returns what became of it, for the relay's log. Late, repeated and out-of-order receipts are kept and shown and change nothing
    (`domain.md` §3.4). Raises Filing.DoesNotExist when SeqNo and SureId name no filing, and ReceiptNumberReusedError when a receipt of
    this number that says something else is there already.
    """
    filing = _for_an_answer().get(data_center_no=receipt.data_center_no, trip_no=receipt.trip_no)
    kept = FilingReceipt.unscoped.filter(filing=filing, receipt_no=receipt.receipt_no).first()
    if kept is not None:
        if (kept.event, kept.version, kept.event_time) != (receipt.event, receipt.version, receipt.event_time):
            raise ReceiptNumberReusedError(receipt.receipt_no)
        return "repeated"
    is_of_a_change = receipt.event in list(states.ChangeAnswer)
    if is_of_a_change:
        not_applied = change_answers.apply_answer(
            filing,
            answer=receipt.event,
            number=receipt.version,
            in_reply_to=in_reply_to,
            at=receipt.event_time,
            note=receipt.note,
            message_id=message_id,
        )
    else:
        not_applied = _why_without_effect(filing, receipt, in_reply_to)
    FilingReceipt.unscoped.create(
        enterprise_id=filing.enterprise_id,
        filing=filing,
        receipt_no=receipt.receipt_no,
        event=receipt.event,
        version=receipt.version,
        event_time=receipt.event_time,
        received_at=timezone.now(),
        code=receipt.code,
        note=receipt.note,
        applied=not not_applied,
        not_applied_reason=not_applied,
        message_id=message_id,
    )
    if not_applied:
        log.info("receipt_without_effect", trip_no=filing.trip_no, receipt_no=receipt.receipt_no, reason=not_applied)
        return "kept"
    if not is_of_a_change:
        apply_event(filing, states.Event(receipt.event), at=receipt.event_time, note=receipt.note, message_id=message_id)
    return "applied"


def _for_an_answer() -> QuerySet[Filing]:
    """Filings, locked, with the columns that an answer of customs looks at: thousands of answers come in a minute."""
    filings: QuerySet[Filing] = Filing.unscoped.select_for_update(of=("self",)).only(
        "data_center_no", "trip_no", "enterprise_id", "status", "version", "message_id", "lock_version"
    )
    return filings


def _why_without_effect(filing: Filing, receipt: messages.Receipt, in_reply_to: UUID | None) -> str:
    """Why a receipt only gets kept, in the user's words; empty when it moves the filing."""
    is_of_the_present = receipt.version == filing.version and in_reply_to in (None, filing.message_id)
    if receipt.event not in states.CUSTOMS_EVENTS or not (
        is_of_the_present
        or versions.concerns_what_customs_holds(filing, number=receipt.version, in_reply_to=in_reply_to, event=states.Event(receipt.event))
    ):
        return _("该回执针对第 %(version)s 次申报，单据当前为第 %(current)s 次申报。") % {
            "version": receipt.version,
            "current": filing.version,
        }
    if not states.TABLE.allows(filing.status, receipt.event):
        return _("收到时单据状态为“%(state)s”，该回执不改变状态。") % {"state": filing.get_status_display()}
    return ""


def apply_event(filing: Filing, event: states.Event, *, at: datetime, note: str, message_id: UUID) -> None:
    """Move a locked filing by an event of the relay or of customs, and tell the audit trail."""
    before = filing.status
    move(filing, states.TABLE.target(before, event, doing=event.value), at=at, note=note)
    filing.save(update_fields=MOVED)
    audit.record(
        action=f"smartgate.filing.{event.value.lower()}",
        obj=filing,
        actor=None,
        enterprise_id=filing.enterprise_id,
        before={"status": before},
        after={"status": filing.status, "message_id": message_id},
        reason=note,
    )
    if before in states.HELD and filing.status in change_answers.ENDED:
        change_answers.overtake(filing)
