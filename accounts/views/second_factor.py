"""登录安全, the pages of the second factor (ACC-14), django-allauth's views in the portal's frame, and the end of a binding (ACC-09).

Every page but the two of logging in stands behind the login; changes ask for the password, a code or a passkey again, unless that was
asked a few minutes ago.
"""

from typing import Any

from allauth.account import views as account_views
from allauth.account.decorators import reauthentication_required
from allauth.mfa.base import views as mfa_views
from allauth.mfa.recovery_codes import views as code_views
from allauth.mfa.totp import views as totp_views
from allauth.mfa.webauthn import views as passkey_views
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView

from accounts import standard_edition
from accounts.rights import Right
from accounts.services import second_factor, sessions, single_sign_on
from accounts.views.own import own_user
from core.views import WorkPageMixin
from core.workflow import ActionRefused

_COME_BACK = "after_second_factor"


class SecurityView(WorkPageMixin, TemplateView):
    """登录安全: how things stand, and the way to each of them."""

    title, right = _("登录安全"), Right.ACCOUNT_OWN
    template_name = "accounts/security/index.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        wanted = request.GET.get("next", "")
        if wanted and url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
            request.session[_COME_BACK] = wanted
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = own_user(self.request)
        set_up, required = second_factor.set_up_of(user), second_factor.is_required_of(user)
        binding = single_sign_on.binding_of(user)
        return super().get_context_data(
            set_up=set_up,
            binding=binding,
            shows_binding=binding is not None or (standard_edition.is_open() and single_sign_on.may_be_bound(user)),
            is_required=required,
            is_missing=required and not set_up.has_factor,
            # Offered once: whoever goes elsewhere has left it.
            come_back=self.request.session.pop(_COME_BACK, "") if set_up.has_factor else "",
            sessions=sessions.own_sessions(self.request, user),
            **kwargs,
        )


class _SecurityPage(WorkPageMixin):
    """A step of 登录安全; what is refused is told there."""

    right = Right.ACCOUNT_OWN
    keeps_place = False

    def get_success_url(self) -> str:
        return reverse("accounts:security")

    def refused(self, refusal: ActionRefused) -> HttpResponse:
        """Back to 登录安全 with the reason."""
        messages.error(self.request, str(refusal))
        return HttpResponseRedirect(reverse("accounts:security"))


class ActivateTotpView(_SecurityPage, totp_views.ActivateTOTPView):
    """设置动态口令: QR code, secret, first code."""

    title = _("设置动态口令")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        secret = context["form"].secret
        context["secret_groups"] = [secret[start : start + 4] for start in range(0, len(secret), 4)]
        return context

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            with second_factor.adding(own_user(self.request), second_factor.TOTP):
                super().form_valid(form)
        except ActionRefused as refusal:
            return self.refused(refusal)
        return HttpResponseRedirect(_after_adding(made_codes=self.did_generate_recovery_codes))


class DeactivateTotpView(_SecurityPage, totp_views.DeactivateTOTPView):
    """停用动态口令, with a question first."""

    title = _("停用动态口令")

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            with second_factor.removing(self.authenticator):
                super().form_valid(form)
        except ActionRefused as refusal:
            return self.refused(refusal)
        return HttpResponseRedirect(self.get_success_url())


class AddPasskeyView(_SecurityPage, passkey_views.AddWebAuthnView):
    """添加通行密钥."""

    title = _("添加通行密钥")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # allauth's view drops what it is given; the form that was posted has the errors in it.
        return {**super().get_context_data(**kwargs), **kwargs}

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            with second_factor.adding(own_user(self.request), second_factor.PASSKEY, name=form.cleaned_data["name"]):
                super().form_valid(form)
        except ActionRefused as refusal:
            return self.refused(refusal)
        return HttpResponseRedirect(_after_adding(made_codes=self.did_generate_recovery_codes))


