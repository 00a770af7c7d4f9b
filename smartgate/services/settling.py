"""What platform staff put right between the relay and a filing: its message goes again, or customs was asked whether it holds it.

Called by the relay, in its transaction, when an operator resends or settles a message that customs' exchange had refused
(`relay.registry.register_outbound`). Both ways are the table's own: 发往内网失败 is declared anew, the same version and the same message.
A 变更 or 删单 that the exchange had refused waits for customs' answer again, as the same version and message.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from lxml import etree

from core import audit
from core.workflow import ActionRefused
from relay.envelope import business_of, canonical
from relay.models import OutboundMessage
from relay.services.operations.settling import BY_OPERATOR
from smartgate import contents, messages, states, vehicles
from smartgate.models import (
    Filing,
    FilingLine,
    FilingStatus,
    FilingVersion,
    Function,
    Outcome,
    data_center_no_of,
    subject_of,
)
from smartgate.services import change_answers, contradictions, versions
from smartgate.services.answers import apply_event, mark_relay_refused, mark_relayed
from smartgate.services.filings import MOVED, move, snapshot, violated

#: Customs and the enterprise are through with these: their messages may lose their bytes when they are old enough.
THROUGH = (FilingStatus.CLOSED, FilingStatus.CLOSED_MANUALLY, FilingStatus.DEPARTED, FilingStatus.VOIDED)


def send_again(*, subject: str, message_id: UUID, at: datetime) -> None:
    """The refused message of a filing goes to customs once more: the filing is 申报 again, and waits like any other.

    Raises ActionRefused when the filing was declared anew or deleted since, when customs has answered the refused message (that is for
    `settle`: a repeat would only bring the receipt that is there already), or when the vehicle has an open filing by now, or one that
    customs may hold.
    """
    filing = _locked(subject)
    change = versions.change_sent_as(filing, message_id)
    if change is not None:
        _send_change_again(filing, change, at=at)
        return
    _require_present(filing, message_id)
    if filing.status != FilingStatus.RELAY_FAILED:
        return  # it is further already, or still waits for what this message will bring
    if filing.deleted_at is not None:
        raise ActionRefused(_("车次 %(trip_no)s 已被企业删除，不能重发其报文。") % {"trip_no": filing.trip_no})
    if contradictions.kept(filing, filing.version).exists():
        raise ActionRefused(
            _("海关已对车次 %(trip_no)s 作出回执，请先向海关核实其是否持有该票，再处置（relay_settle），不要重发。")
            % {"trip_no": filing.trip_no}
        )
    if _says_other(filing):
        raise ActionRefused(
            _("企业已修改车次 %(trip_no)s 的内容，与原报文不同，不能重发。请由企业核对后重新申报。") % {"trip_no": filing.trip_no}
        )
    contradictions.check_vehicle(filing)
    _declare_again(filing, at=at, note=_("平台已将本次申报重新发往内网，请等待结果。"))


def settle(*, subject: str, message_id: UUID, delivered: bool, at: datetime, reason: str) -> None:
    """Customs was asked whether it holds the filing that its exchange had refused.

    It does: the filing goes on as if the exchange had said so, with the contents that customs holds, should the enterprise have
    changed them since; and customs' receipts that were only kept take effect in the order in which customs gave them, as far as the
    table allows. It does not: those receipts count no more, and the enterprise may declare again.
    Raises ActionRefused when the filing was declared anew since, or when the vehicle has another open filing by now.
    """
    filing = _locked(subject)
    change = versions.change_sent_as(filing, message_id)
    if change is not None:
        _settle_change(filing, change, delivered=delivered, at=at, reason=reason)
        return
    if not delivered:
        # Where the filing never heard of the refusal, it hears of it now.
        mark_relay_refused(subject=subject, message_id=message_id, at=at, code=BY_OPERATOR, reason=reason)
        filing = _locked(subject)
        is_present = filing.message_id == message_id and filing.status == FilingStatus.RELAY_FAILED
        if is_present and contradictions.kept(filing, filing.version).exists():
            _disown(filing, filing.version, at=at, reason=reason)
        return
    _require_present(filing, message_id)
    if filing.status == FilingStatus.RELAY_FAILED:
        if _says_other(filing):
            _restore(filing, reason)
        _declare_again(filing, at=at, note="")
    mark_relayed(subject=subject, message_id=message_id, at=at)
    filing = _locked(subject)
    _apply_kept(filing, filing.version)


def _send_change_again(filing: Filing, change: FilingVersion, *, at: datetime) -> None:
    """Raises ActionRefused when customs has answered it, or when the filing is not what it was to change any more."""
    if change.outcome == Outcome.WAITING:
        return  # it still waits for what this message will bring
    if change.outcome != Outcome.NOT_SENT:
        raise ActionRefused(
            _("车次 %(trip_no)s 的第 %(number)s 版已有结果“%(outcome)s”，不能重发：海关可能将其作为新报文处理。")
            % {"trip_no": filing.trip_no, "number": change.number, "outcome": change.get_outcome_display()}
        )
    if contradictions.kept(filing, change.number or 0).exists():
        raise ActionRefused(
            _("海关已对车次 %(trip_no)s 的第 %(number)s 版作出回执，请先向海关核实其是否持有该版，再处置（relay_settle），不要重发。")
            % {"trip_no": filing.trip_no, "number": change.number}
        )
    if filing.status not in states.CHANGEABLE:
        raise states.TABLE.refusal(filing.status, change.function, doing=str(change.get_function_display()))
    changed, _lines = contents.as_filing(filing, change.contents, version=change.number or 0)
    if vehicles.key_of(changed) != vehicles.key_of(filing):
        contradictions.check_vehicle(changed)
    _wait_again(filing, change, at=at, note=_("平台已将该版重新发往内网，请等待结果。"))


def _settle_change(filing: Filing, change: FilingVersion, *, delivered: bool, at: datetime, reason: str) -> None:
    """Customs has the change: it waits again, and what customs had answered takes effect. A filing that has passed the gate meanwhile, that
    customs gave back, or that became another version, is changed by it no more: then it is only put down, and takes no vehicle. Customs
    does not have it: what it had answered counts no more. So, too, of one that customs has rejected and accepted."""
    if not delivered:
        mark_relay_refused(subject=filing.subject, message_id=change.message_id, at=at, code=BY_OPERATOR, reason=reason)  # type: ignore[arg-type]
        change.refresh_from_db()
        is_contradicted = change.outcome == Outcome.NOT_SENT and contradictions.kept(filing, change.number or 0).exists()
        if is_contradicted or contradictions.was_accepted_since(change):
            _disown(_locked(filing.subject), change.number or 0, at=at, reason=reason)
        return
    if change.outcome == Outcome.NOT_SENT or contradictions.was_accepted_since(change):
        if filing.status in states.HELD and change.base == filing.version:
            _wait_again(filing, change, at=at, note="")
        else:
            change_answers.come_to_nothing(filing, change, at=at)
    change_answers.delivered(filing, change.message_id, at=at)  # type: ignore[arg-type]
    _apply_kept(_locked(filing.subject), change.number or 0)


def _wait_again(filing: Filing, change: FilingVersion, *, at: datetime, note: str) -> None:
    other = versions.waiting(filing)
    if other is not None:
        raise ActionRefused(
            _("车次 %(trip_no)s 的第 %(other)s 版正在等待海关答复，第 %(number)s 版不能同时再生效。请待该版有结果后再处置。")
            % {"trip_no": filing.trip_no, "other": other.number, "number": change.number}
        )
    if change.base != filing.version:
        raise ActionRefused(
            _("车次 %(trip_no)s 在第 %(number)s 版之后又有变更，该版不能再次生效。请先与海关和企业核实应保留哪一版。")
            % {"trip_no": filing.trip_no, "number": change.number}
        )
    changed, _lines = contents.as_filing(filing, change.contents, version=change.number or 0)
    doing = _("使该票第 %(number)s 版再次生效") % {"number": change.number}
    versions.claim_vehicle(changed, doing=doing)
    if versions.is_open_elsewhere(changed):
        raise versions.vehicle_taken(changed, doing=doing)
    versions.end(change, Outcome.WAITING, at=at)
    change_answers.record(filing, change, "change_again", reason=note, message_id=change.message_id)


def open_subjects(subjects: Collection[str]) -> set[str]:
    """Of these relay subjects, those of filings that customs or the enterprise is not through with."""
    numbers = [data_center_no_of(subject) for subject in subjects]
    through = Filing.unscoped.filter(data_center_no__in=numbers, status__in=THROUGH).values_list("data_center_no", flat=True)
    return set(subjects) - {subject_of(number) for number in through}


def _locked(subject: str) -> Filing:
    """Also one that was deleted: customs may hold it."""
    filing: Filing = Filing.unscoped.select_for_update(of=("self",)).get(data_center_no=data_center_no_of(subject))
    return filing


def _require_present(filing: Filing, message_id: UUID) -> None:
    if filing.message_id != message_id:
        raise ActionRefused(
            _("车次 %(trip_no)s 已重新申报，现行报文为 %(message_id)s。") % {"trip_no": filing.trip_no, "message_id": filing.message_id}
        )


def _declare_again(filing: Filing, *, at: datetime, note: str) -> None:
    before = {"status": filing.status, "deleted_at": filing.deleted_at}
    versions.claim_vehicle(filing, doing=_("使车次 %(trip_no)s 再次生效") % {"trip_no": filing.trip_no})
    move(filing, states.TABLE.target(filing.status, states.Event.DECLARE, doing=str(states.DECLARE.label)), at=at, note=note)
    filing.deleted_at = None
    try:
        with transaction.atomic():
            filing.save(update_fields=["deleted_at", *MOVED])
    except IntegrityError as error:
        if violated(error) != "filing_one_open_per_vehicle":
            raise
        raise ActionRefused(
            _("介质“%(key)s”现有另一票未办结的申报，车次 %(trip_no)s 不能再次生效。请先与海关和企业核实应保留哪一票。")
            % {"key": filing.bind_key_info, "trip_no": filing.trip_no}
        ) from None
    old, new = audit.changes(before, {"status": filing.status, "deleted_at": None})
    audit.record(
        action="smartgate.filing.send_again",
        obj=filing,
        actor=None,
        enterprise_id=filing.enterprise_id,
        before=old,
        after={**new, "message_id": filing.message_id},
        reason=note,
    )


def _apply_kept(filing: Filing, number: int) -> None:
    """Let receipts of a version that found it refused take effect, in customs' own order."""
    for receipt in change_answers.kept_answers(filing, number):
        not_applied = ""
        if receipt.event in list(states.ChangeAnswer):
            not_applied = change_answers.apply_answer(
                filing,
                answer=receipt.event,
                number=number,
                in_reply_to=None,
                at=receipt.event_time,
                note=receipt.note,
                message_id=receipt.message_id,
            )
        elif receipt.event in states.CUSTOMS_EVENTS and states.TABLE.allows(filing.status, receipt.event):
            apply_event(filing, states.Event(receipt.event), at=receipt.event_time, note=receipt.note, message_id=receipt.message_id)
        else:
            continue
        receipt.applied, receipt.not_applied_reason = not not_applied, not_applied
        receipt.save(update_fields=["applied", "not_applied_reason"])


