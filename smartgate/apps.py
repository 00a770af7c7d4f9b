"""Registers the smart gate with Django, and its messages with the relay."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SmartgateConfig(AppConfig):
    name = "smartgate"
    verbose_name = _("智能卡口散杂货")

    def ready(self) -> None:
        from relay import registry
        from smartgate import audit_labels, handlers, messages

        registry.register_outbound(messages.FILING, on_delivered=handlers.handle_delivered, on_refused=handlers.handle_refused)
        registry.register_inbound(
            messages.RECEIPT,
            handlers.handle_receipt,
            partner=messages.CUSTOMS,
            answers=messages.FILING,
            subject_of=handlers.subject_of_receipt,
        )
        audit_labels.register()
