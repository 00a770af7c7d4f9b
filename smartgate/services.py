"""Every write to a filing: what a user does with it and what customs says of it.

Each function is one transaction: lock the row, check the state, change, audit, queue the message. It can be called again
after a crash: what was committed stays, what was not never happened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from core import audit
from core.numbering import next_value
from core.text import has_chinese
from core.workflow import ActionRefused
from relay.services import queue_message
from smartgate import messages, rules, states
from smartgate.models import Filing, FilingLine, FilingReceipt, FilingStatus, data_center_no_of

log = structlog.get_logger(__name__)

DATA_CENTER_SEQUENCE = "smartgate_data_center_no"
TRIP_SEQUENCE = "smartgate_trip_no"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilingHeader:
    """What a user enters in the header; weights in kg."""

    customs_code: str
    bind_key_type: str
    bind_key_info: str
    business_type: str
    transport_mode: str
    ie_flag: str
    vehicle_weight: Decimal
    trailer_weight: Decimal
    container_weight: Decimal
    vehicle_flow_type: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEntry:
    """What a user enters in a body line; weight in kg."""

    object_type: str
    voyage_no: str
    business_type: str
    direction: str = ""
    object_id: str = ""
    vessel_name: str = ""
    bill_type: str = ""
    pickup_weight: Decimal | None = None
    container_no_1: str = ""
    container_no_2: str = ""
    seal_no_1: str = ""
    seal_no_2: str = ""
    remark: str = ""


HEADER_NAMES = tuple(field.name for field in fields(FilingHeader))
LINE_NAMES = tuple(field.name for field in fields(LineEntry))


class FilingChanged(ActionRefused):
    """Somebody saved the filing after this user opened it; nothing of either is lost."""


class EntryAlreadyDeclared(Exception):  # noqa: N818 - no error: what was asked for has been done
    """What was sent is declared already, word for word: a second click, or an answer that was lost on the way. `filing` is that one."""

    def __init__(self, filing: Filing) -> None:
        super().__init__(_("该票单据已申报，请勿重复提交。"))
        self.filing = filing


class ReceiptNumberReusedError(Exception):
    """Customs sent two different receipts under one number."""


class FilingInvalid(ActionRefused):
    """The filing breaks a rule and cannot be declared; `errors` says which, one text each."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__(" ".join(errors))
        self.errors = list(errors)


def save_filing(
    *,
    actor: User,
    header: FilingHeader,
    lines: Sequence[LineEntry],
    filing_id: int | None = None,
    lock_version: int | None = None,
    entry_token: UUID | None = None,
    at: datetime | None = None,
) -> Filing:
    """暂存: store a new filing, or the changed contents of one that may be edited (M4 §3.1.2).

    A new one gets its numbers, 录入时间 and the state 暂存; an edited one keeps state and numbers. `header` and `lines` must have
    passed the form; grey fields are emptied here once more, whoever calls. `lock_version` is the one the user's page showed. `entry_token`
    marks the page of a new filing: the same contents sent from it again are the same filing; other contents are another one.
    `at` is the time of entry of a new filing (now when None).
    Raises Filing.DoesNotExist when the filing is not the actor's, ForbiddenTransition when its state forbids editing,
    FilingChanged when it was saved with other contents meanwhile, EntryAlreadyDeclared when just these contents are declared already.
    """
    if filing_id is None:
        return _save_new(actor=actor, header=header, lines=lines, entry_token=entry_token, now=at or timezone.now())
    known = _of_actor(actor, filing_id)
    with (
        audit.refusals_recorded(action="smartgate.filing.edit", obj=known, actor=actor, enterprise_id=known.enterprise_id),
        transaction.atomic(),
    ):
        filing = _locked(filing_id)
        before = snapshot(filing)
        if _says(before, header, lines) and filing.status not in states.EDITABLE:
            raise EntryAlreadyDeclared(filing)
        states.require(states.EDIT, filing.status)
        if lock_version is not None and filing.lock_version != lock_version:
            if _says(before, header, lines):
                return filing
            raise FilingChanged(
                _(
                    "该单据在您打开之后已被修改（在其他窗口中或由其他用户）。您录入的内容仍保留在本页；请先查看最新单据，再次暂存将以本页内容为准。"
                )
            )
        _assign(filing, header)
        filing.operator = operator_of(actor)
        filing.lock_version += 1
        filing.save(update_fields=[*HEADER_NAMES, "operator", "lock_version"])
        _replace_lines(filing, lines)
        old, new = audit.changes(before, snapshot(filing))
        if new:
            audit.record(action="smartgate.filing.edit", obj=filing, actor=actor, enterprise_id=filing.enterprise_id, before=old, after=new)
    return filing


