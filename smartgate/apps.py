"""Registers smartgate with Django."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SmartgateConfig(AppConfig):
    name = "smartgate"
    verbose_name = _("智能卡口散杂货")
