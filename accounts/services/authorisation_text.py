"""What the legal person's card signs (CARD-06). It is kept as evidence: the same in every language, and not to be changed for its looks."""

from datetime import datetime

from django.utils import timezone

from accounts.models import Enterprise, User
from accounts.rights import ApplicationKey

#: As the manuals call the applications.
_CHINESE = {
    ApplicationKey.SMARTGATE: "智能卡口散杂货",
    ApplicationKey.ORIGIN_CERT: "贸促会原产地证申报",
    ApplicationKey.INSPECTION: "海关查验信息推送",
    ApplicationKey.HSCODE_LIBRARY: "规范申报企业专属库",
}


def authorisation_text(*, enterprise: Enterprise, application: ApplicationKey, actor: User, number: str, at: datetime) -> str:
    """The text that the legal person reads and his card signs: the same for the same, line by line, whatever language the page is in."""
    return "\n".join(
        [
            "法人卡授权书",
            f"授权编号：{number}",
            f"企业名称：{_one_line(enterprise.name)}",
            f"统一社会信用代码：{enterprise.credit_code}",
            f"授权应用：{_CHINESE[application]}（{application.value}）",
            "授权内容：本企业法定代表人同意本企业的用户在辽宁国际贸易单一窗口的上述应用中查询和使用本企业的数据。",
            f"办理人：{_one_line(actor.full_name)}（{actor.username}）",
            f"生成时间：{timezone.localtime(at):%Y-%m-%d %H:%M:%S}",
        ]
    )


def _one_line(name: str) -> str:
    """No name can add a line to what is signed."""
    return " ".join(name.split())
