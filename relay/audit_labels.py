"""How the audit pages name what operators do to messages."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from core import audit

ACTIONS: dict[str, str | Promise] = {"relay.quarantine.retry": _("重新处理隔离报文")}


def register() -> None:
    """Once, when Django starts."""
    audit.register_actions(ACTIONS)
