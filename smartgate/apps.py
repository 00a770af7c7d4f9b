"""Registers the smart gate with Django, and its messages with the relay."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SmartgateConfig(AppConfig):
    name = "smartgate"
    verbose_name = _("智能卡口散杂货")

    def ready(self) -> None:
        from relay import consistency, registry
        from smartgate import audit_labels, handlers, messages
        from smartgate.consistency import CHECKS
        from smartgate.services import settling

        registry.register_outbound(
            messages.FILING,
            on_delivered=handlers.handle_delivered,
            on_refused=handlers.handle_refused,
            on_requeued=handlers.handle_requeued,
            on_settled=handlers.handle_settled,
            open_subjects=settling.open_subjects,
        )
        registry.register_inbound(
            messages.RECEIPT,
            handlers.handle_receipt,
            partner=messages.CUSTOMS,
            answers=messages.FILING,
            subject_of=handlers.subject_of_receipt,
        )
        consistency.register(*CHECKS)
        audit_labels.register()
