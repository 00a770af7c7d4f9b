"""Enterprises and users for platform staff."""

from typing import cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.models import Enterprise, User
from accounts.services import second_factor
from accounts.services.users import thaw_account
from accounts.views.own import own_user
from core.workflow import ActionRefused

#: django-allauth's own pages show what staff have no use for, secrets and keys of sessions among it.
for model in (Authenticator, EmailAddress, SocialAccount, SocialApp, SocialToken, UserSession):
    admin.site.unregister(model)


@admin.register(Enterprise)
class EnterpriseAdmin(admin.ModelAdmin):
    list_display = ["name", "credit_code", "customs_registration_no", "is_active"]
    search_fields = ["name", "credit_code"]
    list_filter = ["is_active"]


class PortalUserCreationForm(AdminUserCreationForm):
    """A new user needs a role from the start, and an enterprise when the role asks for one."""

    class Meta(AdminUserCreationForm.Meta):
        model = User
        fields = ("username", "full_name", "role", "enterprise")


@admin.register(User)
class PortalUserAdmin(UserAdmin):
    add_form = PortalUserCreationForm
    list_display = ["username", "full_name", "role", "enterprise", "is_active", "frozen_at"]
    list_filter = ["role", "is_active", ("frozen_at", admin.EmptyFieldListFilter)]
    actions = ["thaw", "reset_second_factor"]
    list_select_related = ["enterprise"]
    search_fields = ["username", "full_name", "mobile"]
    ordering = ["username"]
    autocomplete_fields = ["enterprise"]
    #: Set by what happens to the account; 解冻 is an action, so that it is audited.
    readonly_fields = ["last_login", "date_joined", "first_login_verified_at", "frozen_at", "dormancy_warned_at"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        (_("用户信息"), {"fields": ["full_name", "mobile", "email", "role", "enterprise", "unloading_code", "ic_card_no"]}),
        (_("权限"), {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        (_("时间"), {"fields": ["last_login", "date_joined", "first_login_verified_at", "frozen_at", "dormancy_warned_at"]}),
    ]
    add_fieldsets = [
        (
            None,
            {"classes": ["wide"], "fields": ["username", "full_name", "role", "enterprise", "usable_password", "password1", "password2"]},
        )
    ]

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
