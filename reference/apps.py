"""Registers reference with Django."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReferenceConfig(AppConfig):
    name = "reference"
    verbose_name = _("代码表")

    def ready(self) -> None:
        from reference import audit_labels

        audit_labels.register()
