"""What customs and its exchange say of a 变更 or 删单 (docs/adr/0100).

| the change | customs accepts | customs rejects |
|---|---|---|
| waits | 变更: the contents become the filing's; 删单: 已删单 | the filing stays as it is, with the reason |
| was overtaken by 已办结, 人工办结 or 已口岸离场 | what customs did before that still counts; later: kept, no effect | noted |
| was overtaken by 退单, or by another version that customs holds | kept, no effect | noted |
| never got there, by the word of customs' exchange | kept until customs was asked | noted: customs agrees that nothing was changed |
| was rejected | kept until customs was asked | kept, no effect |
| was accepted | kept, no effect | kept, no effect |
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db.models import Min
from django.utils.translation import gettext as _

from core import audit
from relay.services.operations.settling import BY_OPERATOR
from smartgate import contents, states
from smartgate.models import Filing, FilingLine, FilingReceipt, FilingStatus, FilingVersion, Function, Outcome
from smartgate.services import contradictions, versions
from smartgate.services.filings import MOVED, move, snapshot

log = structlog.get_logger(__name__)


def delivered(filing: Filing, message_id: UUID, *, at: datetime) -> bool:
    """Customs' exchange has stored the message of a change. Whether there is such a change that did not know."""
    found = FilingVersion.unscoped.filter(filing=filing, message_id=message_id, delivered_at__isnull=True)
    return bool(found.exclude(function=Function.ADD).update(delivered_at=at))


def refused(filing: Filing, message_id: UUID, *, at: datetime, code: str, reason: str) -> bool:
    """Customs' exchange has refused the message of a change for good: the filing is as before. Whether that ended a change.

    What the exchange has stored it cannot refuse any more: that was another copy, and customs works on the change. Only an operator
    who has asked customs ends it then (BY_OPERATOR); until he has, `check_consistency` tells of it (`smartgate.change_behind_refusal`).
    """
    change = versions.change_sent_as(filing, message_id)
    if change is None or change.outcome != Outcome.WAITING:
        return False
    if change.delivered_at is not None:
        if code != BY_OPERATOR:
            log.info(
                "delivery_without_effect", trip_no=filing.trip_no, status=change.outcome, filing_event=states.Event.RELAY_REFUSED.value
            )
            return False
        # What goes again as this version can be refused like any other.
        change.delivered_at = None
        change.save(update_fields=["delivered_at"])
    versions.end(change, Outcome.NOT_SENT, at=at, reason=reason)
    record(filing, change, "change_not_sent", reason=reason, message_id=message_id)
    return True


def overtake(filing: Filing) -> None:
    """The filing has left the states in which customs could change it: a change that waits has come to nothing."""
    change = versions.waiting(filing)
    if change is not None:
        come_to_nothing(filing, change, at=filing.status_at)


def come_to_nothing(filing: Filing, change: FilingVersion, *, at: datetime) -> None:
    """Put down that what a change was to change is there no more: customs is through with it, gave it back, or holds another version."""
    if filing.status in states.HELD:
        reason = _("该版针对第 %(base)s 版，海关现持有第 %(version)s 版。") % {"base": change.base, "version": filing.version}
    else:
        reason = _("海关答复前单据已变为“%(state)s”。") % {"state": filing.get_status_display()}
    versions.end(change, Outcome.OVERTAKEN, at=at, reason=reason)
    record(filing, change, "change_overtaken", reason=reason)


