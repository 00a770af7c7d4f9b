"""The portal's contents for platform staff: announcements and the like with attachments, and 联系方式 (PRT-02)."""

from pathlib import PurePath
from typing import Any

from django import forms
from django.contrib import admin
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.admin import AuditedAdmin
from portal import queries
from portal.attachments import validate_attachment
from portal.models import EVERYBODY, Attachment, Contact, ContentItem


class AttachmentForm(forms.ModelForm):
    """A file is uploaded or deleted, never replaced: who has its address keeps getting the same bytes."""

    class Meta:
        model = Attachment
        fields = ("file",)
        widgets = {"file": forms.FileInput(attrs={"aria-label": _("文件")})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].disabled = self.instance.pk is not None

    def clean_file(self) -> Any:
        """Look into what is uploaded; what is stored has been looked into."""
        file = self.cleaned_data["file"]
        if isinstance(file, UploadedFile):
            validate_attachment(file)
            self.instance.name = PurePath(str(file.name)).name
            self.instance.size = file.size
        return file


class AttachmentInline(admin.TabularInline):
    model = Attachment
    form = AttachmentForm
    extra = 1
    fields = ("file", "download", "size")
    readonly_fields = ("download", "size")

    @admin.display(description=_("下载"))
    def download(self, attachment: Attachment) -> SafeString | str:
        """The stored file, as readers get it."""
        if attachment.pk is None:
            return "-"
        return format_html('<a href="{}">{}</a>', reverse("content_attachment", args=[attachment.pk]), attachment.name)


class StateFilter(admin.SimpleListFilter):
    """What readers see now, and what they do not."""

    title = _("状态")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("public", _("已发布")), ("waiting", _("待发布或草稿")), ("expired", _("已失效"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        match self.value():
            case "public":
                return queryset.published(now)  # type: ignore[attr-defined]
            case "waiting":
                return queryset.filter(Q(published_at__gt=now) | Q(is_released=False))
            case "expired":
                return queryset.filter(expires_at__lte=now)
        return queryset


class ContentItemForm(forms.ModelForm):
    """Names the two boxes of each time for a screen reader, which Django's widget leaves without a label."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("published_at", "expires_at"):
            if name in self.fields:  # who may only look has no fields
                day, time = self.fields[name].widget.widgets
                day.attrs["aria-label"] = f"{self.fields[name].label} {_('日期')}"
                time.attrs["aria-label"] = f"{self.fields[name].label} {_('时间')}"


@admin.register(ContentItem)
class ContentItemAdmin(AuditedAdmin):
    form = ContentItemForm
    list_display = ["title", "kind", "audience", "publisher", "published_at", "expires_at", "is_public"]
    list_filter = [StateFilter, "kind", "audience"]
    search_fields = ["title", "publisher"]
    show_full_result_count = False
    inlines = [AttachmentInline]
    fieldsets = [
        (None, {"fields": ["kind", "title", "body", "publisher"]}),
        (_("发布"), {"fields": ["is_released", "published_at", "expires_at", "audience", "target_page"]}),
    ]

    @admin.display(description=_("读者可见"), boolean=True)
    def is_public(self, item: ContentItem) -> bool:
        """Whether readers see it now."""
        return item.is_public_at(timezone.now())

    def view_on_site(self, item: ContentItem) -> str:
        """The item's page; staff see it there before readers do."""
        return item.get_absolute_url()

    def save_model(self, request: HttpRequest, obj: ContentItem, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        # Of both applications, when it was moved from one to the other.
        queries.forget_announcements(obj.audience, form.initial.get("audience", EVERYBODY))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        _delete_files(formset.deleted_objects)

    def delete_model(self, request: HttpRequest, obj: ContentItem) -> None:
        attachments = list(obj.attachments.all())
        super().delete_model(request, obj)
        queries.forget_announcements(obj.audience)
        _delete_files(attachments)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ContentItem]) -> None:
        attachments = list(Attachment.objects.filter(item__in=queryset))
        audiences = set(queryset.values_list("audience", flat=True))
        super().delete_queryset(request, queryset)
        queries.forget_announcements(*audiences)
        _delete_files(attachments)


def _delete_files(attachments: list[Attachment]) -> None:
    """Take the files out of the storage once their rows are gone for good."""

    def delete() -> None:
        for attachment in attachments:
            attachment.file.delete(save=False)

    if attachments:
        transaction.on_commit(delete)


@admin.register(Contact)
class ContactAdmin(AuditedAdmin):
    list_display = ["label", "value", "way", "is_hotline", "position"]
