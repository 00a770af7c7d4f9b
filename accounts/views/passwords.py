"""修改密码 and 忘记密码 (ACC-07)."""

import time
from typing import Any, cast

from allauth.account.signals import password_changed
from allauth.core import ratelimit
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import RedirectURLMixin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from accounts import codes, known_browsers
from accounts.forms.passwords import ChangePasswordForm, ForgottenPasswordForm, ResetPasswordForm
from accounts.forms.picture_code import asks_for_picture, picture_part
from accounts.models import SmsPurpose, User
from accounts.rights import Right
from accounts.services import passwords as services
from accounts.views import sms
from core.views import WorkPageMixin

#: In the session: whose password is to be reset, as typed, and since when.
_RESET = "password_reset"
_RESET_SECONDS = 30 * 60


@method_decorator(sensitive_post_parameters(), name="dispatch")
class ChangePasswordView(WorkPageMixin, RedirectURLMixin, FormView):
    """The old password and a new one; the session goes on, the user's other sessions end.

    Chosen freely it is a page of the work area; where it comes before anything else (`accounts.gates`) the menu would lead nowhere.
    """

    title = gettext_lazy("修改密码")
    right = Right.ACCOUNT_OWN
    form_class = ChangePasswordForm
    next_page = "home"

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.must_change = request.user.is_authenticated and request.user.must_change_password
        self.keeps_place = not self.must_change

    def get_template_names(self) -> list[str]:
        return ["accounts/must_change_password.html" if self.must_change else "accounts/change_password.html"]

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"user": self.request.user}

    def form_valid(self, form: ChangePasswordForm) -> HttpResponse:
        # Whoever sits down at somebody's open session has five guesses a minute.
        if not ratelimit.consume(self.request, action="change_password", user=self.request.user):
            form.add_error(None, _("尝试过于频繁，请 1 分钟后再试。"))
            return self.form_invalid(form)
        try:
            user = services.change_password(
                user_id=cast("User", self.request.user).pk,
                old_password=form.cleaned_data["old_password"],
                new_password=form.cleaned_data["new_password1"],
            )
        except ValidationError as refusal:
            form.add_error("old_password", refusal)
            return self.form_invalid(form)
        update_session_auth_hash(self.request, user)
        # The session has a new key: django-allauth's list of sessions takes it up.
        password_changed.send(sender=User, request=self.request, user=user)
        messages.success(self.request, _("密码已修改。其他设备上的登录已全部退出，请用新密码重新登录。"))
        return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"next": self.get_redirect_url()}


class _VisitorsPage:
    """A page for who is not logged in: who is goes home."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return redirect("home")
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        return response


@method_decorator(never_cache, name="dispatch")
class ForgottenPasswordView(_VisitorsPage, FormView):
    """忘记密码, first step: user name, phone and picture code. The answer is the same whether they belong to somebody or not."""

    form_class = ForgottenPasswordForm
    template_name = "accounts/forgotten_password.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if asks_for_picture(request):
            form = ForgottenPasswordForm(initial={name: request.POST.get(name, "")[:150] for name in ("username", "mobile")})
            return picture_part(request, form) or self.render_to_response(self.get_context_data(form=form))
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: ForgottenPasswordForm) -> HttpResponse:
        username, mobile = form.cleaned_data["username"], form.cleaned_data["mobile"]
        note = _send_code(self.request, username, mobile)
        if note.is_error:
            form.add_error(None, note.text)
            return self.form_invalid(form)
        self.request.session[_RESET] = {"username": username, "mobile": mobile, "at": time.time()}
        return redirect("accounts:password_reset")


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class ResetPasswordView(_VisitorsPage, FormView):
    """忘记密码, second step: the code that came by SMS and the new password."""

    form_class = ResetPasswordForm
    template_name = "accounts/reset_password.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        asked = request.session.get(_RESET)
        if asked is None or time.time() - asked["at"] > _RESET_SECONDS:
            return redirect("accounts:password_forgotten")
        self.username, self.mobile = asked["username"], asked["mobile"]
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not sms.asks_for_code(request):
            return super().post(request, *args, **kwargs)
        note = _send_code(request, self.username, self.mobile)
        form = ResetPasswordForm(user=self._stated_user())
        sms.tell(form, note)
        return sms.note_part(request, note) or self.render_to_response(self.get_context_data(form=form))

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"user": self._stated_user()}

    def form_valid(self, form: ResetPasswordForm) -> HttpResponse:
        # The phone may be that of another account, whose code opens only that: the user must have both.
        user = _user_of(self.username, self.mobile) or User()
        try:
            codes.use_code(purpose=SmsPurpose.PASSWORD_RESET, mobile=user.mobile, code=form.cleaned_data["sms_code"])
        except ValidationError as refusal:
            form.add_error("sms_code", refusal)
            return self.form_invalid(form)
        del self.request.session[_RESET]
        try:
            services.reset_password(user_id=user.pk, new_password=form.cleaned_data["new_password1"])
        except ValidationError as refusal:
            self.request.session["login_notice"] = " ".join(refusal.messages)
            return redirect("accounts:login")
        self.request.session["login_notice"] = _("密码已重置，请用新密码登录。")
        response = redirect("accounts:login")
        # He has proven to be the user: guesses of others do not keep him from logging in here.
        known_browsers.remember(self.request, response, user.username)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"masked_mobile": User(mobile=self.mobile).masked_mobile}

    def _stated_user(self) -> User:
        """The user as typed: a new password is held against nothing that the typist does not know."""
        return User(username=self.username)


def _send_code(request: HttpRequest, username: str, mobile: str) -> sms.CodeNote:
    return sms.send_code(request, purpose=SmsPurpose.PASSWORD_RESET, mobile=mobile, really=_user_of(username, mobile) is not None)


def _user_of(username: str, mobile: str) -> User | None:
    user = User.objects.named(username)
    return user if user is not None and user.mobile == mobile else None
