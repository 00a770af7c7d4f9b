"""The operators' console in /admin/: what goes out, what came in, what is paused (RLY-04); by the services that the commands call."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import TextField
from django.db.models.functions import Cast
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from relay import alerts, queries
from relay.admin_forms import (
    AlertFilter,
    ChosenForm,
    InboundFilter,
    OptionalReasonForm,
    OutboundFilter,
    PauseFilter,
    PauseForm,
    ReasonForm,
    SettleForm,
)
from relay.admin_pages import Cell, MessageAdmin, OperatorsAdmin
from relay.models import Alert, InboundMessage, InboundState, OutboundMessage, OutboundState, Pause
from relay.services import NotInQuarantineError, discard_quarantined, operations, retry_quarantined
from relay.services.operations import OperationRefused, Operator, ResendOutcome, Resent

#: So many messages a page sends again at a time; more is for the command, which is not held to a request's time.
RESEND_AT_A_TIME = 200


@admin.register(OutboundMessage)
class OutboundMessageAdmin(MessageAdmin):
    """What goes out."""

    list_template = "admin/relay/outbound_list.html"
    filter_form = OutboundFilter
    time = "created_at"
    headers = [_("报文编号"), _("报文类型"), _("接收方"), _("业务对象"), _("状态"), _("生成时间"), _("尝试次数"), _("原因代码")]

    def cells(self, row: OutboundMessage) -> list[Cell]:
        return [
            Cell(row.message_id, self.address("change", row.pk)),
            Cell(row.message_type),
            Cell(row.partner),
            Cell(row.subject),
            Cell(row.get_state_display()),
            Cell(row.created_at),
            Cell(row.attempts),
            Cell(row.reason_code),
        ]

    def doings(self) -> list[Any]:
        return [
            ("resend/", "resend_chosen", self.resend_chosen),
            ("<int:pk>/resend/", "resend", self.resend),
            ("<int:pk>/settle/", "settle", self.settle),
            ("<int:pk>/content/", "content", self.download),
        ]

    def facts(self, message: OutboundMessage) -> list[tuple[str, Any, str]]:
        return self.labelled(
            message,
            [
                "message_id",
                "message_type",
                "partner",
                "subject",
                "enterprise_id",
                "in_reply_to",
                "request_id",
                "state",
                "created_at",
                "sent_at",
                "last_sent_at",
                "due_at",
                "finished_at",
                "attempts",
                "reason_code",
                "reason_text",
                "leased_until",
                "emptied_at",
            ],
        )

    def actions_for(self, message: OutboundMessage) -> list[tuple[str, str]]:
        found = []
        if message.emptied_at is None:
            found.append((self.address("resend", message.pk), gettext("重发")))
        if message.needs_receipt:
            found.append((self.address("settle", message.pk), gettext("处置送达")))
        return found

    def more(self, message: OutboundMessage) -> dict[str, Any]:
        replies = InboundMessage.objects.filter(original=message).only("file_name", "message_type", "state", "received_at").order_by("-pk")
        return {
            "attempts": message.attempt_rows.order_by("-pk")[:50],
            "replies": [(reverse("admin:relay_inboundmessage_change", args=[row.pk]), row) for row in replies[:20]],
        }

    def resend(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One message again; the question says what would become of it."""
        operator = self.require_operator(request)
        message = self.message(request, pk)
        trial = operations.resend(message_id=message.message_id, operator=operator, dry_run=True) if request.method == "GET" else None

        def do(said: dict[str, Any]) -> str:
            result = operations.resend(message_id=message.message_id, operator=operator, reason=said["reason"])
            if result.outcome not in (ResendOutcome.QUEUED, ResendOutcome.ALREADY):
                raise OperationRefused(result.outcome.value, f"{result.outcome.label}{gettext('。')}{result.text}")
            return f"{message}{gettext('：')}{result.outcome.label}"

        return self.question(
            request,
            title=gettext("重发报文"),
            text=gettext("以同一编号、同一内容重新发送。对方按编号识别重复，不会重复受理。"),
            button=gettext("确认重发"),
            form=OptionalReasonForm(self.sent(request)),
            back=self.address("change", pk),
            do=do,
            context={"trials": [trial] if trial else []},
        )

    def resend_chosen(self, request: HttpRequest) -> HttpResponse:
        """What the list's filters choose, again: the question shows each message, and just those shown go."""
        operator = self.require_operator(request)
        filters = OutboundFilter(request.GET)
        if request.method == "GET" and not any(request.GET.get(name) for name in filters.fields):
            raise PermissionDenied(gettext("请至少选择一个筛选条件。"))
        trials, is_more = self._trials(filters, operator) if request.method == "GET" else ([], False)
        going = [trial for trial in trials if trial.outcome == ResendOutcome.QUEUED]
        form = ChosenForm(self.sent(request), initial={"message_ids": " ".join(str(trial.message_id) for trial in going)})

        def do(said: dict[str, Any]) -> str:
            chosen = said["message_ids"][:RESEND_AT_A_TIME]
            results = [operations.resend(message_id=one, operator=operator, reason=said["reason"]) for one in chosen]
            queued = sum(result.outcome == ResendOutcome.QUEUED for result in results)
            told = ngettext("已重发 %d 份报文。", "已重发 %d 份报文。", queued) % queued
            left = len(results) - queued
            return told + (ngettext("另有 %d 份未重发。", "另有 %d 份未重发。", left) % left if left else "")

        text = ngettext("将重发下列报文中的 %d 份。", "将重发下列报文中的 %d 份。", len(going)) % len(going)
        if is_more:
            text += gettext("本页一次最多 %(most)s 份，其余请再次重发或使用命令 relay_resend。") % {"most": RESEND_AT_A_TIME}
        return self.question(
            request,
            title=gettext("重发筛选出的报文"),
            text=text,
            button=gettext("确认重发"),
            form=form,
            back=f"{self.address('changelist')}?{request.GET.urlencode()}",
            do=do,
            context={"trials": trials, "nothing": request.method == "GET" and not going},
        )

    def _trials(self, filters: OutboundFilter, operator: Operator) -> tuple[list[Resent], bool]:
        if not filters.is_valid():
            return [], False
        ids = list(filters.chosen().order_by("pk").values_list("message_id", flat=True)[: RESEND_AT_A_TIME + 1])
        trials = [operations.resend(message_id=one, operator=operator, dry_run=True) for one in ids[:RESEND_AT_A_TIME]]
        return trials, len(ids) > RESEND_AT_A_TIME

    def settle(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the partner said by telephone."""
        operator = self.require_operator(request)
        message = self.message(request, pk)

        def do(said: dict[str, Any]) -> str:
            done = operations.settle(
                message_id=message.message_id, delivered=said["heard"] == "delivered", reason=said["reason"], operator=operator
            )
            return f"{done}{gettext('：')}{OutboundState(done.state).label}"

        return self.question(
            request,
            title=gettext("处置报文的送达"),
            text=gettext("请先向对方核实其是否持有该报文。处置后单据状态随之变化，不能撤销。"),
            button=gettext("确认处置"),
            form=SettleForm(self.sent(request)),
            back=self.address("change", pk),
            do=do,
        )


@admin.register(InboundMessage)
class InboundMessageAdmin(MessageAdmin):
    """What came in, and the quarantine."""

    list_template = "admin/relay/inbound_list.html"
    filter_form = InboundFilter
    time = "received_at"
    not_for_python = ("send_time",)
    headers = [_("文件名"), _("报文类型"), _("发送方"), _("业务对象"), _("状态"), _("接收时间"), _("重复次数"), _("原因代码")]

    def cells(self, row: InboundMessage) -> list[Cell]:
        return [
            Cell(row.file_name, self.address("change", row.pk)),
            Cell(row.message_type),
            Cell(row.partner),
            Cell(row.subject),
            Cell(row.get_state_display()),
            Cell(row.received_at),
            Cell(row.repeats),
            Cell(row.reason_code),
        ]

    def doings(self) -> list[Any]:
        return [
            ("<int:pk>/retry/", "retry", self.retry),
            ("<int:pk>/discard/", "discard", self.discard),
            ("<int:pk>/content/", "content", self.download),
        ]

    def facts(self, message: InboundMessage) -> list[tuple[str, Any, str]]:
        # As text: a partner may have named a year that Python does not know.
        sent = InboundMessage.objects.filter(pk=message.pk).values_list(Cast("send_time", TextField()), flat=True).get()
        found = self.labelled(
            message,
            [
                "file_name",
                "partner",
                "message_type",
                "message_id",
                "in_reply_to",
                "subject",
                "request_id",
                "state",
                "reason_code",
                "reason_text",
                "outcome",
                "received_at",
                "last_seen_at",
                "repeats",
                "attempts",
                "due_at",
                "finished_at",
                "answer_result",
                "size",
                "kept_as",
                "emptied_at",
            ],
        )
        found.append((gettext("发送时间"), sent, ""))
        found.append((gettext("摘要"), bytes(message.sha256).hex() if message.sha256 else "", ""))
        for label, number in ((gettext("原报文"), message.original_id), (gettext("技术回执"), message.answer_id)):
            if number:
                found.append((label, number, reverse("admin:relay_outboundmessage_change", args=[number])))
        return found

    def actions_for(self, message: InboundMessage) -> list[tuple[str, str]]:
        found = []
        if message.state in (InboundState.QUARANTINED, InboundState.DISCARDED) and message.sha256 and message.emptied_at is None:
            found.append((self.address("retry", message.pk), gettext("重新处理")))
        if message.state == InboundState.QUARANTINED:
            found.append((self.address("discard", message.pk), gettext("放弃")))
        return found

    def retry(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Have it read from the beginning."""
        operator = self.require_operator(request)
        message = self.message(request, pk)

        def do(said: dict[str, Any]) -> str:
            return self._decided(partial(retry_quarantined, message.pk, actor=operator), gettext("将重新处理"))

        return self.question(
            request,
            title=gettext("重新处理隔离报文"),
            text=gettext("该报文将从头读取并交给业务处理。请在原因已排除后进行。"),
            button=gettext("确认重新处理"),
            form=Form(self.sent(request)),
            back=self.address("change", pk),
            do=do,
        )

    def discard(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give it up, with a reason."""
        operator = self.require_operator(request)
        message = self.message(request, pk)

        def do(said: dict[str, Any]) -> str:
            return self._decided(partial(discard_quarantined, message.pk, operator=operator, reason=said["reason"]), gettext("已放弃"))

        return self.question(
            request,
            title=gettext("放弃隔离报文"),
            text=gettext("该报文不再处理，内容和原因予以保留。"),
            button=gettext("确认放弃"),
            form=ReasonForm(self.sent(request)),
            back=self.address("change", pk),
            do=do,
        )

    def _decided(self, decide: Any, done: str) -> str:
        try:
            message = decide()
        except NotInQuarantineError as error:
            raise OperationRefused("NOT_IN_QUARANTINE", gettext("该报文不在隔离之中，或其内容不在此处。")) from error
        return f"{message}{gettext('：')}{done}"


@admin.register(Pause)
class PauseAdmin(OperatorsAdmin):
    """How the exchange fares, what is paused, and every pause there was."""

    list_template = "admin/relay/console.html"
    filter_form = PauseFilter
    time = "paused_at"
    headers = [_("接收方"), _("报文类型"), _("暂停原因"), _("暂停人"), _("暂停时间"), _("恢复人"), _("恢复时间"), _("恢复说明")]

    def cells(self, row: Pause) -> list[Cell]:
        return [
            Cell(row.partner or gettext("全部")),
            Cell(row.message_type or gettext("全部")),
            Cell(row.reason),
            Cell(row.paused_by),
            Cell(row.paused_at),
            Cell(row.resumed_by),
            Cell(row.resumed_at or ""),
            Cell(row.resume_reason),
        ]

    def doings(self) -> list[Any]:
        return [("begin/", "begin", self.begin), ("<int:pk>/end/", "end", self.end)]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Queues, failures, open pauses, and below them the history."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            "alerts": [(alerts.what(alert), alert, alerts.to_do(alert), alerts.commands(alert)) for alert in alerts.open_alerts()],
            "alerts_url": reverse("admin:relay_alert_changelist"),
            "traffic": queries.status(),
            "pauses": [(self.address("end", row.pk), row) for row in queries.open_pauses()],
            "begin_url": self.address("begin"),
            "outbound_url": reverse("admin:relay_outboundmessage_changelist"),
            "inbound_url": reverse("admin:relay_inboundmessage_changelist"),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A pause has no page of its own: the console shows all of it."""
        if not self.has_view_permission(request) or request.method != "GET":
            raise PermissionDenied
        return redirect(self.address("changelist"))

    def begin(self, request: HttpRequest) -> HttpResponse:
        """Pause."""
        operator = self.require_operator(request)

        def do(said: dict[str, Any]) -> str:
            return gettext("已暂停：%(pause)s") % {"pause": operations.pause(**said, operator=operator)}

        return self.question(
            request,
            title=gettext("暂停发送"),
            text=gettext("正在发送的报文发完为止，其余报文保留在队列中；接收不受影响。暂停某一接收方的全部类型时，技术回执也不发送。"),
            button=gettext("确认暂停"),
            form=PauseForm(self.sent(request)),
            back=self.address("changelist"),
            do=do,
        )

    def end(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Resume."""
        operator = self.require_operator(request)
        pause = Pause.objects.filter(pk=pk).first()
        if pause is None:
            raise Http404(f"no pause {pk}")

        def do(said: dict[str, Any]) -> str:
            if pause.resumed_at is not None:
                raise OperationRefused("NOT_PAUSED", gettext("该暂停已经结束。"))
            operations.resume(partner=pause.partner, message_type=pause.message_type, reason=said["reason"], operator=operator)
            return gettext("已恢复：%(pause)s") % {"pause": pause}

        return self.question(
            request,
            title=gettext("恢复发送"),
            text=gettext("%(who)s 于 %(when)s 暂停，原因：%(why)s")
            % {"who": pause.paused_by, "when": f"{timezone.localtime(pause.paused_at):%Y-%m-%d %H:%M:%S}", "why": pause.reason},
            button=gettext("确认恢复"),
            form=OptionalReasonForm(self.sent(request)),
            back=self.address("changelist"),
            do=do,
        )


@admin.register(Alert)
class AlertAdmin(OperatorsAdmin):
    """What operators were told of, and when it was over; what is open stands on the console, with what to do."""

    list_template = "admin/relay/alert_list.html"
    filter_form = AlertFilter
    time = "noticed_at"
    headers = [_("告警"), _("对方"), _("报文类型"), _("报文数"), _("问题起始时间"), _("告警时间"), _("解除时间")]

    def cells(self, row: Alert) -> list[Cell]:
        return [
            Cell(row.get_kind_display()),
            Cell(row.partner),
            Cell(alerts.printable_type(row)),
            Cell(row.number),
            Cell(row.since),
            Cell(row.opened_at or gettext("尚未告警")),
            Cell(row.closed_at or ""),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """An alert has no page of its own: the list shows all of it."""
        if not self.has_view_permission(request) or request.method != "GET":
            raise PermissionDenied
        return redirect(self.address("changelist"))
