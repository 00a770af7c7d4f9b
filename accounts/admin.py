"""Enterprises and users for platform staff."""

from typing import Any, cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts import card_admin, registration_admin  # noqa: F401 - importing them registers them
from accounts.models import Enterprise, User
from accounts.services import second_factor
from accounts.services.enterprises import set_enterprise_active
from accounts.services.users import thaw_account
from accounts.views.own import own_user
from core import audit
from core.admin import AuditedAdmin
from core.workflow import ActionRefused

#: django-allauth's own pages show what staff have no use for, secrets and keys of sessions among it.
for model in (Authenticator, EmailAddress, SocialAccount, SocialApp, SocialToken, UserSession):
    admin.site.unregister(model)


admin.site.unregister(Group)


def _labels(field: str, description: Any) -> Any:
    """A read-only column of /admin/: the values of a list by their labels."""

    @admin.display(description=description)
    def shown(_page: Any, obj: models.Model) -> str:
        column: Any = obj._meta.get_field(field)
        known = dict(column.base_field.choices)
        return gettext("、").join(str(known.get(value, value)) for value in getattr(obj, field)) or "-"

    return shown


class NeverDeleted(AuditedAdmin):
    """Records that others name for ever, in filings and in the trail: they are disabled, never deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Group)
class AuditedGroupAdmin(AuditedAdmin, GroupAdmin):
    """Django's own page, audited."""


@admin.register(Enterprise)
class EnterpriseAdmin(NeverDeleted):
    list_display = ["name", "credit_code", "customs_registration_no", "is_active", "created_at"]
    search_fields = ["name", "credit_code"]
    list_filter = ["is_active"]
    actions = ["disable", "enable"]
    types = _labels("enterprise_types", _("企业类型"))
    opened_services = _labels("services", _("业务开通"))
    opened_applications = _labels("applications", _("开通的应用"))
    #: What the enterprise says of itself and opens for itself is its administrator's to change.
    readonly_fields = ["types", "legal_person_id", "opened_services", "opened_applications", "created_at"]
    fieldsets = [
        (None, {"fields": ["name", "credit_code", "organisation_code", "customs_registration_no", "types", "is_active"]}),
        (_("联系与法人"), {"fields": ["legal_person_name", "legal_person_id", "office_phone", "office_address"]}),
        (_("业务开通"), {"fields": ["opened_services", "opened_applications", "created_at"]}),
    ]

    def enterprise_id_of(self, obj: models.Model) -> int | None:
        return int(obj.pk)

    @admin.display(description=_("法人身份证号"))
    def legal_person_id(self, enterprise: Enterprise) -> str:
        """Masked: staff compare its ends with the documents they were shown."""
        return enterprise.masked_legal_person_id_no or "-"

    @admin.action(description=_("停用所选企业"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Enterprise]) -> None:
        """None of their users can do anything from the next request on."""
        self._switch(request, queryset, is_active=False)

    @admin.action(description=_("启用所选企业"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Enterprise]) -> None:
        """Their users may go on."""
        self._switch(request, queryset, is_active=True)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Enterprise], *, is_active: bool) -> None:
        actor = cast("User", request.user)  # nobody else comes here
        changed = sum(set_enterprise_active(actor=actor, enterprise_id=enterprise.pk, is_active=is_active) for enterprise in queryset)
        text = gettext("已启用 %d 家企业。") if is_active else gettext("已停用 %d 家企业。")
        self.message_user(request, text % changed, messages.SUCCESS if changed else messages.WARNING)


class PortalUserCreationForm(AdminUserCreationForm):
    """A new user needs a role from the start, and an enterprise when the role asks for one."""

    class Meta(AdminUserCreationForm.Meta):
        model = User
        fields = ("username", "full_name", "role", "enterprise")


