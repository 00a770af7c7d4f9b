"""Own data and a new phone number (M2 企业管理员信息 / 企业操作员信息, ACC-10)."""

from typing import Any

from allauth.core import ratelimit
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from accounts import shown
from accounts.forms.profile import NewMobileForm, ProfileForm
from accounts.models import SmsPurpose
from accounts.rights import Right
from accounts.services import enterprises, profile
from accounts.views import sms
from accounts.views.page import AccountPage
from core.identifiers import normalised


class ProfileView(AccountPage):
    """One's own data."""

    right = Right.ACCOUNT_OWN
    template_name = "accounts/profile.html"
    form: ProfileForm
    #: The enterprise's data as this page shows them, for the next 保存.
    seen = ""

    def page_title(self) -> str:
        if self.user.has_right(Right.ENTERPRISE_MANAGE):
            return _("企业管理员信息")
        return _("企业操作员信息") if self.user.has_right(Right.ENTERPRISE_VIEW) else _("用户信息")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.form, self.seen = ProfileForm(user=self.user), self._mark()
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.form, self.seen = ProfileForm(request.POST, user=self.user), request.POST.get("seen", "")
        if self.form.is_valid():
            try:
                profile.edit_own_data(
                    user=self.user, email=self.form.cleaned_data["email"], enterprise=self.form.enterprise_entry(), seen=self.seen
                )
            except shown.ChangedMeanwhile as refusal:
                self.form.add_error(None, str(refusal))
                self.seen = self._mark()
            else:
                messages.success(request, _("保存成功。"))
                return HttpResponseRedirect(reverse("accounts:profile"))
        return self.render_to_response(self.get_context_data())

    def _mark(self) -> str:
        enterprise = self.user.enterprise
        return shown.mark_of(enterprises.enterprise_values(enterprise)) if enterprise else ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(form=self.form, seen=self.seen, password_url=_password_url(), **kwargs)


def _password_url() -> str:
    try:
        return reverse("accounts:password_change")
    except NoReverseMatch:
        return ""


@method_decorator(sensitive_post_parameters("password", "sms_code"), name="dispatch")
class NewMobileView(AccountPage):
    """更换手机号: by the password and a code that goes to the new number; the old one is told when it is changed."""

    title = gettext_lazy("更换手机号")
    right = Right.ACCOUNT_OWN
    template_name = "accounts/new_mobile.html"
    form: NewMobileForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.form = NewMobileForm(initial=self._initial())
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if sms.asks_for_code(request):
            mobile = normalised(request.POST.get("mobile", ""))
            note = sms.send_code(request, purpose=SmsPurpose.NEW_MOBILE, mobile=mobile)
            if part := sms.note_part(request, note):
                return part
            # Nothing is wrong with a form whose code is only just on its way: what was typed stays, without errors.
            self.form = NewMobileForm(initial={**self._initial(), "mobile": mobile})
            sms.tell(self.form, note)
            return self.render_to_response(self.get_context_data())
        self.form = NewMobileForm(request.POST, initial=self._initial())
        if self.form.is_valid():
            cleaned = self.form.cleaned_data
            # As for 修改密码: whoever sits down at somebody's open session has five guesses a minute, on both pages together.
            if not ratelimit.consume(request, action="change_password", user=self.user):
                self.form.add_error(None, _("尝试过于频繁，请 1 分钟后再试。"))
                return self.render_to_response(self.get_context_data())
            try:
                profile.change_mobile(user=self.user, mobile=cleaned["mobile"], code=cleaned["sms_code"], password=cleaned["password"])
            except ValidationError as refusal:
                self.form.add_error(None, refusal)
            else:
                messages.success(request, _("手机号已更换。原手机号已收到短信告知。"))
                return HttpResponseRedirect(reverse("accounts:profile"))
        return self.render_to_response(self.get_context_data())

    def _initial(self) -> dict[str, Any]:
        return {"current": self.user.masked_mobile or _("未登记")}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(form=self.form, **kwargs)