def _disown(filing: Filing, number: int, *, at: datetime, reason: str) -> None:
    receipts = contradictions.kept(filing, number)
    disowned = list(receipts.order_by("event_time", "received_at", "pk").values_list("receipt_no", flat=True))
    receipts.update(disowned=True, not_applied_reason=_("平台已与海关核实：海关没有本次申报，该回执作废。"))
    if number == filing.version:
        move(filing, filing.status, at=at, note=_("平台已与海关核实：海关没有收到本次申报。请核对后重新申报。"))
        filing.save(update_fields=MOVED)
    audit.record(
        action="smartgate.filing.disown_receipts",
        obj=filing,
        actor=None,
        enterprise_id=filing.enterprise_id,
        after={"receipt_no": disowned},
        reason=reason,
    )


def _sent(filing: Filing) -> etree._Element:
    """The business element of the filing's message, as customs got it."""
    content = OutboundMessage.objects.values_list("content", flat=True).get(message_id=str(filing.message_id))
    return business_of(etree.fromstring(bytes(content)))


def _says_other(filing: Filing) -> bool:
    """Whether the enterprise has changed the filing since it was sent."""
    present = messages.filing_element(filing, list(filing.lines.all()), Function.ADD)
    return canonical(present) != canonical(_sent(filing))


def _restore(filing: Filing, reason: str) -> None:
    """Give a filing the contents that customs holds."""
    before = snapshot(filing)
    header, lines = messages.parse_contents(_sent(filing))
    # The message does not say who vouched for which plate; what was kept of the version does.
    version = FilingVersion.unscoped.filter(filing=filing, number=filing.version).first()
    if version is not None:
        header["plate_verified"] = contents.header_of(version.contents)["plate_verified"]
    for name, value in header.items():
        setattr(filing, name, value)
    filing.save(update_fields=list(header))
    filing.lines.all().delete()
    FilingLine.unscoped.bulk_create(FilingLine(enterprise_id=filing.enterprise_id, filing=filing, **line) for line in lines)
    old, new = audit.changes(before, snapshot(filing))
    audit.record(
        action="smartgate.filing.restore",
        obj=filing,
        actor=None,
        enterprise_id=filing.enterprise_id,
        before=old,
        after=new,
        reason=reason,
    )
