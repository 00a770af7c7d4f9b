"""Sending messages again: the same id, the same bytes (`architecture.md` §4.2).

A message that has ended begins anew: it is queued, goes out, and waits for its receipt like any other. The partner drops the repeat
and sends the receipt it sent before; that one counts again (`relay.services.repeats`). One that had been delivered waits once, and no
longer: silence cannot take back what the partner has said (docs/adr/0095). One that still waits for its receipt is a repeat,
only earlier (docs/adr/0107). Whether a refused one may go is for the application to say, which has told its users so
(`registry.register_outbound`, `on_requeued`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial as bind
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import audit
from core.workflow import ActionRefused
from relay import registry
from relay.models import OutboundMessage, OutboundState
from relay.services.dispatching import reference
from relay.services.operations.actors import OperationRefused, Operator
from relay.wake import wake

log = structlog.get_logger(__name__)

#: Ids looked up at a time.
PORTION: Final = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """Which outbound messages are meant; what is empty does not narrow. Without a state: those that have not ended.

    Our own technical receipts end as `sent`, all of them since the beginning: without a `since`, that state means what waits for a
    receipt, and no more.
    """

    partner: str = ""
    message_type: str = ""
    state: str = ""
    since: datetime | None = None
    until: datetime | None = None
    subject: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was chosen, which would mean everything that waits."""
        return self == Selection()

    def queryset(self) -> QuerySet[OutboundMessage]:
        """The messages; `since` is included, `until` is not."""
        state = Q(state=self.state) if self.state else Q()
        if not self.state or (self.state == OutboundState.SENT and self.since is None):
            state &= Q(finished_at__isnull=True)
        conditions: dict[str, Any] = {
            "partner": self.partner,
            "message_type": self.message_type,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
            "subject": self.subject,
        }
        return OutboundMessage.objects.filter(state, **{name: value for name, value in conditions.items() if value})


class ResendOutcome(StrEnum):
    """What became of one message that was to go again."""

    QUEUED = "queued"
    ALREADY = "already_queued"
    SENDING = "being_sent"
    EMPTIED = "emptied"
    FORBIDDEN = "forbidden"

    @property
    def label(self) -> str | Promise:
        """In words."""
        return _LABELS[self]


_LABELS: Final[dict[ResendOutcome, str | Promise]] = {
    ResendOutcome.QUEUED: gettext_lazy("重新发送"),
    ResendOutcome.ALREADY: gettext_lazy("已在待发送之列"),
    ResendOutcome.SENDING: gettext_lazy("正在发送"),
    ResendOutcome.EMPTIED: gettext_lazy("内容已按保存期限清除，不能重发"),
    ResendOutcome.FORBIDDEN: gettext_lazy("业务不允许重发"),
}


@dataclass(frozen=True, slots=True)
class Resent:
    """One message, what it was, and what became of it; `text` is the application's, when it forbids."""

    id: int
    message_id: UUID
    message_type: str
    partner: str
    subject: str
    state: str
    created_at: datetime
    outcome: ResendOutcome
    text: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "message_id": str(self.message_id),
            "message_type": self.message_type,
            "partner": self.partner,
            "subject": self.subject,
            "state": self.state,
            "created_at": self.created_at.isoformat(),
            "outcome": self.outcome.value,
            "text": self.text,
        }


def resend_selected(selection: Selection, *, operator: Operator, dry_run: bool, reason: str = "") -> Iterator[Resent]:
    """Send every selected message again, oldest first, each in a transaction of its own; tells of each as it is done.

    A dry run does the same and takes it back, so that it says what would become of each. Raises OperationRefused for an empty
    selection (NOTHING_SELECTED).
    """
    if selection.is_empty:
        raise OperationRefused("NOTHING_SELECTED", _("请至少给出一个筛选条件。"))
    return _each(selection, operator, dry_run, reason)


