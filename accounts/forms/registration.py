"""The forms of the registration's steps (ACC-01 to ACC-03, M2 用户注册).

What a form is told of the registration so far (`Progress`) decides what it asks for: a password that was given and a phone that was
verified are not asked for again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Field, Fieldset, Layout
from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms.base import AccountForm, CheckboxGroup, MobileField, NameField, NumberField, PasswordField, SmsCodeField
from accounts.forms.enterprise import EnterpriseTypesField, LegalPersonNameField, OfficeAddressField, OfficePhoneField
from accounts.forms.person import EmailField, FullNameField, IdentityNumberField, UsernameField
from accounts.models import CLEARANCE_SERVICES, PORT_SERVICES, Service, User
from accounts.rights import ApplicationKey
from core.identifiers import (
    organisation_code_of,
    validate_credit_code,
    validate_customs_registration_no,
    validate_ic_card_no,
    validate_inspection_registration_no,
    validate_organisation_code,
)

ENTERPRISE, USER, SERVICES = "enterprise", "user", "services"


@dataclass(frozen=True, slots=True)
class Progress:
    """What the registration knows already: whether a password is set, and which mobile is verified."""

    has_password: bool = False
    verified_mobile: str = ""


class RegistrationForm(AccountForm):
    """Base of the steps. `group_template` draws a field of which several may be chosen."""

    group_template = "accounts/checkbox_group.html"

    def __init__(self, *args: Any, progress: Progress | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.progress = progress or Progress()

    @property
    def helper(self) -> FormHelper:
        helper = super().helper
        helper.layout = Layout(*self._layout())
        return helper

    def _layout(self) -> list[Any]:
        """The fields in their order, each with its template."""
        return [
            Field(bound.name, template=self.group_template) if isinstance(bound.field.widget, CheckboxGroup) else bound.name
            for bound in self.visible_fields()
        ]


class EnterpriseForm(RegistrationForm):
    """1 企业信息."""

    enterprise_name = NameField(
        label=_("企业名称"),
        max_length=200,
        help_text=_("企业中文名称，与营业执照一致"),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    credit_code = NumberField(
        label=_("统一信用代码"),
        validators=[validate_credit_code],
        help_text=_("18 位统一社会信用代码"),
        widget=forms.TextInput(attrs={"maxlength": 30}),
    )
    organisation_code = NumberField(
        label=_("组织机构代码"),
        required=False,
        validators=[validate_organisation_code],
        help_text=_("即统一信用代码的第 9 至 17 位，自动填写"),
        widget=forms.TextInput(attrs={"maxlength": 20}),
    )
    enterprise_types = EnterpriseTypesField()
    legal_person_name = LegalPersonNameField()
    legal_person_id_no = IdentityNumberField(label=_("法人身份证号"))
    office_phone = OfficePhoneField()
    office_address = OfficeAddressField()

    def clean(self) -> dict[str, Any]:
        """The organisation code is characters 9 to 17 of the credit code; who types another one has mistaken one of the two."""
        cleaned = super().clean()
        credit_code, typed = cleaned.get("credit_code"), cleaned.get("organisation_code")
        if credit_code:
            belongs = organisation_code_of(credit_code)
            if typed and typed != belongs:
                self.add_error(
                    "organisation_code",
                    forms.ValidationError(
                        _("组织机构代码“%(typed)s”与统一信用代码不符：应为其第 9 至 17 位“%(belongs)s”，请核对这两项。"),
                        params={"typed": typed, "belongs": belongs},
                        code="organisation_code_of_another",
                    ),
                )
            elif "organisation_code" not in self.errors:
                cleaned["organisation_code"] = belongs
        return cleaned


class UserForm(RegistrationForm):
    """2 用户信息. Whether the code is right is not this form's to say: it may be used up only once."""

    username = UsernameField(autocomplete="username")
    password1 = PasswordField(
        label=_("密码"), autocomplete="new-password", help_text=_("长度须为8-64位, 必须包含字母和数字, 字母区分大小写")
    )
    password2 = PasswordField(label=_("确认密码"), autocomplete="new-password", help_text=_("请再次填写密码"))
    full_name = FullNameField(widget=forms.TextInput(attrs={"autocomplete": "name"}))
    id_no = IdentityNumberField()
    mobile = MobileField()
    sms_code = SmsCodeField()
    email = EmailField(widget=forms.EmailInput(attrs={"autocomplete": "email"}))

    CODE_WANTED = _("请点击“获取验证码”，并填写短信中的 6 位数字。")
    #: Never kept as typed: what the session holds is a hash of the password, and that the phone was verified.
    SECRETS: ClassVar[frozenset[str]] = frozenset({"password1", "password2", "sms_code"})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sms_code"].error_messages["required"] = self.CODE_WANTED
        if self.progress.has_password:
            self.password_is_kept()
        if self.progress.verified_mobile:
            self.mobile_is_verified()

    def password_is_kept(self) -> None:
        """Say so in the fields, which need not be filled in again."""
        for name in ("password1", "password2"):
            self.fields[name].required = False
            self.fields[name].help_text = _("已填写，不改请留空")
            self.fields[name].widget.attrs["placeholder"] = _("已填写，不改请留空")

    def mobile_is_verified(self) -> None:
        """Say so at the code, which is not asked for again while the mobile stays the same."""
        self.fields["sms_code"].required = False
        self.fields["sms_code"].help_text = _("手机号已验证，不更换手机号时无需再填验证码")

    @property
    def needs_code(self) -> bool:
        """Whether the mobile of this (valid) form still has to be verified."""
        return self.cleaned_data["mobile"] != self.progress.verified_mobile

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        owner = User(username=cleaned.get("username", ""), full_name=cleaned.get("full_name", ""), email=cleaned.get("email", ""))
        self.check_new_password("password1", "password2", owner)
        mobile = cleaned.get("mobile")
        if mobile and self.needs_code and not cleaned.get("sms_code") and "sms_code" not in self.errors:
            self.add_error("sms_code", forms.ValidationError(self.CODE_WANTED, code="required"))
        return cleaned

    @property
    def good_password(self) -> str:
        """The password when it is fit to be kept, whatever else is wrong with the form; else empty. Ask after cleaning."""
        if self.errors.keys() & {"password1", "password2"}:
            return ""
        return str(self.cleaned_data.get("password1", ""))


