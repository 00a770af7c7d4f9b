"""What is to be told to somebody outside the portal, by SMS or e-mail."""

from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import EncryptedTextField


class Way(models.TextChoices):
    """How somebody is reached."""

    SMS = "sms", _("短信")
    EMAIL = "email", _("电子邮件")


class DeliveryStatus(models.TextChoices):
    """How far a delivery is."""

    WAITING = "waiting", _("待发送")
    SENT = "sent", _("已发送")
    FAILED = "failed", _("发送失败")


class Delivery(models.Model):
    """One text to one person. It is written in the transaction that gives rise to it and sent after the commit.

    The body may hold a code: it is encrypted while it waits, and empty as soon as it was sent or given up.
    """

    #: Goes along with every try, so that the gateway can drop a repeat.
    reference = models.UUIDField(_("发送编号"), unique=True, default=uuid4, editable=False)
    way = models.CharField(_("方式"), max_length=10, choices=Way.choices)
    recipient = models.CharField(_("收件人"), max_length=254)
    subject = models.CharField(_("主题"), max_length=200, blank=True)
    body = EncryptedTextField(_("内容"), blank=True)
    status = models.CharField(_("状态"), max_length=10, choices=DeliveryStatus.choices, default=DeliveryStatus.WAITING)
    attempts = models.PositiveIntegerField(_("发送次数"), default=0)
    created_at = models.DateTimeField(_("生成时间"))
    #: When the next try is due; while a worker has it, when its lease ends.
    due_at = models.DateTimeField(_("下次发送时间"))
    #: After this the text is of no use to anybody (a code that ran out).
    expires_at = models.DateTimeField(_("有效期至"))
    sent_at = models.DateTimeField(_("发送时间"), null=True, blank=True)
    error = models.CharField(_("错误"), max_length=300, blank=True)
    #: Of the click, or of the partner's message, that gave rise to it.
    request_id = models.CharField(_("请求编号"), max_length=64, blank=True)

    class Meta:
        verbose_name = _("发送记录")
        verbose_name_plural = _("发送记录")
        indexes = [models.Index(fields=["due_at"], name="delivery_due", condition=models.Q(status="waiting"))]

    def __str__(self) -> str:
        return f"{self.way} {self.reference}"
