"""Tables every application stands on."""

from typing import Any, ClassVar, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.tenancy import TenantManager, TenantQuerySet

#: The right without which nobody reads the trail (`accounts.rights.Right.AUDIT_READ`; core knows no roles).
AUDIT_READ = "accounts.read_audit"


class AuditOutcome(models.TextChoices):
    """Whether what somebody tried was done."""

    DONE = "done", _("成功")
    REFUSED = "refused", _("被拒绝")


class AuditQuerySet(TenantQuerySet["AuditEntry"]):
    """Entries of the trail."""

    def visible_to(self, user: Any) -> Self:
        """With the right to read the trail: those of the user's enterprise; who belongs to none, the platform's staff, reads all."""
        if not user.is_authenticated or not user.has_right(AUDIT_READ):
            return self.none()
        return self.all() if user.enterprise_id is None else super().visible_to(user)


class AuditEntry(models.Model):
    """Who did what to which record, before and after, from where (ACC-15).

    Append-only: the database itself refuses UPDATE, DELETE and TRUNCATE (migration 0002). No foreign keys: an entry outlives
    what it tells of, and writing one must not lock the rows it names. Written by `core.audit` only.
    """

    at = models.DateTimeField(_("时间"))
    actor_id = models.BigIntegerField(_("用户编号"), null=True)
    actor_name = models.CharField(_("用户"), max_length=150)
    enterprise_id = models.BigIntegerField(_("企业编号"), null=True)
    action = models.CharField(_("操作"), max_length=80)
    refused = models.BooleanField(_("被拒绝"), default=False)
    object_type = models.CharField(_("对象类型"), max_length=80)
    object_id = models.CharField(_("对象编号"), max_length=64)
    object_label = models.CharField(_("对象"), max_length=200)
    before = models.JSONField(_("变更前"), null=True)
    after = models.JSONField(_("变更后"), null=True)
    reason = models.CharField(_("原因"), max_length=500, blank=True)
    request_id = models.CharField(_("请求编号"), max_length=64, blank=True)
    ip = models.CharField(_("来源地址"), max_length=64, blank=True)
    user_agent = models.CharField(_("浏览器"), max_length=300, blank=True)

    objects: ClassVar[Any] = TenantManager.from_queryset(AuditQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(AuditQuerySet)()

    class Meta:
        verbose_name = _("审计记录")
        verbose_name_plural = _("审计记录")
        base_manager_name = "unscoped"
        # But for the first, which a record's own history reads, each is of a condition of the audit pages and ends in their order:
        # rare conditions are found by theirs, and read in order (docs/adr/0050, docs/adr/0061).
        indexes = [
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_object"),
            models.Index(fields=["at", "id"], name="audit_at"),
            models.Index(fields=["enterprise_id", "at", "id"], name="audit_enterprise_at"),
            models.Index(fields=["actor_name", "at", "id"], name="audit_actor_name_at"),
            models.Index(fields=["action", "at", "id"], name="audit_action_at"),
            models.Index(fields=["object_label", "at", "id"], name="audit_object_label_at"),
            models.Index(fields=["ip", "at", "id"], name="audit_ip_at"),
            models.Index(fields=["at", "id"], condition=models.Q(refused=True), name="audit_refused_at"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.action} {self.object_label}"

    @property
    def outcome(self) -> AuditOutcome:
        """Whether it was done."""
        return AuditOutcome.REFUSED if self.refused else AuditOutcome.DONE


class ColumnChoice(models.Model):
    """The columns one user wants to see on one query page (PRT-06)."""

    user_id = models.BigIntegerField()
    page = models.CharField(max_length=80)
    columns = models.JSONField()

    class Meta:
        verbose_name = _("显示列")
        verbose_name_plural = _("显示列")
        constraints = [models.UniqueConstraint(fields=["user_id", "page"], name="column_choice_user_page")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.page}"
