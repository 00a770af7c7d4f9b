"""What platform staff publish on the portal: items of six kinds with their attachments, and how to reach the service desk."""

from datetime import datetime
from pathlib import PurePath
from typing import Any, ClassVar, Self
from uuid import uuid4

from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.rights import ApplicationKey
from core.text import validate_plain_text
from portal import menu
from portal.applications import APPLICATIONS
from portal.attachments import MediaType

EVERYBODY = "all"
#: Of an uploaded file's name.
NAME_LIMIT = 150


class Kind(models.TextChoices):
    """The lists of the home page (M2, M5); the value stands in the list's address."""

    NOTICE = "notice", _("通知公告")
    NEWS = "news", _("新闻资讯")
    POLICY = "policy", _("政策法规")
    DOWNLOAD = "download", _("资料下载")
    VIDEO = "video", _("培训视频")
    FAQ = "faq", _("常见问题 FAQ")


def audiences() -> list[tuple[str, Any]]:
    """Whom an item is for: everybody, or the users of one application."""
    return [(EVERYBODY, _("全部用户")), *ApplicationKey.choices]


class ContentItemQuerySet(models.QuerySet["ContentItem"]):
    """Which items a reader sees."""

    def published(self, at: datetime) -> Self:
        """Those that are out at this time, and not yet expired."""
        return self.filter(models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=at), is_released=True, published_at__lte=at)

    def visible_to(self, user: Any, *, at: datetime) -> Self:
        """What `user` (or a visitor) may read: published, for everybody or for an application that the user has a right in."""
        opened = [
            application.key.value
            for application in APPLICATIONS
            if application.right is not None and user.is_authenticated and user.has_right(application.right)
        ]
        return self.published(at).filter(audience__in=[EVERYBODY, *opened])


class ContentItem(models.Model):
    """One announcement, piece of news, regulation, download, video or answered question.

    The body is plain text: a reader's page shows its paragraphs and turns addresses into links, never markup of the writer's
    (docs/adr/0007).
    """

    kind = models.CharField(_("栏目"), max_length=10, choices=Kind.choices)
    title = models.CharField(_("标题"), max_length=200, validators=[validate_plain_text])
    body = models.TextField(
        _("正文"),
        blank=True,
        max_length=50_000,
        validators=[validate_plain_text],
        help_text=_("纯文本，空一行即另起一段；网址会自动成为链接。"),
    )
    publisher = models.CharField(_("发布者"), max_length=100, validators=[validate_plain_text])
    published_at = models.DateTimeField(_("发布时间"), default=timezone.now, help_text=_("晚于当前时间的，到时自动发布。"))
    expires_at = models.DateTimeField(_("失效时间"), null=True, blank=True, help_text=_("到时自动撤下；留空为长期有效。"))
    is_released = models.BooleanField(_("发布"), default=True, help_text=_("不勾选的不对外显示，可作草稿或临时撤下。"))
    audience = models.CharField(
        _("发布范围"),
        max_length=20,
        choices=audiences,
        default=EVERYBODY,
        help_text=_("选定某一应用的，仅该应用的用户可见；其中的通知公告即该应用页面上的系统公告。"),
    )
    target_page = models.CharField(
        _("打开的应用页面"), max_length=100, blank=True, choices=menu.page_choices, help_text=_("读者可由此进入所选的应用页面。")
    )
    created_at = models.DateTimeField(_("录入时间"), auto_now_add=True)
    updated_at = models.DateTimeField(_("修改时间"), auto_now=True)

    objects: ClassVar[Any] = models.Manager.from_queryset(ContentItemQuerySet)()

    class Meta:
        verbose_name = _("内容")
        verbose_name_plural = _("内容（公告、资讯、法规、下载、视频、问答）")
        ordering = ["-published_at", "-pk"]
        indexes = [
            models.Index("kind", models.F("published_at").desc(), models.F("id").desc(), name="content_item_list"),
            models.Index("audience", "kind", models.F("published_at").desc(), name="content_item_announcements"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=Kind.values), name="content_item_kind_known"),
            models.CheckConstraint(
                condition=models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=models.F("published_at")),
                name="content_item_expires_after_published",
                violation_error_message=_("失效时间必须晚于发布时间。"),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """The item's own page."""
        return reverse("content_item", args=[self.pk])

    def is_public_at(self, at: datetime) -> bool:
        """Whether readers see it at this time."""
        return self.is_released and self.published_at <= at and (self.expires_at is None or self.expires_at > at)


def attachment_path(attachment: "Attachment", filename: str) -> str:
    """Where the storage keeps a file: under a name of our own, so that nobody's file name reaches the storage."""
    return f"content/{timezone.localdate():%Y/%m}/{uuid4().hex}{PurePath(filename).suffix.lower()}"


class Attachment(models.Model):
    """A file of an item, as `attachments.validate_attachment` let it in. A download only, never shown in the portal's pages."""

    item = models.ForeignKey(ContentItem, verbose_name=_("内容"), on_delete=models.CASCADE, related_name="attachments")
    file = models.FileField(_("文件"), upload_to=attachment_path, max_length=NAME_LIMIT)
    name = models.CharField(_("文件名"), max_length=NAME_LIMIT, editable=False)
    size = models.PositiveBigIntegerField(_("大小（字节）"), editable=False)

    class Meta:
        verbose_name = _("附件")
        verbose_name_plural = _("附件")
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def media_type(self) -> str:
        """What the download says it is, by the file's ending."""
        return MediaType.of(self.name)


class Contact(models.Model):
    """One line of 联系我们: a telephone number, a group, an address."""

    class Way(models.TextChoices):
        """What a click on it does."""

        PHONE = "phone", _("电话")
        EMAIL = "email", _("电子邮箱")
        TEXT = "text", _("其他")

    label = models.CharField(_("名称"), max_length=50, help_text=_("例如：服务热线"))
    way = models.CharField(_("类型"), max_length=10, choices=Way.choices)
    value = models.CharField(_("内容"), max_length=200, validators=[validate_plain_text])
    is_hotline = models.BooleanField(_("显示在页面顶部"), default=False)
    position = models.PositiveSmallIntegerField(_("顺序"), default=10)

    class Meta:
        verbose_name = _("联系方式")
        verbose_name_plural = _("联系方式")
        ordering = ["position", "pk"]
        constraints = [models.CheckConstraint(condition=models.Q(way__in=["phone", "email", "text"]), name="contact_way_known")]

    def __str__(self) -> str:
        return f"{self.label} {self.value}"

    @property
    def href(self) -> str:
        """A link for telephones and mail programs, or empty."""
        if self.way == self.Way.PHONE:
            return "tel:" + "".join(sign for sign in self.value if sign.isascii() and (sign.isdigit() or sign in "+-"))
        return f"mailto:{self.value}" if self.way == self.Way.EMAIL else ""
