"""中央标准版: signing on, 首次登录设置, signing off (ACC-09, M1 §1.4)."""

from typing import Any
from urllib.parse import urlencode

import structlog
from allauth.socialaccount.internal.flows.signup import clear_pending_signup, get_pending_signup
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import TemplateView, View
from requests import RequestException

from accounts import known_browsers, standard_edition
from accounts.adapters import LOGIN_ATTEMPT
from accounts.forms.picture_code import asks_for_picture, picture_part
from accounts.forms.single_sign_on import BindForm, FirstChoiceForm, QuickRegistrationForm
from accounts.models import ReviewStatus
from accounts.services import login as login_services
from accounts.services import single_sign_on
from accounts.standard_edition import CentralAccount
from core import audit
from core.http import safe_url

log = structlog.get_logger(__name__)


@method_decorator(never_cache, name="dispatch")
class SingleSignOnView(View):
    """Base: there is nothing here where the portal knows no standard edition."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not standard_edition.is_open():
            raise Http404("no standard edition is set")
        return self.instead(request) or super().dispatch(request, *args, **kwargs)

    def instead(self, request: HttpRequest) -> HttpResponse | None:
        """Where to, when this page is not for the one who asks."""
        return None


class StartView(SingleSignOnView):
    """The button 中央标准版 (POST), and logins that begin over there (GET; OpenID Connect Core §4).

    Who is logged in there sees no login page; who is logged in here already goes straight to the page he wants.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        if request.GET.get("iss", settings.STANDARD_EDITION_ISSUER) != settings.STANDARD_EDITION_ISSUER:
            raise SuspiciousOperation("another issuer begins a login")
        return self._start(request, request.GET.get("target_link_uri") or request.GET.get("next", ""))

    def post(self, request: HttpRequest) -> HttpResponse:
        return self._start(request, request.POST.get("next", ""))

    def _start(self, request: HttpRequest, wanted: str) -> HttpResponse:
        target = safe_url(request, wanted, reverse(settings.LOGIN_REDIRECT_URL))
        return redirect(target) if request.user.is_authenticated else standard_edition.start(request, target)


class CallbackView(SingleSignOnView):
    """Back from the standard edition."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return standard_edition.finish(request)


class PendingView(SingleSignOnView):
    """Base of the pages of 首次登录设置: somebody has proven a central account that no local user belongs to yet."""

    login: SocialLogin
    account: CentralAccount

    def instead(self, request: HttpRequest) -> HttpResponse | None:
        login = get_pending_signup(request)
        if login is None or "claims" not in login.state:
            if not request.user.is_authenticated:
                request.session["login_notice"] = _("首次登录设置已完成或已超时，请重新点击“中央标准版”登录。")
            return redirect("accounts:login")
        self.login, self.account = login, CentralAccount.from_claims(login.state["claims"])
        return None

    @property
    def target(self) -> str:
        """The page that was asked for."""
        return safe_url(self.request, self.login.state.get("next", ""), reverse(settings.LOGIN_REDIRECT_URL))


class FirstView(PendingView):
    """首次登录设置: 快速注册 or 绑定本地已有账户, then 下一步."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(FirstChoiceForm(initial={"choice": FirstChoiceForm.REGISTER}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = FirstChoiceForm(request.POST)
        if not form.is_valid():
            return self._page(form)
        register = form.cleaned_data["choice"] == FirstChoiceForm.REGISTER
        return redirect("accounts:standard_edition_register" if register else "accounts:standard_edition_bind")

    def _page(self, form: FirstChoiceForm) -> HttpResponse:
        return render(self.request, "accounts/single_sign_on_first.html", {"form": form, "account": self.account})


@method_decorator(sensitive_post_parameters("password1", "password2"), name="dispatch")
class RegisterView(PendingView):
    """快速注册: 中央账号信息 to read, 地方账户信息 to fill in, 提交."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(QuickRegistrationForm(account=self.account))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = QuickRegistrationForm(request.POST, account=self.account)
        if not form.is_valid():
            return self._page(form)
        try:
            registration = single_sign_on.register(
                account=self.account,
                username=form.cleaned_data["username"],
                password=form.cleaned_data["password1"],
                ip=audit.client_address(request),
            )
        except single_sign_on.NotBoundError as refusal:
            form.add_error(refusal.field or None, str(refusal))
            return self._page(form)
        clear_pending_signup(request)
        if registration.status == ReviewStatus.PENDING or registration.user is None:
            request.session["login_notice"] = _("快速注册已提交，平台审核通过后即可登录使用。审核结果将以短信通知您。")
            return redirect("accounts:login")
        done = f"{reverse('accounts:standard_edition_done')}?{urlencode({'next': self.target})}"
        return standard_edition.log_in(request, self.login, registration.user, target=done)

    def _page(self, form: QuickRegistrationForm) -> HttpResponse:
        return render(self.request, "accounts/single_sign_on_register.html", {"form": form, "account": self.account})


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
class BindView(PendingView):
    """绑定本地已有账户: who logs in to the local account here, by password and second factor, may do so by the central one from now on."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(BindForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        if asks_for_picture(request):
            form = BindForm(initial={"username": request.POST.get("username", "")[:150]})
            return picture_part(request, form) or self._page(form)
        form = BindForm(request.POST)
        if not form.is_valid():
            return self._page(form)
        username = form.cleaned_data["username"]
        try:
            user, attempt = login_services.check_password(
                username=username,
                password=form.cleaned_data["password"],
                ip=audit.client_address(request),
                user_agent=request.headers.get("User-Agent", ""),
                known_browser=known_browsers.knows(request, username),
            )
        except login_services.LoginRefused as refusal:
            form.add_error(None, refusal)
            return self._page(form)
        request.session[LOGIN_ATTEMPT] = attempt.pk
        try:
            single_sign_on.check_bindable(account=self.account, user=user)
        except single_sign_on.NotBoundError as refusal:
            form.add_error(refusal.field or None, str(refusal))
            return self._page(form)
        clear_pending_signup(request)
        return standard_edition.log_in(request, self.login, user, target=self.target, binds=True)

    def _page(self, form: BindForm) -> HttpResponse:
        return render(self.request, "accounts/single_sign_on_bind.html", {"form": form, "account": self.account})


class DoneView(SingleSignOnView, LoginRequiredMixin, TemplateView):
    """快速注册成功, 继续访问."""

    template_name = "accounts/single_sign_on_done.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["target"] = safe_url(self.request, self.request.GET.get("next", ""), reverse(settings.LOGIN_REDIRECT_URL))
        return context


class SignedOutView(SingleSignOnView):
    """Back from the standard edition's logout."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if standard_edition.came_back(request):
            request.session["login_notice"] = _("您已退出本平台和中央标准版。")
        return redirect("accounts:login")


@method_decorator(csrf_exempt, name="dispatch")
class BackchannelLogoutView(SingleSignOnView):
    """The standard edition itself tells that a login there has ended: its token proves who asks, no browser is involved."""

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            sub, sid = standard_edition.read_logout_token(request, request.POST.get("logout_token", ""))
        except OAuth2Error as error:
            log.warning("single_sign_on.logout_token_refused", reason=str(error))
            return JsonResponse({"error": "invalid_request"}, status=400)
        except RequestException as error:
            log.warning("single_sign_on.keys_unreachable", reason=type(error).__name__)
            return JsonResponse({"error": "temporarily_unavailable"}, status=503)
        single_sign_on.end_sessions(sub=sub, sid=sid)
        return HttpResponse(status=200)
