"""Which files were taken, and what their senders have been told since."""

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.tenancy import TenantManager, TenantQuerySet


class DropFile(models.Model):
    """One file that was read: by its message_id it is taken once, and its answer is always the same bytes, emptied after some time."""

    enterprise = models.ForeignKey("accounts.Enterprise", on_delete=models.PROTECT, related_name="+", db_index=False)
    message_id = models.UUIDField(_("报文编号"))
    sha256 = models.CharField(max_length=64)
    received_at = models.DateTimeField(_("接收时间"))
    is_accepted = models.BooleanField(_("已接受"))
    answer = models.BinaryField()

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("外部软件导入文件")
        verbose_name_plural = _("外部软件导入文件")
        base_manager_name = "unscoped"
        constraints = [models.UniqueConstraint(fields=["enterprise", "message_id"], name="drop_file_once")]

    def __str__(self) -> str:
        return f"{self.message_id}"


class DroppedFiling(models.Model):
    """A filing that came in a file, and the state of it that its sender was told last."""

    enterprise = models.ForeignKey("accounts.Enterprise", on_delete=models.PROTECT, related_name="+")
    file = models.ForeignKey(DropFile, on_delete=models.CASCADE, related_name="filings")
    filing = models.OneToOneField("smartgate.Filing", on_delete=models.CASCADE, related_name="+")
    #: The sender's own number of it.
    reference = models.CharField(max_length=64, blank=True)
    #: Grows with each change of the filing and each receipt, as the database counts them (docs/adr/0114).
    changes = models.PositiveIntegerField(default=1)
    #: The last of these numbers that its sender was told.
    told = models.PositiveIntegerField(default=1)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("外部软件导入的单据")
        verbose_name_plural = _("外部软件导入的单据")
        base_manager_name = "unscoped"
        indexes = [models.Index(fields=["enterprise", "id"], condition=models.Q(told__lt=models.F("changes")), name="dropped_filing_news")]

    def __str__(self) -> str:
        return self.reference or f"{self.pk}"
