"""Registers the project itself: its checks and commands."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.utils.translation import gettext_lazy as _


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = _("门户")

    def ready(self) -> None:
        from portal import checks  # noqa: F401 - registers them


class PortalAdminConfig(admin_apps.AdminConfig):
    """/admin/ without a login page of its own."""

    default = False
    default_site = "portal.admin_site.PortalAdminSite"
