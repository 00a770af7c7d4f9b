"""Registrations for platform staff, who decide on them (ACC-06)."""

from collections.abc import Mapping
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, TextChoices
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts import agreements
from accounts.models import EnterpriseType, Registration, ReviewStatus, Service, User
from accounts.rights import ApplicationKey
from accounts.services.review import approve_registration, reject_registration
from core.text import masked
from core.workflow import ActionRefused


@admin.register(Registration)
class RegistrationAdmin(admin.ModelAdmin):
    """注册申请: nothing is edited; what waits is decided on by 审核通过 or 审核不通过 with a reason (ACC-06)."""

    list_display = ["submitted_at", "enterprise_name", "credit_code", "username", "full_name", "role", "status", "reviewed_by"]
    list_filter = ["status", "role"]
    list_select_related = ["reviewed_by"]
    search_fields = ["enterprise_name", "credit_code", "username", "full_name"]
    date_hierarchy = "submitted_at"
    ordering = ["-submitted_at"]
    actions = ["approve_chosen"]
    change_form_template = "admin/accounts/registration/change_form.html"
    fieldsets = [
        (_("审核"), {"fields": ["status", "reason", "reviewed_by", "reviewed_at"]}),
        (
            _("企业信息"),
            {
                "fields": [
                    "enterprise_name",
                    "credit_code",
                    "enterprise_types",
                    "legal_person_name",
                    "legal_person_id_no",
                    "office_phone",
                    "office_address",
                ]
            },
        ),
        (_("用户信息"), {"fields": ["role", "username", "full_name", "id_no", "mobile", "email"]}),
        (
            _("业务开通"),
            {"fields": ["services_named", "inspection_registration_no", "customs_registration_no", "ic_card_no", "agreements_accepted"]},
        ),
        (_("来源"), {"fields": ["submitted_at", "ip"]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Registration | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Registration | None = None) -> list[Any]:
        return flatten_fieldsets(self.fieldsets)

    @admin.display(description=_("企业类型"))
    def enterprise_types(self, registration: Registration) -> str:
        return _named(EnterpriseType, registration.enterprise.enterprise_types if registration.enterprise else [])

    @admin.display(description=_("法人姓名"))
    def legal_person_name(self, registration: Registration) -> str:
        return registration.enterprise.legal_person_name if registration.enterprise else ""

    @admin.display(description=_("法人身份证号"))
    def legal_person_id_no(self, registration: Registration) -> str:
        return masked(registration.enterprise.legal_person_id_no) if registration.enterprise else ""

    @admin.display(description=_("办公电话"))
    def office_phone(self, registration: Registration) -> str:
        return registration.enterprise.office_phone if registration.enterprise else ""

    @admin.display(description=_("办公地址"))
    def office_address(self, registration: Registration) -> str:
        return registration.enterprise.office_address if registration.enterprise else ""

    @admin.display(description=_("身份证号"))
    def id_no(self, registration: Registration) -> str:
        return masked(registration.user.id_no) if registration.user else ""

    @admin.display(description=_("业务开通"))
    def services_named(self, registration: Registration) -> str:
        return _named(Service, registration.services) + _("；") + _named(ApplicationKey, registration.applications)

    @admin.display(description=_("接受的协议"))
    def agreements_accepted(self, registration: Registration) -> str:
        return _("，").join(agreements.named(registration.agreements))

    @admin.action(description=_("审核通过所选的注册申请"), permissions=["change"])
    def approve_chosen(self, request: HttpRequest, queryset: "QuerySet[Registration]") -> None:
        """Each by itself: one that cannot be approved does not hold up the others."""
        approved = 0
        # The enterprises first: their operators are part of the same decision.
        for registration_id in queryset.order_by("role", "pk").values_list("pk", flat=True):
            try:
                approve_registration(actor=cast("User", request.user), registration_id=registration_id)
            except ActionRefused as refusal:
                messages.warning(request, f"{Registration.objects.get(pk=registration_id)}{gettext('：')}{refusal}")
            else:
                approved += 1
        if approved:
            messages.success(request, ngettext("已审核通过 %d 份注册申请。", "已审核通过 %d 份注册申请。", approved) % approved)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Mapping[str, Any] | None = None
    ) -> HttpResponse:
        """The registration with its two buttons; a POST is one of them."""
        registration = self.get_object(request, object_id)
        context: dict[str, Any] = {**(extra_context or {}), "reason_typed": request.POST.get("reason", "")}
        if registration is not None:
            if not self.has_view_permission(request, registration):
                raise PermissionDenied
            if request.method == "POST" and self._decide(request, registration):
                return redirect("admin:accounts_registration_changelist")
            registration.refresh_from_db()
            context["may_decide"] = registration.status == ReviewStatus.PENDING and self.has_change_permission(request, registration)
        # What follows only shows the page.
        request.method = "GET"
        return super().change_view(request, object_id, form_url, context)

    def _decide(self, request: HttpRequest, registration: Registration) -> bool:
        """Whether the button's decision was made; if not, a message says why."""
        if not self.has_change_permission(request, registration):
            raise PermissionDenied
        decide = {"approve": approve_registration, "reject": reject_registration}.get(request.POST.get("decide", ""))
        if decide is None:
            messages.error(request, gettext("请点击“审核通过”或“审核不通过”。"))
            return False
        try:
            decided = decide(actor=cast("User", request.user), registration_id=registration.pk, reason=request.POST.get("reason", ""))
        except ActionRefused as refusal:
            messages.error(request, str(refusal))
            return False
        messages.success(request, f"{decided}{gettext('：')}{decided.get_status_display()}")
        return True


def _named(choices: type[TextChoices], values: list[str]) -> str:
    """The Chinese names of stored choices."""
    labels = dict(choices.choices)
    return _("、").join(str(labels.get(value, value)) for value in values)