def _save_new(*, actor: User, header: FilingHeader, lines: Sequence[LineEntry], entry_token: UUID | None, now: datetime) -> Filing:
    """Store a new filing, unless its page has stored it already."""
    made = _made_by(actor, entry_token)
    if made is None:
        try:
            with transaction.atomic():
                return _create(actor=actor, header=header, lines=lines, entry_token=entry_token, now=now)
        except IntegrityError as error:
            if _violated(error) != "filing_once_per_entry":
                raise
            made = _made_by(actor, entry_token)
    if made is None or made.deleted_at is not None or not _says(snapshot(made), header, lines):
        # The same page, but not the same filing: a window that was copied, or contents that were changed since.
        with transaction.atomic():
            return _create(actor=actor, header=header, lines=lines, entry_token=None, now=now)
    if made.status not in states.EDITABLE:
        raise EntryAlreadyDeclared(made)
    return made


def _made_by(actor: User, entry_token: UUID | None) -> Filing | None:
    """The filing that this user's entry page has already made, if any; also one that was deleted since."""
    if entry_token is None:
        return None
    filing: Filing | None = Filing.unscoped.filter(created_by=actor, enterprise=actor.enterprise, entry_token=entry_token).first()
    return filing


def _says(stored: Mapping[str, Any], header: FilingHeader, lines: Sequence[LineEntry]) -> bool:
    """Whether a filing's snapshot holds just these contents."""
    values = rules.without_grey_header(asdict(header))
    bodies = [rules.without_grey_line(asdict(line), values) for line in lines]
    return all(stored[name] == value for name, value in values.items()) and stored["lines"] == bodies


def _create(*, actor: User, header: FilingHeader, lines: Sequence[LineEntry], entry_token: UUID | None, now: datetime) -> Filing:
    enterprise = actor.enterprise
    if enterprise is None:
        raise ActionRefused(_("当前账号不属于任何企业，不能录入单据。"))
    local = now.astimezone(ZoneInfo(settings.TIME_ZONE))
    filing = Filing(
        enterprise=enterprise,
        created_by=actor,
        data_center_no=f"{local:%Y}{next_value(DATA_CENTER_SEQUENCE):014d}",
        trip_no=f"{local:%Y%m}{card_part(actor)}{next_value(TRIP_SEQUENCE):013d}",
        status=states.TABLE.initial,
        entered_at=now,
        status_at=now,
        credit_code=enterprise.credit_code,
        organisation_code=enterprise.organisation_code,
        operator=operator_of(actor),
        entry_token=entry_token,
    )
    _assign(filing, header)
    filing.save(force_insert=True)
    _replace_lines(filing, lines)
    audit.record(action="smartgate.filing.create", obj=filing, actor=actor, enterprise_id=filing.enterprise_id, after=snapshot(filing))
    return filing


def operator_of(actor: User) -> str:
    """操作人员: the number of the user's bound card, without one his user name (M4 §3.1.1.1)."""
    return actor.ic_card_no or actor.username


def card_part(actor: User) -> str:
    """Characters 7 to 19 of a 车次确认编号: the bound card's number, without one `U` and the user's id padded to 12."""
    return actor.ic_card_no or f"U{actor.pk:012d}"


