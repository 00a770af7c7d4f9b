"""Workbooks that users uploaded, and the filings found in them, until they are stored as drafts or expire (docs/adr/0103)."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.tenancy import TenantManager, TenantQuerySet


class ImportState(models.TextChoices):
    """How far an import is. Those of `WORKING` are a worker's to take on."""

    CHECKING = "checking", _("正在检查")
    CHECKED = "checked", _("检查完成")
    REFUSED = "refused", _("不能读取")
    STORING = "storing", _("正在暂存")
    STORED = "stored", _("已暂存")


#: States in which there is something for a worker to do.
WORKING = (ImportState.CHECKING, ImportState.STORING)


class Import(models.Model):
    """One uploaded workbook and how far it is."""

    enterprise = models.ForeignKey(
        "accounts.Enterprise", verbose_name=_("企业"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("上传人"), on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("上传时间"))
    expires_at = models.DateTimeField(_("保留到"))
    file_name = models.CharField(_("文件名"), max_length=200)
    #: Of the bytes as they were uploaded: which file it was, for an audit; no query reads it. The audit entry has it, too.
    sha256 = models.CharField(max_length=64)
    state = models.CharField(_("状态"), max_length=10, choices=ImportState.choices, default=ImportState.CHECKING)
    #: Why the workbook cannot be read at all, for the user.
    refusal = models.CharField(_("原因"), max_length=1000, blank=True)
    #: What was passed over or found strange, for the user; one text each.
    notes = models.JSONField(default=list)
    #: Heading of each column of the sheet, from the first; "" for one without.
    headings = models.JSONField(default=list)
    row_count = models.PositiveIntegerField(_("行数"), default=0)
    good_count = models.PositiveIntegerField(_("无误票数"), default=0)
    bad_count = models.PositiveIntegerField(_("有误票数"), default=0)
    problem_count = models.PositiveIntegerField(_("错误数"), default=0)
    #: Rows checked, or filings stored, so far.
    progress = models.PositiveIntegerField(default=0)
    stored_at = models.DateTimeField(_("暂存时间"), null=True, blank=True)
    stored_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    #: Who works on it, until when, and for how manieth time: a worker that died is followed by another.
    lease = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("批量导入")
        verbose_name_plural = _("批量导入")
        base_manager_name = "unscoped"
        indexes = [
            models.Index(fields=["enterprise", "-created_at", "-id"], name="import_by_time"),
            models.Index(fields=["id"], condition=models.Q(state__in=WORKING), name="import_working"),
            models.Index(fields=["expires_at"], name="import_expires"),
        ]
        constraints = [models.CheckConstraint(condition=models.Q(state__in=ImportState.values), name="import_state_known")]

    def __str__(self) -> str:
        return self.file_name

    @property
    def is_working(self) -> bool:
        """Whether a worker has something to do with it."""
        return self.state in WORKING

    @property
    def filing_count(self) -> int:
        """How many filings the workbook holds."""
        return self.good_count + self.bad_count


class ImportFile(models.Model):
    """The workbook as it was uploaded, and as it is handed back; apart from `Import`, which lists read."""

    enterprise = models.ForeignKey("accounts.Enterprise", on_delete=models.PROTECT, related_name="+", db_index=False)
    upload = models.OneToOneField(Import, on_delete=models.CASCADE, related_name="file")
    content = models.BinaryField()
    #: The same with its errors marked; with all filings until some are stored, then with the wrong ones alone. Empty where there is none.
    marked = models.BinaryField(default=b"")

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("导入文件")
        verbose_name_plural = _("导入文件")
        base_manager_name = "unscoped"

    def __str__(self) -> str:
        return f"{self.upload_id}"


class ImportedFiling(models.Model):
    """One filing as a workbook has it: right and ready to be stored, or with what is wrong."""

    enterprise = models.ForeignKey("accounts.Enterprise", on_delete=models.PROTECT, related_name="+", db_index=False)
    upload = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="filings", db_index=False)
    position = models.PositiveIntegerField()
    #: The number of its first row in the sheet.
    row = models.PositiveIntegerField(_("行号"))
    #: Cleaned header and lines; None for one with errors.
    contents = models.JSONField(null=True)
    #: Of `contents`; "" without them, and for what was checked before there were digests.
    digest = models.CharField(max_length=64, blank=True, default="")
    #: [row, column from 0 or None, label, message] each.
    problems = models.JSONField(default=list)
    #: The draft that it became.
    filing = models.OneToOneField("smartgate.Filing", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("导入的单据")
        verbose_name_plural = _("导入的单据")
        base_manager_name = "unscoped"
        ordering = ["upload", "position"]
        constraints = [models.UniqueConstraint(fields=["upload", "position"], name="imported_filing_position")]

    def __str__(self) -> str:
        return f"{self.upload_id}/{self.position}"


class StoredContents(models.Model):
    """What was stored from workbooks, by its digest: kept with the filing, whatever becomes of the workbook (docs/adr/0116).

    It counts until the filing is deleted.
    """

    enterprise = models.ForeignKey("accounts.Enterprise", on_delete=models.PROTECT, related_name="+", db_index=False)
    digest = models.CharField(max_length=64)
    filing = models.OneToOneField("smartgate.Filing", on_delete=models.CASCADE, related_name="+")

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("导入过的内容")
        verbose_name_plural = _("导入过的内容")
        base_manager_name = "unscoped"
        indexes = [models.Index(fields=["enterprise", "digest"], name="stored_contents")]

    def __str__(self) -> str:
        return self.digest
