"""Which filings are to be declared together. Whether one is declared says the filing itself; nothing here repeats it."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.tenancy import TenantManager, TenantQuerySet
from smartgate.importing.models import Import


class Batch(models.Model):
    """Filings that somebody wants to declare with one PIN entry; open until all of them are declared."""

    enterprise = models.ForeignKey(
        "accounts.Enterprise", verbose_name=_("企业"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("发起人"), on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("发起时间"))
    #: The workbook that the filings came from; one batch for each.
    upload = models.OneToOneField(Import, null=True, blank=True, on_delete=models.SET_NULL, related_name="batch")

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("批量申报")
        verbose_name_plural = _("批量申报")
        base_manager_name = "unscoped"
        indexes = [models.Index(fields=["enterprise", "-created_at", "-id"], name="batch_by_time")]

    def __str__(self) -> str:
        return f"{self.pk}"


class BatchItem(models.Model):
    """One filing of a batch, and why its last try was refused."""

    enterprise = models.ForeignKey("accounts.Enterprise", on_delete=models.PROTECT, related_name="+", db_index=False)
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items", db_index=False)
    filing = models.ForeignKey("smartgate.Filing", on_delete=models.CASCADE, related_name="+")
    position = models.PositiveIntegerField()
    #: How often the filing had been declared when it came into the batch; once more, and it is done.
    version = models.PositiveIntegerField()
    reason = models.CharField(_("原因"), max_length=1000, blank=True)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("批量申报的单据")
        verbose_name_plural = _("批量申报的单据")
        base_manager_name = "unscoped"
        ordering = ["batch", "position"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "position"], name="batch_item_position"),
            models.UniqueConstraint(fields=["batch", "filing"], name="batch_item_once"),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id}/{self.position}"

    @property
    def is_declared(self) -> bool:
        """Whether the filing has been declared since, in this batch or on its own page."""
        return bool(self.filing.version > self.version)
