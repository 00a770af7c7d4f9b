"""Own data: 企业管理员信息, 企业操作员信息, 用户信息 (M2, ACC-10)."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.forms.base import MobileField, PasswordField, SmsCodeField
from accounts.forms.enterprise import EnterpriseTypesField, LegalPersonNameField, OfficeAddressField, OfficePhoneField
from accounts.forms.person import EmailField
from accounts.forms.sections import Section, SectionedForm
from accounts.models import User
from accounts.rights import Right
from accounts.services.enterprises import EnterpriseEntry, enterprise_values
from core.forms.fields import SystemField

_OF_ENTERPRISE = ("enterprise_types", "legal_person_name", "office_phone", "office_address")


class ProfileForm(SectionedForm):
    """Grey is what comes from registration; an administrator may bring some of his enterprise's data up to date."""

    enterprise_name = SystemField(label=_("企业名称"))
    credit_code = SystemField(label=_("统一社会信用代码"))
    organisation_code = SystemField(label=_("组织机构代码"))
    enterprise_types = EnterpriseTypesField()
    legal_person_name = LegalPersonNameField()
    legal_person_id_no = SystemField(label=_("法人身份证号"))
    office_phone = OfficePhoneField()
    office_address = OfficeAddressField()
    username = SystemField(label=_("登录用户名"))
    role = SystemField(label=_("角色"))
    full_name = SystemField(label=_("姓名"))
    id_no = SystemField(label=_("身份证号"))
    mobile = SystemField(label=_("手机号"))
    email = EmailField()
    sections = (
        Section(
            _("企业信息"),
            ("enterprise_name", "credit_code", "organisation_code", "legal_person_id_no", *_OF_ENTERPRISE),
        ),
        Section(_("用户信息"), ("username", "role", "full_name", "id_no", "mobile", "email")),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        initial: dict[str, Any] = {
            "username": user.username,
            "role": user.get_role_display(),
            "full_name": user.full_name,
            "id_no": user.masked_id_no,
            "mobile": user.masked_mobile,
            "email": user.email,
        }
        enterprise = user.enterprise
        if enterprise is not None:
            initial |= {
                "enterprise_name": enterprise.name,
                "credit_code": enterprise.credit_code,
                "organisation_code": enterprise.organisation_code,
                "legal_person_id_no": enterprise.masked_legal_person_id_no,
                **enterprise_values(enterprise),
            }
        super().__init__(*args, initial=initial, **kwargs)
        if enterprise is None:
            for name in self.sections[0].names:
                del self.fields[name]
            # Authorities and staff have an address at their office, not always one the portal knows.
            self.fields["email"].required = False
        elif not user.has_right(Right.ENTERPRISE_MANAGE):
            self.turn_grey(_OF_ENTERPRISE)

    def enterprise_entry(self) -> EnterpriseEntry | None:
        """What is said of the enterprise; None for who may not change it."""
        if not set(_OF_ENTERPRISE) <= set(self.cleaned_data):
            return None
        return EnterpriseEntry(**{name: self.cleaned_data[name] for name in _OF_ENTERPRISE})


class NewMobileForm(SectionedForm):
    """更换手机号. Whoever has the phone may set a new password, so who changes it proves first that he has the old one."""

    current = SystemField(label=_("当前手机号"))
    mobile = MobileField(label=_("新手机号"))
    sms_code = SmsCodeField()
    password = PasswordField(label=_("登录密码"), autocomplete="current-password", max_length=128, help_text=_("为账号安全，须核对密码"))
    sections = (Section(_("手机号"), ("current", "mobile", "sms_code", "password")),)