def declare_filing(*, actor: User, filing_id: int, lock_version: int | None = None, presented_card_no: str | None = None) -> Filing:
    """申报: check everything once more, and send the filing to customs as a message of the same transaction (SGW-04).

    `presented_card_no` is the number of the card in the user's reader, None without one.
    Raises Filing.DoesNotExist, ForbiddenTransition, FilingChanged, FilingInvalid as `save_filing` does, and ActionRefused when the
    card is missing or another one, or the vehicle has an open filing already.
    """
    known = _of_actor(actor, filing_id)
    with audit.refusals_recorded(action="smartgate.filing.declare", obj=known, actor=actor, enterprise_id=known.enterprise_id):
        try:
            with transaction.atomic():
                return _declare(actor=actor, filing_id=filing_id, lock_version=lock_version, presented_card_no=presented_card_no)
        except IntegrityError as error:
            if _violated(error) == "filing_one_open_per_vehicle":
                raise ActionRefused(
                    _(
                        "介质“%(key)s”已有一票未办结的申报，不能重复申报。请待该票办结或离场后再申报；该票不是本企业申报的，请与承运车辆的其他委托方核实。"
                    )
                    % {"key": known.bind_key_info}
                ) from None
            raise


def _declare(*, actor: User, filing_id: int, lock_version: int | None, presented_card_no: str | None) -> Filing:
    filing = _locked(filing_id)
    before = filing.status
    target = states.TABLE.target(before, states.Event.DECLARE, doing=str(states.DECLARE.label))
    if lock_version is not None and filing.lock_version != lock_version:
        raise FilingChanged(_("该单据已被其他用户修改。请核对最新内容后再申报。"))
    _check_card(actor, presented_card_no)
    _check_not_with_customs(filing)
    filing.operator = operator_of(actor)
    lines = list(filing.lines.all())
    errors = rules.filing_errors(filing, lines)
    if errors:
        raise FilingInvalid(errors)
    now = timezone.now()
    filing.version += 1
    message = queue_message(
        partner=messages.CUSTOMS,
        message_type=messages.FILING,
        business=messages.filing_element(filing, lines, messages.Function.ADD),
        subject=filing.subject,
        enterprise_id=filing.enterprise_id,
    )
    filing.message_id = message.message_id
    filing.declared_at = now
    _move(filing, target, at=now)
    filing.save(update_fields=["version", "message_id", "declared_at", "operator", *_MOVED])
    audit.record(
        action="smartgate.filing.declare",
        obj=filing,
        actor=actor,
        enterprise_id=filing.enterprise_id,
        before={"status": before},
        after={"status": filing.status, "version": filing.version, "message_id": message.message_id},
    )
    log.info("filing_declared", trip_no=filing.trip_no, message_id=str(message.message_id))
    return filing


def _check_card(actor: User, presented_card_no: str | None) -> None:
    """The operator's own card must be in the reader (`domain.md` §3.3, CARD-05)."""
    if presented_card_no is not None and presented_card_no != actor.ic_card_no:
        raise ActionRefused(
            _("当前卡号 %(card)s 与用户注册信息卡号 %(bound)s 不一致，无法进行申报")
            % {"card": presented_card_no, "bound": actor.ic_card_no}
        )
    if settings.CARD_REQUIRED and presented_card_no is None:
        raise ActionRefused(_("未检测到 IC 卡或 Ikey，无法进行申报。请插入与当前账号绑定的卡后重试。"))


