"""How the audit pages name what happens to filings, and by which lists they read a filing's codes."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from core import audit
from core.codes import ChoicesSource, CodeSource
from smartgate import rules
from smartgate.cautions import CautionCode
from smartgate.models import Filing
from smartgate.states import Event

ACTIONS: dict[str, str | Promise] = {
    "smartgate.filing.create": _("新增卡口申报单"),
    "smartgate.filing.edit": _("修改卡口申报单"),
    "smartgate.filing.declare": _("申报卡口申报单"),
    "smartgate.filing.delete": _("删除卡口申报单"),
    "smartgate.filing.amend_save": _("暂存卡口申报单的变更"),
    "smartgate.filing.amend_discard": _("放弃卡口申报单的变更"),
    "smartgate.filing.amend": _("申报卡口申报单的变更"),
    "smartgate.filing.void": _("申报卡口申报单的删单"),
    "smartgate.filing.change_accepted": _("海关已接受卡口申报单的变更"),
    "smartgate.filing.change_rejected": _("卡口申报单的变更或删单被海关退回"),
    "smartgate.filing.change_not_sent": _("卡口申报单的变更或删单未送达海关"),
    "smartgate.filing.change_overtaken": _("卡口申报单的变更或删单已失效"),
    "smartgate.filing.change_again": _("平台将卡口申报单的变更或删单重新发往内网"),
    "smartgate.filing.send_again": _("平台将卡口申报单重新发往内网"),
    "smartgate.filing.restore": _("卡口申报单恢复为海关持有的内容"),
    "smartgate.filing.disown_receipts": _("海关确认没有该票，回执作废"),
    "smartgate.vehicle.create": _("新增常用车辆"),
    "smartgate.vehicle.edit": _("修改常用车辆"),
    "smartgate.vehicle.delete": _("删除常用车辆"),
    "smartgate.bill.create": _("新增常用提单"),
    "smartgate.bill.edit": _("修改常用提单"),
    "smartgate.bill.delete": _("删除常用提单"),
    "smartgate.import.upload": _("上传批量导入文件"),
    "smartgate.import.store": _("暂存批量导入的单据"),
    "smartgate.import.delete": _("删除批量导入文件"),
}
#: What the relay and customs said; `smartgate.services` makes the names of the events.
EVENTS: dict[Event, str | Promise] = {
    Event.RELAYED: _("卡口申报单已发往内网"),
    Event.RELAY_REFUSED: _("卡口申报单发往内网失败"),
    Event.STORED: _("海关回执：入库成功"),
    Event.REJECTED: _("海关回执：退单"),
    Event.LOCKED: _("海关回执：已锁定"),
    Event.UNLOCKED: _("海关回执：解除锁定"),
    Event.CLOSED: _("海关回执：已办结"),
    Event.CLOSED_MANUALLY: _("海关回执：人工办结"),
    Event.DEPARTED: _("海关回执：已口岸离场"),
    Event.VOID_ACCEPTED: _("海关已同意删单"),
}
CODES: dict[str, CodeSource] = {"customs_code": rules.CUSTOMS_DISTRICTS, "cautions": ChoicesSource(CautionCode)}
#: What the trail of a filing holds beside its fields.
VALUES: dict[str, str | Promise] = {"cautions": _("申报时已知悉的提醒"), "function": _("业务功能"), "outcome": _("结果")}


def register() -> None:
    """Once, when Django starts."""
    audit.register_actions(ACTIONS)
    audit.register_actions({f"smartgate.filing.{event.value.lower()}": label for event, label in EVENTS.items()})
    audit.register_codes(Filing, CODES)
    audit.register_values(VALUES)
