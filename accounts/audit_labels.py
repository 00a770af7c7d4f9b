"""How the audit pages name what happens to enterprises, users and their ways of logging in."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from core import audit

ACTIONS: dict[str, str | Promise] = {
    "accounts.registration.submit": _("提交注册申请"),
    "accounts.registration.approve": _("审核通过注册申请"),
    "accounts.registration.reject": _("退回注册申请"),
    "accounts.enterprise.edit": _("修改企业信息"),
    "accounts.enterprise.enable": _("启用企业"),
    "accounts.enterprise.disable": _("停用企业"),
    "accounts.enterprise.open_application": _("开通应用"),
    "accounts.enterprise.close_application": _("关闭应用"),
    "accounts.qualification.edit": _("修改企业资质"),
    "accounts.operator.create": _("新增操作员"),
    "accounts.operator.edit": _("修改操作员"),
    "accounts.operator.enable": _("启用操作员"),
    "accounts.operator.disable": _("停用操作员"),
    "accounts.operator.grant": _("调整操作员应用权限"),
    "accounts.operator.reset_password": _("重置操作员密码"),
    "accounts.user.edit": _("修改用户信息"),
    "accounts.user.change_mobile": _("更换手机号"),
    "accounts.user.change_password": _("修改密码"),
    "accounts.user.reset_password": _("找回密码"),
    "accounts.user.staff_set_password": _("平台设置用户密码"),
    "accounts.user.verify_first_login": _("完成账号验证"),
    "accounts.user.warn_dormant": _("提醒账号即将冻结"),
    "accounts.user.freeze": _("冻结账号"),
    "accounts.user.thaw": _("解冻账号"),
    "accounts.card.bind": _("绑定IC卡"),
    "accounts.card.renew": _("更新IC卡证书"),
    "accounts.card.unbind": _("解绑IC卡"),
    "accounts.card.warn_end": _("提醒IC卡证书即将到期"),
    "accounts.card.authorise": _("法人卡授权"),
    "accounts.card.end_authorisation": _("终止法人卡授权"),
    "accounts.session.end": _("下线一个会话"),
    "accounts.session.end_others": _("下线其他会话"),
    "accounts.second_factor.add": _("添加双重验证方式"),
    "accounts.second_factor.remove": _("移除双重验证方式"),
    "accounts.second_factor.rename": _("重命名双重验证方式"),
    "accounts.second_factor.renew_codes": _("更换备用验证码"),
    "accounts.second_factor.reset": _("重置双重验证"),
    "accounts.second_factor.use": _("通过双重验证"),
    "accounts.single_sign_on.register": _("中央标准版快速注册"),
    "accounts.single_sign_on.bind": _("绑定中央标准版账户"),
    "accounts.single_sign_on.unbind": _("解除绑定中央标准版账户"),
    "accounts.single_sign_on.sign_off": _("中央标准版退出"),
}
VALUES: dict[str, str | Promise] = {
    "sessions": _("会话"),
    "card_no": _("介质号码"),
    "holder_name": _("持卡人"),
    "document_no": _("单据编号"),
}


def register() -> None:
    """Once, when Django starts."""
    audit.register_actions(ACTIONS)
    audit.register_values(VALUES)