@admin.register(User)
class PortalUserAdmin(NeverDeleted, UserAdmin):
    audit_secret = ("password",)
    add_form = PortalUserCreationForm
    list_display = ["username", "full_name", "role", "enterprise", "is_active", "frozen_at"]
    list_filter = ["role", "is_active", ("frozen_at", admin.EmptyFieldListFilter)]
    actions = ["thaw", "reset_second_factor"]
    list_select_related = ["enterprise"]
    search_fields = ["username", "full_name", "mobile"]
    ordering = ["username"]
    autocomplete_fields = ["enterprise"]
    #: Set by what happens to the account; 解冻 is an action, so that it is audited.
    readonly_fields = [
        "masked_identity",
        "card_no",
        "granted",
        "must_change_password",
        "last_login",
        "date_joined",
        "first_login_verified_at",
        "frozen_at",
        "dormancy_warned_at",
    ]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        (
            _("用户信息"),
            {"fields": ["full_name", "masked_identity", "mobile", "email", "role", "enterprise", "unloading_code", "card_no"]},
        ),
        (_("权限"), {"fields": ["is_active", "must_change_password", "granted", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        (_("时间"), {"fields": ["last_login", "date_joined", "first_login_verified_at", "frozen_at", "dormancy_warned_at"]}),
    ]
    add_fieldsets = [
        (
            None,
            {"classes": ["wide"], "fields": ["username", "full_name", "role", "enterprise", "usable_password", "password1", "password2"]},
        )
    ]

    granted = _labels("applications", _("应用权限"))

    #: Whoever may give these makes himself a superuser.
    superusers_fields = ("is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Accounts of staff are a superuser's to change: a new password, or no second factor, is the way into them."""
        if obj is not None and second_factor.is_superusers_business(obj) and not own_user(request).is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[Any] | tuple[Any, ...]:
        fixed = super().get_readonly_fields(request, obj)
        return fixed if own_user(request).is_superuser else [*fixed, *self.superusers_fields]

    @admin.display(description=_("身份证号"))
    def masked_identity(self, user: User) -> str:
        """210***********1234."""
        return user.masked_id_no or "-"

    @admin.display(description=_("IC 卡号"))
    def card_no(self, user: User) -> str:
        """Bound by the card alone, never typed in."""
        return user.ic_card_no or "-"

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        # A password that staff chose is not the user's own.
        obj.must_change_password = obj.must_change_password or not change
        super().save_model(request, obj, form, change)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 - Django's name
        """A password set by staff is audited, and for the user to replace."""
        with transaction.atomic():
            before = self.get_object(request, unquote(id))
            response = super().user_change_password(request, id, form_url)
            after = self.get_object(request, unquote(id))
            if before is not None and after is not None and before.password != after.password:
                after.must_change_password = after.pk != request.user.pk
                after.save(update_fields=["must_change_password"])
                audit.record(
                    action="accounts.user.staff_set_password",
                    obj=after,
                    actor=request.user,
                    enterprise_id=after.enterprise_id,
                    after={"password": gettext("已修改")},
                )
        return response

    @admin.action(description=_("解冻所选账号"), permissions=["change"])
    def thaw(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Open frozen accounts again (ACC-12)."""
        actor = cast("User", request.user)  # nobody else comes here
        thawed = sum(thaw_account(actor=actor, user_id=user.pk) for user in queryset)
        text = ngettext("已解冻 %d 个账号。", "已解冻 %d 个账号。", thawed) % thawed
        self.message_user(request, text, messages.SUCCESS if thawed else messages.WARNING)

    @admin.action(description=_("解除登录第二因素"), permissions=["change"])
    def reset_second_factor(self, request: HttpRequest, queryset: "QuerySet[User]") -> HttpResponse | None:
        """For a user who lost his phone or key: asks first, then takes his second factors away and ends his sessions (ACC-14)."""
        users = list(queryset)
        if "confirmed" not in request.POST:
            context = {**self.admin_site.each_context(request), "title": _("解除登录第二因素"), "users": users, "opts": self.model._meta}
            return TemplateResponse(request, "admin/accounts/reset_second_factor.html", context)
        for user in users:
            try:
                removed = second_factor.reset(user=user, actor=own_user(request))
            except ActionRefused as refusal:
                self.message_user(request, f"{user}：{refusal}", messages.ERROR)
                continue
            text = _("%(user)s：已解除第二因素，并退出其全部登录。") if removed else _("%(user)s：没有设置第二因素。")
            self.message_user(request, text % {"user": user}, messages.SUCCESS if removed else messages.WARNING)
        return None
