"""我的资质, with the manual's headings and explanations (M2 企业资质绑定, M5 §2, ACC-11)."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.forms.base import CheckboxGroup, PasswordField, RadioGroup
from accounts.forms.sections import Section, SectionedForm
from accounts.models import Enterprise, Qualification
from accounts.services.qualifications import SECRETS, QualificationEntry, plain_values
from core import identifiers
from core.forms.fields import SystemField
from core.text import validate_plain_text


class _NumberField(forms.CharField):
    """A number of another authority: full-width characters, blanks and case are put right."""

    def __init__(self, *validators: Callable[[str], None], **kwargs: Any) -> None:
        super().__init__(required=False, validators=[validate_plain_text, *validators], **kwargs)

    def to_python(self, value: Any) -> str:
        return identifiers.normalised(super().to_python(value) or "")


class _SavedPasswordField(PasswordField):
    """A password of another system: empty leaves it as it is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocomplete="new-password", required=False, **kwargs)


class _ClearField(forms.MultipleChoiceField):
    """One box: the stored password is to go."""

    widget = CheckboxGroup

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[("clear", _("清除已保存的密码"))], required=False, **kwargs)


def _account(label: Any) -> forms.CharField:
    return forms.CharField(
        label=label, max_length=50, required=False, validators=[validate_plain_text], widget=forms.TextInput(attrs={"spellcheck": "false"})
    )


