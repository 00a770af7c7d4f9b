"""Code tables and the HS catalogue, each entry valid from one day up to another (`requirements.md` OPS-05).

A version holds from `valid_from` up to, and not including, `valid_to`; without `valid_to` it holds until further notice.
Applications keep a code's text, never a foreign key to a row of these tables: see `docs/adr/0020`.
"""

import uuid
from datetime import date
from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

#: First day of every entry of which nobody has said since when it holds. Nothing is valid earlier.
BEGINNING = date(2000, 1, 1)
#: Parts `Code.aliases`.
ALIAS_SEPARATOR = "|"


class Origin(models.TextChoices):
    """Where an entry comes from. A later member wins over an earlier one, whatever their dates."""

    SHIPPED = "shipped", _("随产品提供")
    OFFICIAL = "official", _("官方参数文件")
    STAFF = "staff", _("平台人工维护")


class Content(models.TextChoices):
    """Which model holds a table's entries."""

    CODES = "codes", _("代码")
    ELEMENTS = "elements", _("申报要素")


class CodeTable(models.Model):
    """One table of codes: what it is called, where its entries come from, and a mark that changes when they do."""

    key = models.SlugField(_("表标识"), max_length=40, unique=True)
    name = models.CharField(_("名称"), max_length=60)
    content = models.CharField(_("内容"), max_length=10, choices=Content.choices, default=Content.CODES)
    origin = models.CharField(_("来源"), max_length=10, choices=Origin.choices)
    source = models.CharField(_("来源文件"), max_length=120, blank=True)
    effective_on = models.DateField(_("数据生效日期"), help_text=_("最近一次有变化的加载所用的生效日期；更早日期的加载会被拒绝。"))
    loaded_at = models.DateTimeField(_("加载时间"))
    #: A new value with every change, so that each process sees whether what it keeps in memory still stands.
    revision = models.UUIDField(_("修订标记"), default=uuid.uuid4, editable=False)

    class Meta:
        verbose_name = _("代码表")
        verbose_name_plural = _("代码表")
        ordering = ["key"]

    def __str__(self) -> str:
        return f"{self.key} {self.name}"


def valid_on(day: date) -> Q:
    """The condition for entries that hold on a day."""
    return Q(valid_from__lte=day) & (Q(valid_to__isnull=True) | Q(valid_to__gt=day))


class VersionQuerySet(models.QuerySet[Any]):
    """Entries by the day for which they are asked."""

    def on(self, day: date) -> Self:
        """Those valid on a day."""
        return self.filter(valid_on(day))


class Version(models.Model):
    """What the entries of all tables have in common: from when to when they hold, and who says so."""

    valid_from = models.DateField(_("生效日期"))
    valid_to = models.DateField(_("失效日期"), null=True, blank=True, help_text=_("自该日起不再有效；空白表示长期有效。"))
    origin = models.CharField(_("来源"), max_length=10, choices=Origin.choices)

    objects = VersionQuerySet.as_manager()

    class Meta:
        abstract = True


class Code(Version):
    """One version of one code. Two versions of a code never overlap: a trigger of migration 0002 refuses that."""

    table = models.ForeignKey(CodeTable, models.PROTECT, related_name="codes", verbose_name=_("代码表"))
    code = models.CharField(_("代码"), max_length=32)
    name = models.CharField(_("名称"), max_length=300)
    initials = models.CharField(_("拼音首字母"), max_length=300, blank=True)
    aliases = models.CharField(
        _("别名"), max_length=300, blank=True, help_text=_("查找时同样有效的其他代码或外文名称，以“|”分隔，如币制的 USD。")
    )
    extra = models.JSONField(_("附加内容"), default=dict, blank=True)

    class Meta:
        verbose_name = _("代码")
        verbose_name_plural = _("代码")
        constraints = [
            # Serves every read too: one table in code order, one code of one table.
            models.UniqueConstraint(fields=["table", "code", "valid_from"], name="reference_code_version"),
            models.UniqueConstraint(fields=["table", "code"], condition=Q(valid_to__isnull=True), name="reference_code_one_open_version"),
            models.CheckConstraint(condition=Q(valid_to__gt=F("valid_from")), name="reference_code_valid_to_after_valid_from"),
            models.CheckConstraint(condition=~Q(code="") & ~Q(name=""), name="reference_code_not_blank"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class DeclarationElement(Version):
    """One element that goods under an HS prefix are declared with (`domain.md` §5); the longest prefix of a code counts."""

    prefix = models.CharField(_("商品编码前缀"), max_length=8)
    name = models.CharField(_("申报要素"), max_length=120)
    required = models.BooleanField(_("必填"))
    position = models.PositiveSmallIntegerField(_("序号"))

    class Meta:
        verbose_name = _("申报要素")
        verbose_name_plural = _("申报要素")
        constraints = [
            models.UniqueConstraint(fields=["prefix", "name", "valid_from"], name="reference_element_version"),
            models.UniqueConstraint(
                fields=["prefix", "name"], condition=Q(valid_to__isnull=True), name="reference_element_one_open_version"
            ),
            models.CheckConstraint(condition=Q(valid_to__gt=F("valid_from")), name="reference_element_valid_to_after_valid_from"),
            models.CheckConstraint(condition=Q(prefix__regex=r"^[0-9]{4,8}$"), name="reference_element_prefix_of_4_to_8_digits"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix} {self.name}"
