"""States of a filing and who may do what in which (`domain.md` §3.4, SGW-05, SGW-07).

One table for services, views, templates and tests.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.rights import Right
from core.workflow import StateTable, Transition
from smartgate.models import FilingStatus as S


class Event(StrEnum):
    """What moves a filing. The upper-case ones are customs' words in SGW102."""

    DECLARE = "declare"
    RELAYED = "relayed"
    RELAY_REFUSED = "relay_refused"
    STORED = "STORED"
    REJECTED = "REJECTED"
    LOCKED = "LOCKED"
    UNLOCKED = "UNLOCKED"
    CLOSED = "CLOSED"
    CLOSED_MANUALLY = "CLOSED_MANUALLY"
    DEPARTED = "DEPARTED"
    VOID_ACCEPTED = "void_accepted"


class ChangeAnswer(StrEnum):
    """Customs' answer to a 变更 or 删单, in the words of SGW102."""

    ACCEPTED = "CHANGE_ACCEPTED"
    REJECTED = "CHANGE_REJECTED"


#: Events that customs reports as such; the others are the portal's own names.
CUSTOMS_EVENTS = frozenset(
    {Event.STORED, Event.REJECTED, Event.LOCKED, Event.UNLOCKED, Event.CLOSED, Event.CLOSED_MANUALLY, Event.DEPARTED}
)


def _from(*sources: S) -> frozenset[str]:
    return frozenset(source.value for source in sources)


TABLE = StateTable(
    initial=S.DRAFT,
    labels={status.value: status.label for status in S},
    transitions=[
        Transition(_from(S.DRAFT, S.REJECTED, S.RELAY_FAILED), Event.DECLARE, S.DECLARED),
        Transition(_from(S.DECLARED), Event.RELAYED, S.RELAYED),
        Transition(_from(S.DECLARED), Event.RELAY_REFUSED, S.RELAY_FAILED),
        Transition(_from(S.RELAYED), Event.STORED, S.STORED),
        Transition(_from(S.RELAYED, S.STORED), Event.REJECTED, S.REJECTED),
        Transition(_from(S.STORED, S.UNLOCKED), Event.LOCKED, S.LOCKED),
        Transition(_from(S.LOCKED), Event.UNLOCKED, S.UNLOCKED),
        Transition(_from(S.STORED, S.LOCKED, S.UNLOCKED), Event.CLOSED, S.CLOSED),
        Transition(_from(S.STORED, S.LOCKED, S.UNLOCKED), Event.CLOSED_MANUALLY, S.CLOSED_MANUALLY),
        Transition(_from(S.STORED, S.UNLOCKED, S.CLOSED, S.CLOSED_MANUALLY), Event.DEPARTED, S.DEPARTED),
        # Asked for in 海关入库成功 and 解除锁定; customs may have locked the filing before it answers (docs/adr/0100).
        Transition(_from(S.STORED, S.LOCKED, S.UNLOCKED), Event.VOID_ACCEPTED, S.VOIDED),
    ],
)

#: 暂存, 退单, 发往内网失败: the filing is the enterprise's again, to change, delete or declare.
EDITABLE = TABLE.sources(Event.DECLARE)
#: 海关入库成功, 解除锁定: customs holds the filing, and may be asked to change or to void it.
CHANGEABLE = _from(S.STORED, S.UNLOCKED)
#: Customs holds the filing and is not through with it: what was asked of it can still come about.
HELD = CHANGEABLE | _from(S.LOCKED)
#: Customs is through with the filing; what passed the gate stays on record.
PASSED = _from(S.CLOSED, S.CLOSED_MANUALLY, S.DEPARTED)
_ALL = frozenset(S.values)


@dataclass(frozen=True, slots=True)
class Action:
    """Something a user does with a filing: its name on the button, the right it needs, the states that allow it."""

    name: str
    label: str | Promise
    right: Right
    states: frozenset[str]


VIEW = Action("view", _("查看"), Right.SMARTGATE_VIEW, _ALL)
EDIT = Action("edit", _("修改"), Right.SMARTGATE_EDIT, EDITABLE)
COPY = Action("copy", _("复制"), Right.SMARTGATE_EDIT, _ALL)
DELETE = Action("delete", _("删除"), Right.SMARTGATE_EDIT, EDITABLE)
DECLARE = Action("declare", _("申报"), Right.SMARTGATE_DECLARE, EDITABLE)
PRINT = Action("print", _("打印"), Right.SMARTGATE_VIEW, _ALL)
AMEND = Action("amend", _("变更"), Right.SMARTGATE_EDIT, CHANGEABLE)
VOID = Action("void", _("删单"), Right.SMARTGATE_DECLARE, CHANGEABLE)
#: One at a time: not while customs owes the answer to one.
CHANGES = (AMEND, VOID)
#: In any state, as soon as there is a receipt.
RECEIPTS = Action("receipts", _("查看回执"), Right.SMARTGATE_VIEW, _ALL)


def may(action: Action, *, user: Any, status: str, has_receipt: bool = False, is_changing: bool = False) -> bool:
    """Whether `user` may do `action` with a filing of his enterprise in that state; `is_changing` while a 变更 or 删单 waits."""
    if (action is RECEIPTS and not has_receipt) or (action in CHANGES and is_changing):
        return False
    return status in action.states and user.has_right(action.right)


def require(action: Action, status: str) -> None:
    """Raises ForbiddenTransition, with a text for the user, when the state does not allow the action."""
    if status not in action.states:
        raise TABLE.refusal(status, action.name, doing=str(action.label))


#: Customs' words in a receipt, as users read them.
RECEIPT_LABELS: dict[str, str | Promise] = {
    Event.STORED: S.STORED.label,
    Event.REJECTED: S.REJECTED.label,
    Event.LOCKED: S.LOCKED.label,
    Event.UNLOCKED: S.UNLOCKED.label,
    Event.CLOSED: S.CLOSED.label,
    Event.CLOSED_MANUALLY: S.CLOSED_MANUALLY.label,
    Event.DEPARTED: S.DEPARTED.label,
    ChangeAnswer.ACCEPTED: _("变更或删单已接受"),
    ChangeAnswer.REJECTED: _("变更或删单被退回"),
}
#: What users did and what became of changes, as a filing's history tells it; everything else there is told by the state it led to.
AUDIT_LABELS: dict[str, str | Promise] = {
    "create": _("新增"),
    "edit": _("修改"),
    "declare": _("申报"),
    "delete": _("删除"),
    "amend_save": _("暂存变更"),
    "amend_discard": _("放弃变更"),
    "amend": _("申报变更"),
    "void": _("申报删单"),
    "change_accepted": _("海关已接受变更"),
    "change_rejected": _("变更或删单被海关退回"),
    "change_not_sent": _("变更或删单未送达海关"),
    "change_overtaken": _("变更或删单已失效"),
    "change_again": _("平台将变更或删单重新发往内网"),
}
