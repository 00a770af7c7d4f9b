"""How django-allauth, which brings login stages, single sign-on, second factors and sessions, meets this portal."""

from collections.abc import Mapping
from typing import Any

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.stagekit import clear_login
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthError
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from requests import RequestException

from accounts import known_browsers, standard_edition
from accounts.closed import why_closed
from accounts.models import LoginMethod, LoginOutcome, User
from accounts.services import login as login_services
from accounts.services import second_factor, sessions, single_sign_on
from core import audit
from core.fields import decrypt, encrypt

log = structlog.get_logger(__name__)

#: In the session while somebody logs in: the attempt that his right password, or his card, belongs to.
LOGIN_ATTEMPT = "login_attempt"
#: As django-allauth notes them, and the card login (`accounts.views.card_login`).
_METHODS = {
    "password": LoginMethod.PASSWORD,
    "socialaccount": LoginMethod.SINGLE_SIGN_ON,
    "card": LoginMethod.CARD,
    "mfa": LoginMethod.PASSKEY,
}


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by the portal's own registration; allauth knows where a request comes from as the audit trail does.

    Every login passes here, whatever its method: an account that may not be used is refused, each login leaves one row of history, and
    the browser is known from then on.
    """

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "incorrect_password": _("密码不正确，请重新输入。密码区分大小写。"),
        "too_many_login_attempts": _("错误次数过多，请 5 分钟后再试。"),
        "rate_limited": _("错误次数过多，请 5 分钟后再试。"),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return sessions.address_of(request)

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        """Before the second factor is asked for."""
        reason = why_closed(user)
        return self._refuse(request, user, reason) if reason else None

    def login(self, request: HttpRequest, user: User) -> None:
        reason = login_services.admit(user_id=user.pk, card_no=_proof(request, user).get("card_no", ""))
        if reason:
            raise ImmediateHttpResponse(self._refuse(request, user, reason))
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        login = (kwargs.get("signal_kwargs") or {}).get("sociallogin")
        binds = login is not None and bool(login.state.get(standard_edition.BINDS))
        # Who binds came in by his password; the central account is what he brought along.
        self._record(request, user, LoginOutcome.SUCCEEDED, method=LoginMethod.PASSWORD if binds else None)
        known_browsers.remember(request, response, user.username)
        if login is None or not binds or _bind(request, login, user):
            standard_edition.keep(request, login)
        return response

    def _refuse(self, request: HttpRequest, user: User, reason: str) -> HttpResponse:
        self._record(request, user, LoginOutcome.CLOSED)
        clear_login(request)
        request.session["login_notice"] = reason
        return redirect("accounts:login")

    def _record(self, request: HttpRequest, user: User, outcome: LoginOutcome, *, method: LoginMethod | None = None) -> None:
        login_services.record_login(
            user=user,
            method=method or _method(request, user),
            outcome=outcome,
            attempt_id=request.session.pop(LOGIN_ATTEMPT, None),
            ip=audit.client_address(request),
            user_agent=request.headers.get("User-Agent", ""),
        )


def _bind(request: HttpRequest, login: SocialLogin, user: User) -> bool:
    """绑定本地已有账户, at the end of the login that it was asked for in. He stays logged in, and is told, when it is refused now."""
    account = standard_edition.CentralAccount.from_claims(login.state["claims"])
    try:
        single_sign_on.bind(account=account, user=user)
    except single_sign_on.NotBoundError as refusal:
        messages.error(request, str(refusal))
        return False
    return True


def _proof(request: HttpRequest, user: User) -> dict[str, Any]:
    """django-allauth's note of what the user proved last who he is by; a second factor is none. Who began with another way and left it
    there did not come in by it."""
    for record in reversed(get_authentication_records(request, user)):
        if record["method"] in _METHODS and (record["method"] != "mfa" or record.get("passwordless")):
            return record
    return {}


def _method(request: HttpRequest, user: User) -> LoginMethod:
    """By what the user proved who he is."""
    return _METHODS.get(_proof(request, user).get("method", ""), LoginMethod.PASSWORD)


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """中央标准版: the first time the user says whether he registers or binds (M1 §1.4); nothing is made behind his back."""

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """A central account that lacks what is needed here, or that now belongs to another enterprise, does not log in."""
        try:
            account = standard_edition.CentralAccount.from_claims(sociallogin.state["claims"])
        except ValidationError as refusal:
            raise _back_to_login(request, " ".join(refusal.messages), sociallogin.state) from None
        user = sociallogin.user
        if sociallogin.is_existing and user.enterprise is not None and user.enterprise.credit_code != account.credit_code:
            text = _("您的中央账号现属另一企业（%(enterprise)s），不能再登录原绑定的本地账户。请使用本地账号登录，或拨打首页的服务热线。")
            raise _back_to_login(request, text % {"enterprise": account.enterprise_name}, sociallogin.state)

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: Any) -> User:
        """Nothing is taken over before the user has said what he wants."""
        user: User = sociallogin.user
        return user

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Exception | None = None, extra_context: Any = None
    ) -> None:
        """Whatever goes wrong on the way ends at the login page, with a sentence that says what to do."""
        if error == AuthError.CANCELLED:
            text = _("您已取消中央标准版登录。可重新点击“中央标准版”，或使用本地账号登录。")
        elif isinstance(exception, RequestException):
            text = _("中央标准版暂时无法访问，请稍后再试，或使用本地账号登录。")
        else:
            text = _("中央标准版登录没有完成，请重新点击“中央标准版”登录；仍不成功的，请使用本地账号登录或拨打首页的服务热线。")
        if exception is not None:
            # The exception's own text may hold the whole answer of the other side.
            reason = str(exception)[:80] if isinstance(exception, OAuth2Error) else ""
            log.warning("single_sign_on.failed", kind=type(exception).__name__, reason=reason)
        raise _back_to_login(request, text, (extra_context or {}).get("state") or {})

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return True

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False


def _back_to_login(request: HttpRequest, text: str | Promise, state: Mapping[str, Any]) -> ImmediateHttpResponse:
    """To the login page with a sentence; the page that was asked for is still the one after login."""
    request.session["login_notice"] = str(text)
    target = state.get("next", "")
    return ImmediateHttpResponse(redirect_to_login(target) if target else redirect("accounts:login"))


class MFAAdapter(DefaultMFAAdapter):
    """Secrets of second factors are kept with the portal's own keys; authenticators and passkeys show the portal's name."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("验证未通过：动态口令、恢复代码或通行密钥不正确，或已使用过。请核对后重试；动态口令每 30 秒更新一次。"),
        "cannot_delete_authenticator": _("平台工作人员必须保留至少一种第二因素。请先添加另一种，再停用这一种。"),
        "cannot_generate_recovery_codes": _("请先设置动态口令或通行密钥，再生成恢复代码。"),
    }

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return second_factor.may_remove(authenticator)

    def generate_authenticator_name(self, user: Any, type: Any) -> str:  # noqa: A002 - allauth's name
        return _("通行密钥 %(number)d") % {"number": Authenticator.objects.filter(user=user, type=type).count() + 1}

    def _get_user_identifier(self, user: Any) -> str:
        """What an authenticator calls the account: the name one logs in with, never the e-mail address."""
        return str(user.get_username())

    def _get_site_name(self) -> str:
        return str(settings.MFA_TOTP_ISSUER)

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)