def _each(selection: Selection, operator: Operator, dry_run: bool, reason: str) -> Iterator[Resent]:
    last = 0
    while ids := list(selection.queryset().filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PORTION]):
        last = ids[-1]
        for pk in ids:
            try:
                yield _resend(Q(pk=pk), operator, dry_run, reason)
            except OutboundMessage.DoesNotExist:
                continue  # housekeeping took it meanwhile


def resend(*, message_id: UUID, operator: Operator, dry_run: bool = False, reason: str = "") -> Resent:
    """Send one message again. Raises OperationRefused: UNKNOWN_MESSAGE."""
    try:
        return _resend(Q(message_id=message_id), operator, dry_run, reason)
    except OutboundMessage.DoesNotExist:
        raise OperationRefused("UNKNOWN_MESSAGE", _("没有编号为 %(id)s 的发出报文。") % {"id": message_id}) from None


def _resend(which: Q, operator: Operator, dry_run: bool, reason: str) -> Resent:
    with transaction.atomic():
        message = OutboundMessage.objects.select_for_update().defer("content").get(which)
        before = message.state
        outcome, text = _queue_again(message, operator, reason, audited=not dry_run)
        if dry_run:
            transaction.set_rollback(True)
        elif outcome == ResendOutcome.QUEUED:
            transaction.on_commit(bind(wake, message.partner), robust=True)
    if outcome == ResendOutcome.QUEUED and not dry_run:
        log.info(
            "relay_resend",
            request_id=message.request_id,
            message_id=str(message.message_id),
            message_type=message.message_type,
            subject=message.subject,
            was=before,
            operator=operator.get_username(),
        )
    return Resent(
        message.pk,
        message.message_id,
        message.message_type,
        message.partner,
        message.subject,
        before,
        message.created_at,
        outcome,
        text,
    )


def _queue_again(message: OutboundMessage, operator: Operator, reason: str, *, audited: bool) -> tuple[ResendOutcome, str]:
    """Have a locked message go at once; says what was not done, and why the application forbids it."""
    now = timezone.now()
    if message.emptied_at is not None:
        return ResendOutcome.EMPTIED, ""
    if message.leased_until is not None and message.leased_until > now:
        return ResendOutcome.SENDING, ""
    if message.state == OutboundState.QUEUED and message.due_at <= now:
        return ResendOutcome.ALREADY, ""
    if message.state == OutboundState.REFUSED and (forbidden := _application_forbids(message, now)):
        return ResendOutcome.FORBIDDEN, forbidden
    before = {"state": message.state, "reason_code": message.reason_code, "reason_text": message.reason_text}
    if message.state == OutboundState.DELIVERED:
        message.delivered_before = True
    if message.finished_at is not None or message.delivered_before:
        message.state = OutboundState.QUEUED
        message.finished_at = None
        message.reason_code = message.reason_text = ""
    message.due_at = now
    message.lease_token = message.leased_until = None
    message.save(
        update_fields=["state", "finished_at", "reason_code", "reason_text", "due_at", "delivered_before", "lease_token", "leased_until"]
    )
    if audited:
        audit.record(
            action="relay.message.resend",
            obj=message,
            actor=operator,
            enterprise_id=None,
            before=before,
            after={"state": str(message.state)},
            reason=reason,
        )
    return ResendOutcome.QUEUED, ""


def _application_forbids(message: OutboundMessage, now: datetime) -> str:
    """Why a refused message must not go again; empty when it may, and the application has taken the refusal back."""
    hooks = registry.outbound_hooks(message.message_type)
    if hooks is None or (hooks.on_refused is not None and hooks.on_requeued is None):
        return _("该类型报文被拒收后不能由平台重发。")
    if hooks.on_requeued is None:
        return ""
    try:
        # A savepoint: what the application did before it said no is taken back.
        with transaction.atomic():
            hooks.on_requeued(reference(message), now)
    except ActionRefused as refusal:
        return str(refusal)
    return ""
