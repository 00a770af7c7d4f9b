"""How the audit pages name what operators do to messages."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from core import audit

ACTIONS: dict[str, str | Promise] = {
    "relay.quarantine.retry": _("重新处理隔离报文"),
    "relay.quarantine.discard": _("放弃隔离报文"),
    "relay.pause.begin": _("暂停发送报文"),
    "relay.pause.end": _("恢复发送报文"),
    "relay.message.resend": _("重发报文"),
    "relay.message.settle": _("处置报文的送达"),
}


def register() -> None:
    """Once, when Django starts."""
    audit.register_actions(ACTIONS)
