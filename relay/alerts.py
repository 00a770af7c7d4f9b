"""What operators are told about an alert, and what they are to type: the words of docs/operations/watching.md."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db.models import Min, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from relay.models import Alert, AlertKind, OutboundMessage, OutboundState

_TO_DO: Final[dict[str, str | Promise]] = {
    AlertKind.OUTBOUND_OLD: gettext_lazy(
        "先看各队列与最近错误。待发送的在增加：工作进程未运行，或交换目录、消息中间件不可用，排除后自动继续；等待回执的在增加：请联系对方。对方预告停机时可暂停发送。"
    ),
    AlertKind.INBOUND_OLD: gettext_lazy("工作进程未运行，或业务处理反复失败：请看日志中的 relay_handler_failed。排除后自动继续。"),
    AlertKind.PARTNER_SILENT: gettext_lazy(
        "已发出的报文没有回执，对方也没有任何其他报文：请联系对方。报文会按间隔自动重发，对方恢复后自动继续。"
    ),
    AlertKind.QUARANTINE: gettext_lazy("逐份查看隔离原因。原因在我方并已排除的，重新处理；无人需要的，写明原因后放弃。"),
    AlertKind.REFUSED: gettext_lazy("查看拒收代码与原因。对方误拒并已纠正的，先试列出再重发；企业也可以修改后重新申报。"),
}
_COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    AlertKind.OUTBOUND_OLD: (
        "manage.py relay_status",
        "manage.py relay_resend --partner {partner} --state queued --yes",
        'manage.py relay_pause --partner {partner} --reason "…"',
    ),
    AlertKind.INBOUND_OLD: ("manage.py relay_status", "grep relay_handler_failed"),
    AlertKind.PARTNER_SILENT: ("manage.py relay_status", 'manage.py relay_pause --partner {partner} --reason "…"'),
    AlertKind.QUARANTINE: (
        "manage.py relay_quarantine list --partner {partner}",
        "manage.py relay_quarantine show ID",
        "manage.py relay_quarantine retry ID",
        'manage.py relay_quarantine discard ID --reason "…"',
    ),
    AlertKind.REFUSED: ("manage.py relay_status", "manage.py relay_resend --partner {partner} --state refused --since {since}"),
}


def open_alerts() -> QuerySet[Alert]:
    """What operators were told of and is not over, the longest first."""
    return Alert.objects.filter(opened_at__isnull=False, closed_at__isnull=True).order_by("opened_at", "pk")


def what(alert: Alert) -> str:
    """What is wrong, in one line."""
    facts = {
        "kind": AlertKind(alert.kind).label,
        "partner": alert.partner,
        "type": printable_type(alert),
        "number": alert.number,
        "since": f"{timezone.localtime(alert.since):%Y-%m-%d %H:%M:%S}",
    }
    return _("%(kind)s：对方 %(partner)s，报文类型 %(type)s，%(number)d 份，自 %(since)s 起") % facts


def printable_type(alert: Alert) -> str:
    """The type, or what stands for all and for what could not be read; a partner may have put anything into it."""
    if not alert.message_type:
        return _("无法识别") if alert.kind == AlertKind.QUARANTINE else _("全部")
    return "".join(char if char.isprintable() else "?" for char in alert.message_type)


def to_do(alert: Alert) -> str:
    """What to do about it."""
    return str(_TO_DO[alert.kind])


def commands(alert: Alert) -> list[str]:
    """What to type."""
    since = f"{timezone.localtime(_made_since(alert)):%Y-%m-%dT%H:%M}"
    return [command.format(partner=alert.partner, since=since) for command in _COMMANDS[alert.kind]]


def _made_since(alert: Alert) -> datetime:
    """From when on what the alert is about was made, by which commands select: a message that was refused then is older."""
    if alert.kind != AlertKind.REFUSED:
        return alert.since
    refused = OutboundMessage.objects.filter(
        state=OutboundState.REFUSED, partner=alert.partner, message_type=alert.message_type, finished_at__gte=alert.since
    )
    first: datetime | None = refused.aggregate(first=Min("created_at"))["first"]
    return first or alert.since


def as_json(alert: Alert) -> dict[str, Any]:
    """Plain values; times in ISO 8601 with zone."""
    return {
        "kind": alert.kind,
        "partner": alert.partner,
        "message_type": alert.message_type,
        "number": alert.number,
        "since": alert.since.isoformat(),
        "opened_at": alert.opened_at.isoformat() if alert.opened_at else None,
        "seen_at": alert.seen_at.isoformat(),
    }


def mail(*, opened: Sequence[Alert], reminded: Sequence[Alert], closed: Sequence[Alert]) -> tuple[str, str]:
    """Subject and text of the one mail that tells of a run: what has begun, what still lasts, what is over."""
    parts: list[str] = []
    for heading, alerts in ((_("新告警"), opened), (_("仍未解除"), reminded)):
        if alerts:
            parts.append(heading)
        for alert in alerts:
            parts += [what(alert), to_do(alert), *(f"    {command}" for command in commands(alert)), ""]
    if closed:
        parts += [_("已解除"), *map(what, closed), ""]
    parts.append(_("说明见 docs/operations/watching.md；页面：/admin/relay/pause/（运行状况与暂停）。"))
    told = [*opened, *reminded] or closed
    kinds = dict.fromkeys(str(AlertKind(alert.kind).label) for alert in told)
    heading = _("告警 %(number)d 项") if opened else (_("告警仍未解除 %(number)d 项") if reminded else _("告警解除 %(number)d 项"))
    subject = _("[单一窗口 报文传输] %(heading)s：%(kinds)s") % {"heading": heading % {"number": len(told)}, "kinds": _("、").join(kinds)}
    return subject, "\n".join(parts)