def _check_not_with_customs(filing: Filing) -> None:
    """Not while customs has answered a declaration that its own exchange says it refused: customs may hold the filing.

    The state table keeps such a filing in 发往内网失败 (`domain.md` §3.4); declaring it or another one of its vehicle would double it,
    deleting would lose it. An answer that rejects it agrees with the exchange and stands in nobody's way.
    """
    answers = FilingReceipt.unscoped.filter(filing=OuterRef("pk"), version=OuterRef("version")).exclude(event=states.Event.REJECTED)
    of_the_vehicle = Filing.unscoped.filter(
        enterprise_id=filing.enterprise_id,
        bind_key_info=filing.bind_key_info,
        bind_key_type=filing.bind_key_type,
        status=FilingStatus.RELAY_FAILED,
        deleted_at__isnull=True,
    )
    contradicted = of_the_vehicle.filter(Exists(answers)).first()
    if contradicted is not None:
        raise ActionRefused(
            _("海关已对车次 %(trip_no)s 作出回执，与“发往内网失败”的通知矛盾。为避免重复申报，请先查看该票回执并联系平台客服核实。")
            % {"trip_no": contradicted.trip_no}
        )


def delete_filing(*, actor: User, filing_id: int, lock_version: int | None = None) -> None:
    """删除: take away a filing that customs has not accepted. It is gone for every user; the row stays for late receipts and audit.

    Raises Filing.DoesNotExist, ForbiddenTransition and FilingChanged as `save_filing` does.
    """
    known = _of_actor(actor, filing_id)
    with (
        audit.refusals_recorded(action="smartgate.filing.delete", obj=known, actor=actor, enterprise_id=known.enterprise_id),
        transaction.atomic(),
    ):
        filing = _locked(filing_id)
        states.require(states.DELETE, filing.status)
        if lock_version is not None and filing.lock_version != lock_version:
            raise FilingChanged(_("该单据已被其他用户修改，未删除。请核对最新内容后再操作。"))
        _check_not_with_customs(filing)
        before = snapshot(filing)
        filing.deleted_at = timezone.now()
        filing.lock_version += 1
        filing.save(update_fields=["deleted_at", "lock_version"])
        audit.record(action="smartgate.filing.delete", obj=filing, actor=actor, enterprise_id=filing.enterprise_id, before=before)


def mark_relayed(*, subject: str, message_id: UUID, at: datetime) -> bool:
    """发往内网成功: customs' exchange has stored the message. Whether the filing moved; a second time changes nothing."""
    return _delivery(subject=subject, message_id=message_id, event=states.Event.RELAYED, at=at, note="")


def mark_relay_refused(*, subject: str, message_id: UUID, at: datetime, code: str, reason: str) -> bool:
    """发往内网失败: customs' exchange has refused the message for good. Whether the filing moved."""
    note = _("发往内网失败：%(why)s（%(code)s）。请核对后重新申报；再次失败请联系平台客服。") % {
        "why": _why_refused(code, reason),
        "code": code,
    }
    return _delivery(subject=subject, message_id=message_id, event=states.Event.RELAY_REFUSED, at=at, note=note[:1000])


def _why_refused(code: str, reason: str) -> str:
    """A refusal in the user's language. The relay's and the partner's own words are for operators, unless they are Chinese."""
    if has_chinese(reason):
        return reason
    known = {
        "FAIL_BOX": _("海关端未能接收报文"),
        "SCHEMA": _("报文格式不符合海关要求"),
        "TOO_LARGE": _("报文超过海关端的大小限制"),
        "ID_REUSED": _("报文编号重复"),
    }
    return known.get(code, _("海关端不能识别报文"))


# No savepoint for what customs says: the relay hands over many messages in one transaction, and what fails rolls all of it back
# (docs/adr/0031). Savepoints were a third of the statements that a message costs.
@transaction.atomic(savepoint=False)
def _delivery(*, subject: str, message_id: UUID, event: states.Event, at: datetime, note: str) -> bool:
    filing = _for_an_answer().get(data_center_no=data_center_no_of(subject))
    if filing.message_id != message_id or not states.TABLE.allows(filing.status, event):
        log.info("delivery_without_effect", trip_no=filing.trip_no, status=filing.status, filing_event=event.value)
        return False
    _apply(filing, event, at=at, note=note, message_id=message_id)
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
    _apply(filing, states.Event(receipt.event), at=receipt.event_time, note=receipt.note, message_id=message_id)
    return "applied"