class ServicesForm(RegistrationForm):
    """3 业务开通. 货物申报 asks for the number by which the enterprise files: as 报关 its customs number, as 报检 its inspection number,
    one of the two at least (M2 友情提示; the manual's own example fills in 报检 only). The IC card is optional."""

    services = forms.MultipleChoiceField(
        label=_("业务开通"),
        choices=[
            (_("通关政务业务"), [(service.value, service.label) for service in CLEARANCE_SERVICES]),
            (_("口岸物流业务"), [(service.value, service.label) for service in PORT_SERVICES]),
            (_("本平台应用"), ApplicationKey.choices),
        ],
        widget=CheckboxGroup,
        help_text=_("选择货物申报后，请填写相关资质代码"),
    )
    inspection_registration_no = NumberField(
        label=_("企业报检注册号"),
        required=False,
        validators=[validate_inspection_registration_no],
        help_text=_("10 位数字；选择货物申报时，与海关注册编码至少填写一项"),
        widget=forms.TextInput(attrs={"maxlength": 20}),
    )
    customs_registration_no = NumberField(
        label=_("企业海关注册编码（十位编码）"),
        required=False,
        validators=[validate_customs_registration_no],
        help_text=_("10 位海关编码；选择货物申报时，与报检注册号至少填写一项"),
        widget=forms.TextInput(attrs={"maxlength": 20}),
    )
    ic_card_no = NumberField(
        label=_("用户海关IC卡号"),
        required=False,
        validators=[validate_ic_card_no],
        help_text=_("13 位卡号，没有可不填"),
        widget=forms.TextInput(attrs={"maxlength": 26}),
    )
    accept_agreements = forms.BooleanField(label=_("阅读并接受"), error_messages={"required": _("请阅读并接受两份协议。")})

    NUMBERS = ("inspection_registration_no", "customs_registration_no", "ic_card_no")

    def _layout(self) -> list[Any]:
        return [
            Field("services", template=self.group_template),
            Fieldset("", *self.NUMBERS, template="accounts/register_numbers.html"),
            Field("accept_agreements", template="accounts/accept_agreements.html"),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["services"].error_messages["required"] = _("请至少选择一项业务。")
        self.fields["accept_agreements"].error_messages["required"] = _("请阅读两份协议，接受后勾选此项。")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if Service.GOODS_DECLARATION not in cleaned.get("services", []):
            for name in self.NUMBERS:
                self.errors.pop(name, None)
                cleaned[name] = ""
        elif not any(cleaned.get(name) or name in self.errors for name in self.NUMBERS[:2]):
            text = _("选择货物申报时，请填写企业报检注册号或企业海关注册编码，至少一项。")
            self.add_error("inspection_registration_no", forms.ValidationError(text, code="required"))
        return cleaned

    def chosen(self, of: Iterable[str]) -> list[str]:
        """What was chosen among `of`."""
        wanted = set(self.cleaned_data["services"])
        return [value for value in of if value in wanted]