class QualificationForm(SectionedForm):
    """All of 我的资质. For who may only look it is grey, without the accounts of other systems."""

    credit_code = SystemField(label=_("统一社会信用代码"))
    organisation_code = SystemField(label=_("组织机构代码(主体标识码)"))
    enterprise_name = SystemField(label=_("企业中文名称"))
    has_foreign_trade_record = forms.TypedChoiceField(
        label=_("是否已有对外贸易经营者备案"),
        choices=[("yes", _("是")), ("no", _("否"))],
        coerce={"yes": True, "no": False}.get,
        empty_value=None,
        required=False,
        widget=RadioGroup,
        error_messages={"invalid_choice": _("请选择“是”或“否”。")},
    )
    customs_registration_no = _NumberField(identifiers.validate_customs_registration_no, label=_("海关注册编码"), help_text=_("10 位编码"))
    inspection_registration_no = _NumberField(
        identifiers.validate_inspection_registration_no, label=_("报检单位注册号"), help_text=_("10 位号码")
    )
    eciq_account = _account(_("质检ECIQ申报账号"))
    eciq_password = _SavedPasswordField(label=_("质检ECIQ申报密码"))
    eciq_password_clear = _ClearField(label=_("质检ECIQ申报密码"))
    origin_record_no = _NumberField(label=_("质检产地证备案号"), max_length=20)
    origin_platform_account = _account(_("质检通讯平台账号"))
    origin_platform_password = _SavedPasswordField(label=_("质检通讯平台密码"))
    origin_platform_password_clear = _ClearField(label=_("质检通讯平台密码"))
    ccpit_code = _NumberField(identifiers.validate_ccpit_code, label=_("贸促会编码"), help_text=_("填写6位贸促会机构编码"))
    ccpit_enterprise_code = _NumberField(
        identifiers.validate_ccpit_enterprise_code, label=_("企业编码"), help_text=_("填写9位贸促会企业编码")
    )
    ccpit_signatory = forms.CharField(
        label=_("手签员姓名"),
        max_length=50,
        required=False,
        validators=[validate_plain_text],
        help_text=_("填写在贸促会备案过的手签员姓名"),
    )

    sections = (
        Section(_("企业信息"), ("credit_code", "organisation_code", "enterprise_name")),
        Section(
            _("对外贸易经营者备案"),
            ("has_foreign_trade_record",),
            [
                _(
                    "企业在开展对外贸易业务前，需要向商务部提交对外贸易经营者备案登记表，审核通过后视为已有对外贸易经营者资格，该资质备案是开展后续报关，申请许可证，办理出口退税等许多业务的基础。"
                )
            ],
        ),
        Section(
            _("海关注册登记"),
            ("customs_registration_no",),
            [_("企业在海关办理注册登记后，取得的10位编码，用于办理报关等业务。平台将根据您的信息自动返填。")],
        ),
        Section(
            _("报检资质备案"),
            ("inspection_registration_no", "eciq_account", "eciq_password", "eciq_password_clear"),
            [
                _("报检单位注册号、质检ECIQ申报账号和密码用于报检业务。"),
                _("1.报检单位注册号是企业向质检总局注册登记备案的10位号码。"),
                _("2.质检ECIQ申报账号和密码是企业向质检总局线下申请的用于向质检提交报检数据的申报账号和密码。"),
            ],
        ),
        Section(
            _("质检原产地证资质备案"),
            ("origin_record_no", "origin_platform_account", "origin_platform_password", "origin_platform_password_clear"),
            [
                _("质检产地证备案号、质检通讯平台账号和密码用于质检原产地证申报业务。"),
                _("1.质检产地证备案号是企业向质检总局注册备案登记的产地证备案号。"),
                _("2.质检通讯平台账号和密码是企业向信诚通平台线下申请的用于与单一窗口与质检平台通讯的账号和密码。"),
            ],
        ),
        Section(
            _("贸促会原产地证资质备案"),
            ("ccpit_code", "ccpit_enterprise_code", "ccpit_signatory"),
            [_("贸促会编码、企业编码和手签员姓名用于贸促会原产地证申报业务。")],
        ),
    )

    def __init__(
        self, *args: Any, enterprise: Enterprise, qualification: Qualification, is_editing: bool, shows_accounts: bool, **kwargs: Any
    ) -> None:
        stored = plain_values(enterprise, qualification)
        initial = {
            **stored,
            "credit_code": enterprise.credit_code,
            "organisation_code": enterprise.organisation_code,
            "enterprise_name": enterprise.name,
        }
        if is_editing:
            initial["has_foreign_trade_record"] = {True: "yes", False: "no"}.get(stored["has_foreign_trade_record"])
        super().__init__(*args, initial=initial, **kwargs)
        if not shows_accounts:
            for name in ("eciq_account", "origin_platform_account", *SECRETS):
                del self.fields[name]
        for name in SECRETS:
            self._prepare_password(name, is_set=bool(getattr(qualification, name)), is_editing=is_editing)
        if not is_editing:
            self.turn_grey([name for name in self.fields if not isinstance(self.fields[name], SystemField)])

    def _prepare_password(self, name: str, *, is_set: bool, is_editing: bool) -> None:
        """A stored password is never shown, only that there is one; there is nothing to clear where there is none."""
        if not is_set or not is_editing:
            del self.fields[f"{name}_clear"]
        if name not in self.fields:
            return
        if not is_editing:
            self.initial[name] = gettext("已设置") if is_set else gettext("未设置")
        elif is_set:
            self.fields[name].help_text = _("已设置，不修改请留空")

    def clean(self) -> dict[str, Any]:
        """A password is either replaced or cleared."""
        cleaned = super().clean()
        for name in SECRETS:
            if cleaned.get(name) and cleaned.get(f"{name}_clear"):
                self.add_error(name, gettext("填写了新密码，又勾选了清除：请只选择其中一项。"))
        return cleaned

    def entry(self) -> QualificationEntry:
        """What was said, for the service."""
        cleaned = self.cleaned_data
        secrets: dict[str, Any] = {name: "" if cleaned.get(f"{name}_clear") else cleaned[name] or None for name in SECRETS}
        plain: dict[str, Any] = {name: cleaned[name] for name in QualificationEntry.__dataclass_fields__ if name not in SECRETS}
        return QualificationEntry(**plain, **secrets)

    def differences(self, enterprise: Enterprise, qualification: Qualification) -> list[str]:
        """What is stored now where it is not what was typed: for who was overtaken by somebody else."""
        texts = []
        for name, value in plain_values(enterprise, qualification).items():
            if self.cleaned_data.get(name) != value:
                shown = {True: gettext("是"), False: gettext("否")}.get(value, value) or gettext("空")
                texts.append(gettext("“%(field)s”现为：%(value)s") % {"field": self.fields[name].label, "value": shown})
        return texts
