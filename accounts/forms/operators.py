"""我的操作员: a new operator, and what is known of one (M2, ACC-10). The fields and rules are those of registration's second step."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from accounts.forms.base import MobileField
from accounts.forms.person import EmailField, FullNameField, IdentityNumberField, UsernameField
from accounts.forms.sections import ChoicesField, Section, SectionedForm
from accounts.models import Enterprise, User
from accounts.rights import ApplicationKey
from accounts.services.operators import OperatorEntry, username_taken


class OperatorForm(SectionedForm):
    """修改."""

    username = UsernameField()
    full_name = FullNameField()
    id_no = IdentityNumberField()
    mobile = MobileField(help_text=_("一次性密码和验证码发送到该手机号"))
    email = EmailField()
    sections: ClassVar[Sequence[Section]] = (Section(_("用户信息"), ("username", "full_name", "id_no", "mobile", "email")),)

    def __init__(self, *args: Any, operator: User | None = None, **kwargs: Any) -> None:
        """`operator` is who is edited: his user name stays, his identity number need not be typed again."""
        if operator is not None:
            kwargs["initial"] = {
                "username": operator.username,
                "full_name": operator.full_name,
                "mobile": operator.mobile,
                "email": operator.email,
            }
        super().__init__(*args, **kwargs)
        if operator is not None:
            self.turn_grey(["username"])
            if operator.id_no:
                self.fields["id_no"].required = False
                self.fields["id_no"].help_text = _("已登记 %(number)s，不修改请留空") % {"number": operator.masked_id_no}

    def entry(self) -> OperatorEntry:
        """What was said, for the service."""
        return OperatorEntry(**{name: self.cleaned_data[name] for name in ("full_name", "id_no", "mobile", "email")})


class NewOperatorForm(OperatorForm):
    """新增."""

    applications = ChoicesField(
        ApplicationKey, label=_("应用权限"), required=False, help_text=_("可使用的应用，以后可在“我的应用权限”中调整")
    )
    sections = (*OperatorForm.sections, Section(_("我的应用权限"), ("applications",)))

    def __init__(self, *args: Any, enterprise: Enterprise, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["applications"].choices = [  # type: ignore[attr-defined]
            (key, label) for key, label in ApplicationKey.choices if key in enterprise.applications
        ]

    def clean_username(self) -> str:
        """Said as soon as the form is sent; two who send at once are told by the service."""
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise username_taken().error_dict["username"][0]
        return username
