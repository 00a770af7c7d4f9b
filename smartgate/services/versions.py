"""The versions of a filing: what was sent of it, what is to be, and which vehicles that takes (docs/adr/0100).

Whoever writes here holds the filing's row.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Max
from django.utils.translation import gettext as _

from accounts.models import User
from core import locks
from core.workflow import ActionRefused
from smartgate import contents, states, vehicles
from smartgate.models import OPEN_STATUSES, Filing, FilingLine, FilingVersion, Function, Outcome


def next_number(filing: Filing) -> int:
    """The number of the next message about a filing: one more than that of any before, whatever became of them."""
    return next_numbers([filing])[filing.pk]


def next_numbers(filings: Sequence[Filing]) -> dict[int, int]:
    """The same of many, by their ids. One query."""
    kept = FilingVersion.unscoped.filter(filing__in=[filing.pk for filing in filings]).order_by().values_list("filing_id")
    last: dict[int, int | None] = dict(kept.annotate(last=Max("number")))
    return {filing.pk: max(last.get(filing.pk) or 0, filing.version) + 1 for filing in filings}


def keep_declared(filing: Filing, lines: Sequence[FilingLine], *, actor: User | None) -> None:
    """Keep what a filing was declared with, as its `version`; `actor` is None when nobody knows any more who declared it."""
    FilingVersion.unscoped.create(
        enterprise_id=filing.enterprise_id,
        filing=filing,
        number=filing.version,
        function=Function.ADD,
        contents=contents.of_filing(filing, lines),
        bind_key_type=filing.bind_key_type,
        bind_key_info=filing.bind_key_info,
        asked_by=actor,
        asked_at=filing.declared_at or filing.status_at,
        message_id=filing.message_id,
    )


def keep_standing(filing: Filing) -> None:
    """Have the version that customs holds among those that are kept: filings declared before there were any have none."""
    if not FilingVersion.unscoped.filter(filing=filing, number=filing.version).exists():
        keep_declared(filing, list(filing.lines.all()), actor=None)


def waiting(filing: Filing) -> FilingVersion | None:
    """The 变更 or 删单 that customs owes an answer to, if any."""
    found: FilingVersion | None = FilingVersion.unscoped.filter(filing=filing, outcome=Outcome.WAITING).first()
    return found


def draft_of(filing: Filing) -> FilingVersion | None:
    """The 变更 that was stored and not sent, if any."""
    found: FilingVersion | None = FilingVersion.unscoped.filter(filing=filing, outcome=Outcome.DRAFT).first()
    return found


def change_sent_as(filing: Filing, message_id: UUID) -> FilingVersion | None:
    """The 变更 or 删单 that went out with a message, if it was one."""
    found: FilingVersion | None = FilingVersion.unscoped.filter(filing=filing, message_id=message_id).exclude(function=Function.ADD).first()
    return found


def concerns_what_customs_holds(filing: Filing, *, number: int, in_reply_to: UUID | None, event: states.Event) -> bool:
    """Whether a receipt that names a version speaks of the filing as it was last declared.

    Each version since that declaration is the same filing to customs: those that it accepted, and the change that is under way, of which
    it may speak already when it locks or closes the filing. STORED and REJECTED answer what customs has taken, not a change that waits.
    """
    named: FilingVersion | None = FilingVersion.unscoped.filter(filing=filing, number=number).first()
    if named is None or in_reply_to not in (None, named.message_id):
        return False
    declared = FilingVersion.unscoped.filter(filing=filing, function=Function.ADD).aggregate(last=Max("number"))["last"]
    if number < (declared or 0):
        return False
    if named.function == Function.ADD or named.outcome == Outcome.ACCEPTED:
        return True
    return named.outcome in (Outcome.WAITING, Outcome.OVERTAKEN) and event not in (states.Event.STORED, states.Event.REJECTED)


def require_none_waiting(filing: Filing, *, doing: str) -> None:
    """One change at a time. Raises ActionRefused while customs owes the answer to one."""
    change = waiting(filing)
    if change is not None:
        raise ActionRefused(
            _("该票第 %(number)s 版（%(what)s）正在等待海关答复，不能再%(doing)s。请待海关答复后再操作。")
            % {"number": change.number, "what": change.get_function_display(), "doing": doing}
        )


def claim_vehicle(filing: Filing, *, doing: str) -> None:
    """Hold the vehicle of `filing` (as it is, or as a 变更 will make it) until the transaction ends; `doing` is what it is wanted for.

    A vehicle is taken by an open filing, which an index keeps (docs/adr/0006), and by a change that customs owes an answer to: until then
    the old vehicle is taken and the new one too. Raises ActionRefused when a change of another filing has it; of open filings the caller
    hears from the index, or from `is_open_elsewhere`.
    """
    locks.hold("smartgate.vehicle", [f"{filing.bind_key_type}:{filing.bind_key_info}"])
    if FilingVersion.unscoped.filter(outcome=Outcome.WAITING, **vehicles.key_of(filing)).exclude(filing_id=filing.pk).exists():
        raise vehicle_taken(filing, doing=doing)


def is_open_elsewhere(filing: Filing) -> bool:
    """Whether another filing of the vehicle is open; to be asked by who has claimed it."""
    others = Filing.unscoped.filter(status__in=OPEN_STATUSES, deleted_at__isnull=True, **vehicles.key_of(filing)).exclude(pk=filing.pk)
    return bool(others.exists())


def vehicle_taken(filing: Filing, *, doing: str) -> ActionRefused:
    """What the user is told whose vehicle another filing has: which one, if it is his enterprise's; never whose it is otherwise."""
    rows = vehicles.holders([filing.bind_key_type], [filing.bind_key_info])
    other = next((row for row in rows if row["pk"] != filing.pk), None)
    if other is not None and other["enterprise_id"] == filing.enterprise_id:
        text = _("介质“%(key)s”已有一票未办结的申报（车次 %(trip_no)s），不能%(doing)s。请待该票办结或离场后再操作。")
        return ActionRefused(text % {"key": filing.bind_key_info, "trip_no": other["trip_no"], "doing": doing})
    if other is None:
        # It ended while it was being looked up.
        return ActionRefused(
            _("介质“%(key)s”刚才已有一票未办结的申报，未能%(doing)s。请重试。") % {"key": filing.bind_key_info, "doing": doing}
        )
    text = _("介质“%(key)s”已有一票未办结的申报，由其他企业提交，不能%(doing)s。请待该票办结或离场后再操作，或与承运车辆的其他委托方核实。")
    return ActionRefused(text % {"key": filing.bind_key_info, "doing": doing})


def end(change: FilingVersion, outcome: Outcome, *, at: datetime, reason: str = "") -> None:
    """Put down what became of a change."""
    change.outcome = outcome
    change.outcome_at = at
    change.reason = reason[:1000]
    change.save(update_fields=["outcome", "outcome_at", "reason"])
