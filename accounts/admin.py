"""Enterprises and users for platform staff."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.utils.translation import gettext_lazy as _

from accounts.models import Enterprise, User

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
    list_display = ["username", "full_name", "role", "enterprise", "is_active"]
    list_filter = ["role", "is_active"]
    list_select_related = ["enterprise"]
    search_fields = ["username", "full_name", "mobile"]
    ordering = ["username"]
    autocomplete_fields = ["enterprise"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        (_("用户信息"), {"fields": ["full_name", "mobile", "email", "role", "enterprise", "unloading_code", "ic_card_no"]}),
        (_("权限"), {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        (_("时间"), {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (
            None,
            {"classes": ["wide"], "fields": ["username", "full_name", "role", "enterprise", "usable_password", "password1", "password2"]},
        )
    ]
