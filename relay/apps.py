"""Registers relay with Django."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RelayConfig(AppConfig):
    name = "relay"
    verbose_name = _("报文传输")

    def ready(self) -> None:
        from relay import audit_labels, consistency

        consistency.register(*consistency.CHECKS)
        audit_labels.register()
