"""Code tables for platform staff: everything to look at; a code's newest version to change or end from a day on."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from reference import services
from reference.models import Code, CodeTable, DeclarationElement, valid_on


class ReadOnlyAdmin(admin.ModelAdmin):
    """Entries come from files and from services; nothing is typed in, deleted or overwritten here."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(CodeTable)
class CodeTableAdmin(ReadOnlyAdmin):
    list_display = ["key", "name", "content", "origin", "source", "effective_on", "loaded_at"]
    list_filter = ["origin", "content"]
    search_fields = ["key", "name"]


class ValidityFilter(admin.SimpleListFilter):
    """Nearly everybody wants what holds today; the past is a click away."""

    title = _("有效性")
    parameter_name = "validity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("today", _("今日有效")), ("ended", _("已失效"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        today = timezone.localdate()
        match self.value():
            case "today":
                return queryset.filter(valid_on(today))
            case "ended":
                return queryset.filter(valid_to__lte=today)
        return queryset


class CodeForm(forms.ModelForm):
    """What staff may say of a code: from which day it is called otherwise, or holds no longer."""

    effective_on = forms.DateField(label=_("自何日起"), help_text=_("名称、别名的修改或停用自该日起生效。"))
    ends = forms.BooleanField(label=_("停用"), required=False, help_text=_("勾选后该代码自上述日期起不再有效，名称与别名不变。"))

    class Meta:
        model = Code
        fields = ("name", "aliases")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["effective_on"].initial = timezone.localdate

    def clean(self) -> dict[str, Any] | None:
        """Ask the service in advance: what it would refuse is an error of the form, not a broken page."""
        cleaned = super().clean()
        if not self.errors and cleaned is not None:
            try:
                services.check_change(code_id=self.instance.pk, effective_on=cleaned["effective_on"], ends=cleaned["ends"])
            except ValidationError as error:
                self.add_error(None, error)
        return cleaned


@admin.register(Code)
class CodeAdmin(ReadOnlyAdmin):
    form = CodeForm
    list_display = ["table", "code", "name", "valid_from", "valid_to", "origin"]
    list_display_links = ["code"]
    list_filter = [ValidityFilter, "origin", "table"]
    list_select_related = ["table"]
    search_fields = ["code", "name", "initials", "aliases"]
    ordering = ["table__key", "code", "valid_from"]
    readonly_fields = ["table", "code", "initials", "valid_from", "valid_to", "origin", "extra"]
    fields = ["table", "code", "valid_from", "valid_to", "origin", "initials", "extra", "name", "aliases", "effective_on", "ends"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may only look sees the entry without the two questions about a change."""
        if self.has_change_permission(request, obj):
            return self.fields
        return [field for field in self.fields or [] if field not in {"effective_on", "ends"}]

    def save_model(self, request: HttpRequest, obj: Code, form: CodeForm, change: bool) -> None:
        day = form.cleaned_data["effective_on"]
        if form.cleaned_data["ends"]:
            services.end_code(code_id=obj.pk, effective_on=day, actor=request.user)
            return
        name, aliases = form.cleaned_data["name"], form.cleaned_data["aliases"]
        services.change_code(code_id=obj.pk, name=name, aliases=aliases, effective_on=day, actor=request.user)


@admin.register(DeclarationElement)
class DeclarationElementAdmin(ReadOnlyAdmin):
    list_display = ["prefix", "name", "required", "position", "valid_from", "valid_to", "origin"]
    list_filter = [ValidityFilter, "required"]
    search_fields = ["^prefix", "name"]
    ordering = ["prefix", "position", "valid_from"]
