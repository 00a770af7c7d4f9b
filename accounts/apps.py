"""Registers accounts with Django."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("企业与用户")

    def ready(self) -> None:
        from allauth.mfa.models import Authenticator

        from accounts import (
            audit_labels,
            receivers,  # noqa: F401 - importing it connects them
        )
        from accounts.rotation import rotated_secrets
        from core import rotation

        rotation.register(rotation.Values(Authenticator, "data", rotated_secrets, is_json=True))
        audit_labels.register()
