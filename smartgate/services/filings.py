"""What users store and delete, and what every write to a filing shares."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from core import audit
from core.numbering import next_values
from core.workflow import ActionRefused
from smartgate import rules, states
from smartgate.models import Filing, FilingLine, FilingStatus
from smartgate.services import contradictions

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
    plate_verified: bool = False
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
    """What was sent is declared already, word for word: a second click, or an answer that was lost on the way. `filing` is that one.

    Customs or its exchange may have sent it back since: then it is for the user to read that before he declares it again.
    """

    def __init__(self, filing: Filing) -> None:
        super().__init__(
            _("您提交的页面不是该票单据的最新情况：现为“%(state)s”，本次操作没有执行。请先查看状态说明与回执，再决定是否修改、重新申报。")
            % {"state": filing.get_status_display()}
            if filing.status in states.EDITABLE
            else _("该票单据已申报，请勿重复提交。")
        )
        self.filing = filing


def save_filing(
    *,
    actor: User,
    header: FilingHeader,
    lines: Sequence[LineEntry],
    filing_id: int | None = None,
    lock_version: int | None = None,
    entry_token: UUID | None = None,
    to_declare: bool = False,
    at: datetime | None = None,
) -> Filing:
    """暂存: store a new filing, or the changed contents of one that may be edited (M4 §3.1.2).

    A new one gets its numbers, 录入时间 and the state 暂存; an edited one keeps state and numbers. `header` and `lines` must have
    passed the form; grey fields are emptied here once more, whoever calls. `lock_version` is the one the user's page showed. `entry_token`
    marks the page of a new filing: the same contents sent from it again are the same filing; other contents are another one.
    Contents that a filing has already leave it untouched; `to_declare` says that 申报 follows, which a page may ask for only when it
    has shown what became of the last one.
    `at` is the time of entry of a new filing (now when None).
    Raises Filing.DoesNotExist when the filing is not the actor's, ForbiddenTransition when its state forbids editing,
    FilingChanged when it was saved with other contents meanwhile, EntryAlreadyDeclared when just these contents are declared already.
    """
    if filing_id is None:
        return _save_new(actor=actor, header=header, lines=lines, entry_token=entry_token, now=at or timezone.now())
    known = of_actor(actor, filing_id)
    with (
        audit.refusals_recorded(action="smartgate.filing.edit", obj=known, actor=actor, enterprise_id=known.enterprise_id),
        transaction.atomic(),
    ):
        filing = locked(filing_id)
        before = snapshot(filing)
        says_so = _says(before, header, lines)
        is_behind = lock_version is not None and filing.lock_version != lock_version
        if says_so and (filing.status not in states.EDITABLE or (to_declare and is_behind and filing.version)):
            raise EntryAlreadyDeclared(filing)
        states.require(states.EDIT, filing.status)
        if says_so:
            # Nothing to write: who is being shown what he signs shall not find it changed by his own page.
            return filing
        if is_behind:
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
            if violated(error) != "filing_once_per_entry":
                raise
            made = _made_by(actor, entry_token)
    if made is None or made.deleted_at is not None or not _says(snapshot(made), header, lines):
        # The same page, but not the same filing: a window that was copied, or contents that were changed since.
        with transaction.atomic():
            return _create(actor=actor, header=header, lines=lines, entry_token=None, now=now)
    if made.version:
        # Also one that came back since: this page has never shown that.
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
    (filing,) = create_filings(actor=actor, entries=[(header, lines)], entry_token=entry_token, at=now)
    return filing


def create_filings(
    *,
    actor: User,
    entries: Sequence[tuple[FilingHeader, Sequence[LineEntry]]],
    entry_token: UUID | None = None,
    at: datetime | None = None,
) -> list[Filing]:
    """暂存 of new filings, many at once, in their order; in the caller's transaction, which also keeps them from being made twice.

    As in `save_filing`, headers and lines must have passed the form. Raises ActionRefused for who belongs to no enterprise.
    """
    enterprise, now = actor.enterprise, at or timezone.now()
    if enterprise is None:
        raise ActionRefused(_("当前账号不属于任何企业，不能录入单据。"))
    local = now.astimezone(ZoneInfo(settings.TIME_ZONE))
    numbers = zip(next_values(DATA_CENTER_SEQUENCE, len(entries)), next_values(TRIP_SEQUENCE, len(entries)), strict=True)
    filings = []
    for (header, _lines), (data_center, trip) in zip(entries, numbers, strict=True):
        filing = Filing(
            enterprise=enterprise,
            created_by=actor,
            data_center_no=f"{local:%Y}{data_center:014d}",
            trip_no=f"{local:%Y%m}{card_part(actor)}{trip:013d}",
            status=states.TABLE.initial,
            entered_at=now,
            status_at=now,
            credit_code=enterprise.credit_code,
            organisation_code=enterprise.organisation_code,
            operator=operator_of(actor),
            entry_token=entry_token,
        )
        _assign(filing, header)
        filings.append(filing)
    Filing.unscoped.bulk_create(filings)
    bodies = [_lines_of(filing, lines) for filing, (_header, lines) in zip(filings, entries, strict=True)]
    FilingLine.unscoped.bulk_create([line for body in bodies for line in body])
    audit.record_each(
        action="smartgate.filing.create",
        objects=[(filing, _snapshot(filing, body)) for filing, body in zip(filings, bodies, strict=True)],
        actor=actor,
        enterprise_id=enterprise.pk,
    )
    return filings


def operator_of(actor: User) -> str:
    """操作人员: the number of the user's bound card, without one his user name (M4 §3.1.1.1)."""
    return actor.ic_card_no or actor.username