def _for_an_answer() -> QuerySet[Filing]:
    """Filings, locked, with the columns that an answer of customs looks at: thousands of answers come in a minute."""
    filings: QuerySet[Filing] = Filing.unscoped.select_for_update(of=("self",)).only(
        "data_center_no", "trip_no", "enterprise_id", "status", "version", "message_id", "lock_version"
    )
    return filings


def _why_without_effect(filing: Filing, receipt: messages.Receipt, in_reply_to: UUID | None) -> str:
    """Why a receipt only gets kept, in the user's words; empty when it moves the filing."""
    if receipt.version != filing.version or (in_reply_to is not None and in_reply_to != filing.message_id):
        return _("该回执针对第 %(version)s 次申报，单据当前为第 %(current)s 次申报。") % {
            "version": receipt.version,
            "current": filing.version,
        }
    if receipt.event not in states.CUSTOMS_EVENTS or not states.TABLE.allows(filing.status, receipt.event):
        return _("收到时单据状态为“%(state)s”，该回执不改变状态。") % {"state": filing.status_label}
    return ""


_MOVED = ("status", "status_at", "status_note", "lock_version")


def _move(filing: Filing, target: str, *, at: datetime, note: str = "") -> None:
    filing.status = target
    filing.status_at = at
    filing.status_note = note
    filing.lock_version += 1


def _apply(filing: Filing, event: states.Event, *, at: datetime, note: str, message_id: UUID) -> None:
    """Move a locked filing by an event of the relay or of customs, and tell the audit trail."""
    before = filing.status
    _move(filing, states.TABLE.target(before, event, doing=event.value), at=at, note=note)
    filing.save(update_fields=_MOVED)
    audit.record(
        action=f"smartgate.filing.{event.value.lower()}",
        obj=filing,
        actor=None,
        enterprise_id=filing.enterprise_id,
        before={"status": before},
        after={"status": filing.status, "message_id": message_id},
        reason=note,
    )


def _violated(error: IntegrityError) -> str:
    """Name of the database constraint that an IntegrityError speaks of."""
    return str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", ""))


def _of_actor(actor: User, filing_id: int) -> Filing:
    filing: Filing = Filing.objects.for_user(actor).get(pk=filing_id)
    return filing


def _locked(filing_id: int) -> Filing:
    filing: Filing = Filing.unscoped.select_for_update(of=("self",)).get(pk=filing_id, deleted_at__isnull=True)
    return filing


def _assign(filing: Filing, header: FilingHeader) -> None:
    for name, value in rules.without_grey_header(asdict(header)).items():
        setattr(filing, name, value)


def _replace_lines(filing: Filing, lines: Sequence[LineEntry]) -> None:
    """Store the body as it stands on the page; line numbers are 1, 2, 3 … without gaps."""
    filing.lines.all().delete()
    header = header_values(filing)
    FilingLine.unscoped.bulk_create(
        FilingLine(enterprise_id=filing.enterprise_id, filing=filing, line_no=number, **rules.without_grey_line(asdict(line), header))
        for number, line in enumerate(lines, start=1)
    )


def header_values(filing: Filing) -> dict[str, Any]:
    """The header's entered fields by name."""
    return {name: getattr(filing, name) for name in HEADER_NAMES}


def line_values(line: FilingLine) -> dict[str, Any]:
    """A body line's entered fields by name."""
    return {name: getattr(line, name) for name in LINE_NAMES}


def snapshot(filing: Filing) -> Mapping[str, Any]:
    """The filing with its lines as plain values, for the audit trail."""
    return {
        **header_values(filing),
        "status": FilingStatus(filing.status).value,
        "lines": [line_values(line) for line in filing.lines.order_by("line_no")],
    }
