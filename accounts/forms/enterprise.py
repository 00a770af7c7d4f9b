"""What is asked about an enterprise: at its registration, and of its administrator afterwards (ACC-01, ACC-10)."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms.base import NameField
from accounts.forms.sections import ChoicesField
from accounts.models import EnterpriseType
from core.identifiers import validate_phone


class EnterpriseTypesField(ChoicesField):
    """企业类型."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(EnterpriseType, **{"label": _("企业类型"), "help_text": _("请选择企业业务类型，可多选"), **kwargs})


class LegalPersonNameField(NameField):
    """法人姓名."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": _("法人姓名"), "max_length": 50, **kwargs})


class OfficePhoneField(forms.CharField):
    """办公电话, as people write it."""

    default_validators = [validate_phone]

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "tel"})
        help_text = _("如 0411-82732333，可带分机号")
        super().__init__(**{"label": _("办公电话"), "max_length": 30, "help_text": help_text, "widget": widget, **kwargs})


class OfficeAddressField(NameField):
    """办公地址."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"autocomplete": "street-address"})
        super().__init__(**{"label": _("办公地址"), "max_length": 200, "widget": widget, **kwargs})
