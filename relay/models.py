"""Messages out, messages in, what was tried, and what operators paused.

Old messages lose their bytes, never their row: their ids and digests are what a late repeat is known by (docs/adr/0092).

The tables grow to millions of rows of which a few hundred are unfinished, so every index the workers use is partial. Half of each page
is left for the new versions of its rows, of which every message has two or three (migration 0003, docs/adr/0098).
Rows are written by `relay.services` only. They are operators' records: no view of an application reads them, and the
enterprise a message belongs to is kept as a bare number because the relay knows no accounts.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from relay.envelope import file_name_of

#: Reason code of a technical receipt that says "stored" of a message that the partner had refused: somebody has to ask.
CONTRADICTS_REFUSAL = "CONTRADICTS_REFUSAL"


class OutboundState(models.TextChoices):
    """queued → sent → delivered or refused. A technical receipt ends at `sent`: nobody answers it."""

    QUEUED = "queued", _("待发送")
    SENT = "sent", _("已发送，等待回执")
    DELIVERED = "delivered", _("已送达")
    REFUSED = "refused", _("被拒收")


class InboundState(models.TextChoices):
    """received → ready → handled, or quarantined from either; what operators give up of the quarantine is discarded."""

    RECEIVED = "received", _("已接收")
    READY = "ready", _("待处理")
    HANDLED = "handled", _("已处理")
    QUARANTINED = "quarantined", _("已隔离")
    DISCARDED = "discarded", _("已放弃")


class OutboundMessage(models.Model):
    """One message to a partner: one id and one sequence of bytes for ever."""

    message_id = models.UUIDField(_("报文编号"), unique=True)
    message_type = models.CharField(_("报文类型"), max_length=6)
    partner = models.CharField(_("接收方"), max_length=32)
    subject = models.CharField(_("业务对象"), max_length=100, blank=True, help_text=_("同一对象的报文按顺序发送；为空时不排序"))
    enterprise_id = models.BigIntegerField(_("企业编号"), null=True)
    in_reply_to = models.UUIDField(_("所答复的报文"), null=True)
    request_id = models.CharField(_("请求编号"), max_length=64, blank=True)
    content = models.BinaryField(_("报文内容"))
    needs_receipt = models.BooleanField(_("需要技术回执"), default=True)
    state = models.CharField(_("状态"), max_length=10, choices=OutboundState, default=OutboundState.QUEUED)
    created_at = models.DateTimeField(_("生成时间"))
    due_at = models.DateTimeField(_("下次处理时间"))
    attempts = models.PositiveIntegerField(_("尝试次数"), default=0)
    sent_at = models.DateTimeField(_("首次发送时间"), null=True)
    last_sent_at = models.DateTimeField(_("最近发送时间"), null=True)
    finished_at = models.DateTimeField(_("结束时间"), null=True)
    reason_code = models.CharField(_("拒收代码"), max_length=32, blank=True)
    reason_text = models.TextField(_("拒收原因"), blank=True)
    lease_token = models.UUIDField(_("占用标记"), null=True)
    leased_until = models.DateTimeField(_("占用到期"), null=True)
    emptied_at = models.DateTimeField(_("内容清除时间"), null=True)
    sha256 = models.BinaryField(_("摘要"), max_length=32, null=True, help_text=_("内容清除时留下"))
    delivered_before = models.BooleanField(
        _("重发前已送达"), default=False, db_default=False, help_text=_("重发后等待回执一次；逾期没有回执，仍为已送达")
    )

    class Meta:
        verbose_name = _("发出报文")
        verbose_name_plural = _("发出报文")
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=OutboundState.values), name="relay_outbound_state"),
            models.CheckConstraint(
                condition=models.Q(finished_at__isnull=True) | ~models.Q(state=OutboundState.QUEUED),
                name="relay_outbound_queued_is_unfinished",
            ),
            models.CheckConstraint(
                condition=models.Q(finished_at__isnull=False) | ~models.Q(state__in=[OutboundState.DELIVERED, OutboundState.REFUSED]),
                name="relay_outbound_ended_is_finished",
            ),
            # What has no bytes any more can never be sent again, whoever tries.
            models.CheckConstraint(
                condition=models.Q(emptied_at__isnull=True) | models.Q(finished_at__isnull=False, sha256__isnull=False),
                name="relay_outbound_emptied_is_finished",
            ),
        ]
        indexes = [
            models.Index(fields=["partner", "due_at"], name="relay_out_due", condition=models.Q(finished_at__isnull=True)),
            models.Index(fields=["partner", "subject", "id"], name="relay_out_order", condition=models.Q(finished_at__isnull=True)),
            models.Index(fields=["partner", "message_type"], name="relay_out_refused", condition=models.Q(state=OutboundState.REFUSED)),
            models.Index(
                fields=["partner", "due_at"],
                name="relay_out_known",
                condition=models.Q(finished_at__isnull=True, delivered_before=True),
            ),
            # Whether something was refused of late.
            models.Index(fields=["finished_at"], name="relay_out_refused_time", condition=models.Q(state=OutboundState.REFUSED)),
            # The operators' pages, each condition in their order; and what housekeeping has not emptied yet.
            models.Index(fields=["created_at", "id"], name="relay_out_time"),
            models.Index(fields=["message_type", "created_at", "id"], name="relay_out_type"),
            models.Index(fields=["subject", "id"], name="relay_out_subject", condition=~models.Q(subject="")),
            models.Index(fields=["created_at", "id"], name="relay_out_kept", condition=models.Q(emptied_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.message_type} {self.message_id}"

    @property
    def file_name(self) -> str:
        """Name of its file in the boxes."""
        return file_name_of(self.message_type, self.message_id)

    @property
    def is_to_go_again(self) -> bool:
        """Whether an operator has it sent once more and that copy has not gone: what the partner says now, it says of an earlier one."""
        return self.state == OutboundState.QUEUED and self.sent_at is not None


class AttemptOutcome(models.TextChoices):
    """What came of one attempt to send."""

    SENT = "sent", _("已写出")
    WAITING = "waiting", _("上次的文件尚未取走")
    ERROR = "error", _("出错")


class Attempt(models.Model):
    """One attempt to send one message."""

    message = models.ForeignKey(OutboundMessage, verbose_name=_("报文"), on_delete=models.PROTECT, related_name="attempt_rows")
    at = models.DateTimeField(_("时间"))
    outcome = models.CharField(_("结果"), max_length=8, choices=AttemptOutcome)
    error = models.TextField(_("错误"), blank=True)
    worker = models.CharField(_("工作进程"), max_length=100)

    class Meta:
        verbose_name = _("发送记录")
        verbose_name_plural = _("发送记录")
        indexes = [
            models.Index(fields=["at"], name="relay_attempt_time"),
            models.Index(fields=["-id"], name="relay_attempt_errors", condition=models.Q(outcome=AttemptOutcome.ERROR)),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.outcome}"


class InboundMessage(models.Model):
    """One file from a partner, byte for byte as it came, and what became of it (RLY-03)."""

    partner = models.CharField(_("发送方"), max_length=32)
    file_name = models.CharField(_("文件名"), max_length=255)
    content = models.BinaryField(_("报文内容"))
    size = models.BigIntegerField(_("字节数"))
    sha256 = models.BinaryField(_("摘要"), max_length=32, null=True, help_text=_("超过大小限制而未读取的文件为空"))
    kept_as = models.CharField(_("未读取文件的存放位置"), max_length=300, blank=True)
    received_at = models.DateTimeField(_("接收时间"))
    last_seen_at = models.DateTimeField(_("最近一次收到"))
    repeats = models.PositiveIntegerField(_("重复次数"), default=0)
    state = models.CharField(_("状态"), max_length=12, choices=InboundState, default=InboundState.RECEIVED)
    message_id = models.UUIDField(_("报文编号"), null=True)
    message_type = models.CharField(_("报文类型"), max_length=6, blank=True)
    in_reply_to = models.UUIDField(_("所答复的报文"), null=True)
    original = models.ForeignKey(
        OutboundMessage, verbose_name=_("原报文"), on_delete=models.PROTECT, null=True, related_name="replies", db_index=False
    )
    subject = models.CharField(_("业务对象"), max_length=100, blank=True)
    send_time = models.DateTimeField(_("发送时间"), null=True)
    request_id = models.CharField(_("请求编号"), max_length=64, blank=True)
    due_at = models.DateTimeField(_("下次处理时间"))
    attempts = models.PositiveIntegerField(_("处理次数"), default=0)
    finished_at = models.DateTimeField(_("结束时间"), null=True)
    outcome = models.TextField(_("处理结果"), blank=True)
    reason_code = models.CharField(_("原因代码"), max_length=32, blank=True)
    reason_text = models.TextField(_("原因"), blank=True)
    answer = models.ForeignKey(
        OutboundMessage, verbose_name=_("技术回执"), on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    answer_result = models.CharField(_("技术回执结果"), max_length=8, blank=True)
    lease_token = models.UUIDField(_("占用标记"), null=True)
    leased_until = models.DateTimeField(_("占用到期"), null=True)
    emptied_at = models.DateTimeField(_("内容清除时间"), null=True)

    class Meta:
        verbose_name = _("收到报文")
        verbose_name_plural = _("收到报文")
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=InboundState.values), name="relay_inbound_state"),
            models.UniqueConstraint(fields=["partner", "sha256"], name="relay_inbound_digest", condition=models.Q(sha256__isnull=False)),
            models.UniqueConstraint(
                fields=["partner", "message_id"], name="relay_inbound_id", condition=models.Q(message_id__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["partner", "id"], name="relay_in_received", condition=models.Q(state=InboundState.RECEIVED)),
            models.Index(fields=["due_at"], name="relay_in_ready", condition=models.Q(state=InboundState.READY)),
            models.Index(fields=["partner", "subject", "id"], name="relay_in_order", condition=models.Q(state=InboundState.READY)),
            models.Index(
                fields=["partner", "message_type"], name="relay_in_quarantine", condition=models.Q(state=InboundState.QUARANTINED)
            ),
            models.Index(fields=["partner", "message_type", "-id"], name="relay_in_latest"),
            models.Index(fields=["received_at", "id"], name="relay_in_time"),
            models.Index(fields=["subject", "id"], name="relay_in_subject", condition=~models.Q(subject="")),
            models.Index(fields=["received_at", "id"], name="relay_in_kept", condition=models.Q(emptied_at__isnull=True)),
            # Rare rows, which the page would look for in the whole table.
            models.Index(fields=["received_at", "id"], name="relay_in_discarded", condition=models.Q(state=InboundState.DISCARDED)),
            models.Index(fields=["reason_code", "received_at", "id"], name="relay_in_reason", condition=~models.Q(reason_code="")),
            # Both also for the database itself, which looks here before a message that is referred to may go.
            models.Index(fields=["original"], name="relay_in_original", condition=models.Q(original__isnull=False)),
            models.Index(fields=["answer"], name="relay_in_answer", condition=models.Q(answer__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.file_name


class Pause(models.Model):
    """Sending that an operator stopped: to one partner or all, of one type or all. A row for each time, kept as its history.

    `relay.services.dispatching` claims nothing that an open pause covers; what came in is read and handled all the same.
    """

    partner = models.CharField(_("接收方"), max_length=32, blank=True, help_text=_("为空表示全部"))
    message_type = models.CharField(_("报文类型"), max_length=6, blank=True, help_text=_("为空表示全部"))
    reason = models.CharField(_("暂停原因"), max_length=500)
    paused_by = models.CharField(_("暂停人"), max_length=150)
    paused_at = models.DateTimeField(_("暂停时间"))
    resumed_by = models.CharField(_("恢复人"), max_length=150, blank=True)
    resumed_at = models.DateTimeField(_("恢复时间"), null=True)
    resume_reason = models.CharField(_("恢复说明"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("发送暂停")
        verbose_name_plural = _("运行状况与暂停")
        permissions = [("operate", _("操作报文传输：暂停、恢复、重发、处置"))]
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "message_type"], condition=models.Q(resumed_at__isnull=True), name="relay_pause_once"
            ),
            models.CheckConstraint(condition=~models.Q(reason=""), name="relay_pause_has_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.partner or '*'} {self.message_type or '*'}"


class AlertKind(models.TextChoices):
    """What operators are told of (docs/operations/watching.md); the names are also labels of /metrics."""

    OUTBOUND_OLD = "outbound_old", _("发出报文积压")
    INBOUND_OLD = "inbound_old", _("收到的报文未处理")
    PARTNER_SILENT = "partner_silent", _("对方没有回音")
    QUARANTINE = "quarantine", _("隔离报文未处置")
    REFUSED = "refused", _("报文被拒收")


class Alert(models.Model):
    """Something that is wrong with one type of one partner, from when it was first seen until it was over; kept as history.

    It opens, and operators are told, when it was seen at two looks: what one run of the workers puts right is not worth a mail.
    Written by `relay.services.watching` only.
    """

    kind = models.CharField(_("告警"), max_length=16, choices=AlertKind)
    partner = models.CharField(_("对方"), max_length=32)
    message_type = models.CharField(_("报文类型"), max_length=6, blank=True)
    number = models.PositiveIntegerField(_("报文数"), help_text=_("最近一次检查时"))
    since = models.DateTimeField(_("问题起始时间"))
    noticed_at = models.DateTimeField(_("首次发现时间"))
    opened_at = models.DateTimeField(_("告警时间"), null=True)
    told_at = models.DateTimeField(_("最近通知时间"), null=True)
    seen_at = models.DateTimeField(_("最近发现时间"))
    closed_at = models.DateTimeField(_("解除时间"), null=True)

    class Meta:
        verbose_name = _("告警")
        verbose_name_plural = _("告警记录")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "partner", "message_type"], condition=models.Q(closed_at__isnull=True), name="relay_alert_once"
            ),
            models.CheckConstraint(condition=models.Q(kind__in=AlertKind.values), name="relay_alert_kind"),
            models.CheckConstraint(
                condition=models.Q(closed_at__isnull=True) | models.Q(opened_at__isnull=False), name="relay_alert_closed_was_open"
            ),
        ]
        indexes = [models.Index(fields=["noticed_at", "id"], name="relay_alert_time")]

    def __str__(self) -> str:
        return f"{self.kind} {self.partner} {self.message_type or '*'}"


class Lane(models.Model):
    """A job that one worker at a time does for a partner: a lease, so that beat's runs do not pile up.

    A row and not an advisory lock: it must hold over many transactions, and PgBouncer in transaction mode carries no
    session locks.
    """

    name = models.CharField(max_length=64, primary_key=True)
    token = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("独占任务")
        verbose_name_plural = _("独占任务")

    def __str__(self) -> str:
        return self.name