def apply_answer(filing: Filing, *, answer: str, number: int, in_reply_to: UUID | None, at: datetime, note: str, message_id: UUID) -> str:
    """Let customs' answer to a change take effect; returns why it has none, in the user's words, or an empty string.

    `at` is when customs decided, `message_id` the message that says so.
    """
    change: FilingVersion | None = FilingVersion.unscoped.filter(filing=filing, number=number).exclude(function=Function.ADD).first()
    if change is None or in_reply_to not in (None, change.message_id):
        return _("该回执针对第 %(version)s 版变更或删单，本单据没有这一版。") % {"version": number}
    if change.outcome == Outcome.NOT_SENT and (answer != states.ChangeAnswer.REJECTED or contradictions.kept(filing, number).exists()):
        return _("该版未送达海关（发往内网失败），与本回执矛盾，待平台向海关核实。")
    if change.outcome == Outcome.REJECTED and answer == states.ChangeAnswer.ACCEPTED:
        return _("海关曾退回该版，与本回执矛盾，待平台向海关核实。")
    if change.outcome not in (Outcome.WAITING, Outcome.OVERTAKEN, Outcome.NOT_SENT):
        return _("该版已有结果“%(outcome)s”，本回执不再改变。") % {"outcome": change.get_outcome_display()}
    if answer == states.ChangeAnswer.REJECTED:
        versions.end(change, Outcome.REJECTED, at=at, reason=note)
        record(filing, change, "change_rejected", reason=note, message_id=message_id)
        return ""
    if change.outcome == Outcome.OVERTAKEN and not _was_decided_before(filing, change, at):
        return _("收到时单据状态为“%(state)s”，变更已失效，该回执不改变单据。") % {"state": filing.get_status_display()}
    versions.end(change, Outcome.ACCEPTED, at=at, reason=note)
    if change.function == Function.DEL:
        _void(filing, change, at=at, note=note, message_id=message_id)
    else:
        _take_over(filing, change, message_id=message_id, note=note)
    return ""


def _was_decided_before(filing: Filing, change: FilingVersion, at: datetime) -> bool:
    """Whether customs had accepted a 变更 by its own clock when the filing passed the gate: its answer was only late.

    What passed cannot have been voided; what was rejected is the enterprise's again.
    """
    return change.function == Function.MOD and filing.status in states.PASSED and change.base == filing.version and at <= _passed_at(filing)


def _passed_at(filing: Filing) -> datetime:
    """When customs was through with the filing by its own clock: 已办结 before 已口岸离场, whenever a change is looked at."""
    passing = [states.Event.CLOSED, states.Event.CLOSED_MANUALLY, states.Event.DEPARTED]
    moved = FilingReceipt.unscoped.filter(filing=filing, event__in=passing, applied=True)
    first: datetime | None = moved.aggregate(first=Min("event_time"))["first"]
    return first or filing.status_at


def _take_over(filing: Filing, change: FilingVersion, *, message_id: UUID, note: str) -> None:
    """The accepted contents are the filing's."""
    stored = Filing.unscoped.get(pk=filing.pk)
    before = {**snapshot(stored), "version": stored.version}
    header = contents.header_of(change.contents)
    for name, value in header.items():
        setattr(stored, name, value)
    stored.version = filing.version = change.number or 0
    stored.message_id = filing.message_id = change.message_id
    stored.lock_version += 1
    filing.lock_version = stored.lock_version
    stored.save(update_fields=[*header, "version", "message_id", "lock_version"])
    stored.lines.all().delete()
    FilingLine.unscoped.bulk_create(
        FilingLine(enterprise_id=stored.enterprise_id, filing=stored, line_no=line_no, **line)
        for line_no, line in enumerate(contents.lines_of(change.contents), start=1)
    )
    old, new = audit.changes(before, {**snapshot(stored), "version": stored.version})
    record(filing, change, "change_accepted", before=old, after=new, reason=note, message_id=message_id)


def _void(filing: Filing, change: FilingVersion, *, at: datetime, note: str, message_id: UUID) -> None:
    before = filing.status
    event = states.Event.VOID_ACCEPTED
    move(filing, states.TABLE.target(before, event, doing=event.value), at=at, note=note)
    filing.version, filing.message_id = change.number or 0, change.message_id
    filing.save(update_fields=["version", "message_id", *MOVED])
    record(filing, change, event.value, before={"status": before}, after={"status": filing.status}, reason=note, message_id=message_id)


def record(
    filing: Filing,
    change: FilingVersion,
    name: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
    message_id: UUID | None = None,
) -> None:
    """Tell the audit trail what became of a change."""
    audit.record(
        action=f"smartgate.filing.{name}",
        obj=filing,
        actor=None,
        enterprise_id=filing.enterprise_id,
        before=before,
        after={
            "version": change.number,
            "function": change.get_function_display(),
            "outcome": change.get_outcome_display(),
            **({"message_id": message_id} if message_id else {}),
            **(after or {}),
        },
        reason=reason,
    )


#: What customs is through with, or has given back: changes to it come to nothing.
ENDED = states.PASSED | {FilingStatus.REJECTED.value}


def kept_answers(filing: Filing, number: int) -> list[FilingReceipt]:
    """Receipts of a version that have had no effect, in customs' own order."""
    return list(contradictions.kept(filing, number).order_by("event_time", "received_at", "pk"))