def card_part(actor: User) -> str:
    """Characters 7 to 19 of a 车次确认编号: the bound card's number, without one `U` and the user's id padded to 12."""
    return actor.ic_card_no or f"U{actor.pk:012d}"


def delete_filing(*, actor: User, filing_id: int, lock_version: int | None = None) -> None:
    """删除: take away a filing that customs has not accepted. It is gone for every user; the row stays for late receipts and audit.

    Raises Filing.DoesNotExist, ForbiddenTransition and FilingChanged as `save_filing` does.
    """
    known = of_actor(actor, filing_id)
    with (
        audit.refusals_recorded(action="smartgate.filing.delete", obj=known, actor=actor, enterprise_id=known.enterprise_id),
        transaction.atomic(),
    ):
        filing = locked(filing_id)
        states.require(states.DELETE, filing.status)
        if lock_version is not None and filing.lock_version != lock_version:
            raise FilingChanged(_("该单据已被其他用户修改，未删除。请核对最新内容后再操作。"))
        contradictions.check_may_delete(filing)
        before = snapshot(filing)
        filing.deleted_at = timezone.now()
        filing.lock_version += 1
        filing.save(update_fields=["deleted_at", "lock_version"])
        audit.record(action="smartgate.filing.delete", obj=filing, actor=actor, enterprise_id=filing.enterprise_id, before=before)


#: What `move` changes.
MOVED = ("status", "status_at", "status_note", "lock_version")


def move(filing: Filing, target: str, *, at: datetime, note: str = "") -> None:
    """Put a locked filing into another state; the caller saves MOVED."""
    filing.status = target
    filing.status_at = at
    filing.status_note = note
    filing.lock_version += 1


def violated(error: IntegrityError) -> str:
    """Name of the database constraint that an IntegrityError speaks of."""
    return str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", ""))


def of_actor(actor: User, filing_id: int) -> Filing:
    """The actor's own filing. Raises Filing.DoesNotExist for everybody else's."""
    filing: Filing = Filing.objects.for_user(actor).get(pk=filing_id)
    return filing


def locked(filing_id: int) -> Filing:
    """The filing, locked until the transaction ends. Raises Filing.DoesNotExist when it was deleted meanwhile."""
    filing: Filing = Filing.unscoped.select_for_update(of=("self",)).get(pk=filing_id, deleted_at__isnull=True)
    return filing


def _assign(filing: Filing, header: FilingHeader) -> None:
    for name, value in rules.without_grey_header(asdict(header)).items():
        setattr(filing, name, value)


def _replace_lines(filing: Filing, lines: Sequence[LineEntry]) -> None:
    """Store the body as it stands on the page; line numbers are 1, 2, 3 … without gaps."""
    filing.lines.all().delete()
    FilingLine.unscoped.bulk_create(_lines_of(filing, lines))


def _lines_of(filing: Filing, lines: Sequence[LineEntry]) -> list[FilingLine]:
    header = header_values(filing)
    return [
        FilingLine(enterprise_id=filing.enterprise_id, filing=filing, line_no=number, **rules.without_grey_line(asdict(line), header))
        for number, line in enumerate(lines, start=1)
    ]


def header_values(filing: Filing) -> dict[str, Any]:
    """The header's entered fields by name."""
    return {name: getattr(filing, name) for name in HEADER_NAMES}


def line_values(line: FilingLine) -> dict[str, Any]:
    """A body line's entered fields by name."""
    return {name: getattr(line, name) for name in LINE_NAMES}


def snapshot(filing: Filing) -> Mapping[str, Any]:
    """The filing with its lines as plain values, for the audit trail."""
    return _snapshot(filing, filing.lines.order_by("line_no"))


def _snapshot(filing: Filing, lines: Iterable[FilingLine]) -> Mapping[str, Any]:
    return {
        **header_values(filing),
        "status": FilingStatus(filing.status).value,
        "lines": [line_values(line) for line in lines],
    }