class RenamePasskeyView(_SecurityPage, passkey_views.EditWebAuthnView):
    """通行密钥改名."""

    title = _("通行密钥改名")

    def form_valid(self, form: Any) -> HttpResponse:
        with second_factor.renaming(self.object, form.cleaned_data["name"]):
            form.save()
        messages.success(self.request, str(_("名称已保存。")))
        return HttpResponseRedirect(self.get_success_url())


class RemovePasskeyView(_SecurityPage, passkey_views.RemoveWebAuthnView):
    """删除通行密钥, with a question first."""

    title = _("删除通行密钥")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        refusal = "" if second_factor.may_remove(self.object) else second_factor.last_one_refusal()
        return super().get_context_data(refusal=refusal, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            with second_factor.removing(self.object):
                super().form_valid(form)
        except ActionRefused as refusal:
            return self.refused(refusal)
        return HttpResponseRedirect(self.get_success_url())


class RecoveryCodesView(_SecurityPage, code_views.ViewRecoveryCodesView):
    """恢复代码: those that are left."""

    title = _("恢复代码")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(come_back=self.request.session.get(_COME_BACK, ""), **kwargs)


class NewRecoveryCodesView(_SecurityPage, code_views.GenerateRecoveryCodesView):
    """重新生成恢复代码, with a question first."""

    title = _("重新生成恢复代码")

    def form_valid(self, form: Any) -> HttpResponse:
        with second_factor.renewing_codes(own_user(self.request)):
            super().form_valid(form)
        return HttpResponseRedirect(reverse("mfa_view_recovery_codes"))


class DownloadRecoveryCodesView(_SecurityPage, code_views.DownloadRecoveryCodesView):
    """下载恢复代码: a text file."""


@method_decorator(reauthentication_required, name="dispatch")
class _ProvenAgainView(TemplateView):
    """A page for who has just proven again that it is he."""


class UnbindView(_SecurityPage, _ProvenAgainView):
    """解除绑定 of the central account, with a question first. Once it is gone, asking again changes nothing."""

    title = _("解除绑定中央标准版账号")
    template_name = "accounts/security/unbind.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = own_user(request)
        binding = single_sign_on.binding_of(user)
        if binding is None:
            return self._nothing_bound()
        return self.render_to_response(self.get_context_data(binding=binding, refusal=single_sign_on.unbinding_refusal(user)))

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            was_bound = single_sign_on.unbind(user=own_user(request), session_key=request.session.session_key)
        except ActionRefused as refusal:
            return self.refused(refusal)
        if not was_bound:
            return self._nothing_bound()
        messages.success(request, str(_("已解除绑定，今后请使用本地账号登录。")))
        return HttpResponseRedirect(self.get_success_url())

    def _nothing_bound(self) -> HttpResponse:
        messages.info(self.request, str(_("您的账号没有绑定中央标准版账号。")))
        return HttpResponseRedirect(self.get_success_url())


class AuthenticateView(mfa_views.AuthenticateView):
    """The second step of logging in: a code, a recovery code or a passkey."""

    template_name = "mfa/authenticate.html"


class _AgainPage(WorkPageMixin):
    """身份验证 before a change of one's factors."""

    title, right = _("身份验证"), Right.ACCOUNT_OWN
    keeps_place = False

    def get_default_success_url(self) -> str:
        return reverse("accounts:security")


class PasswordAgainView(_AgainPage, account_views.ReauthenticateView):
    """By the password."""


class CodeAgainView(_AgainPage, mfa_views.ReauthenticateView):
    """By a code."""


class PasskeyAgainView(_AgainPage, passkey_views.ReauthenticateWebAuthnView):
    """By a passkey."""

    def form_invalid(self, form: Any) -> HttpResponse:
        for message in form.errors.get("credential", []):
            messages.error(self.request, message)
        return HttpResponseRedirect(self.request.get_full_path())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), **kwargs}


def _after_adding(*, made_codes: bool) -> str:
    return reverse("mfa_view_recovery_codes" if made_codes else "accounts:security")
