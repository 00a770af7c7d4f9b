"""Tables every application stands on."""

from django.db import models
from django.utils.translation import gettext_lazy as _


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

    class Meta:
        verbose_name = _("审计记录")
        verbose_name_plural = _("审计记录")
        indexes = [
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_object"),
            models.Index(fields=["enterprise_id", "-id"], name="audit_enterprise"),
            models.Index(fields=["actor_id", "-id"], name="audit_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.action} {self.object_label}"


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
