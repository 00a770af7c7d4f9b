"""How django-allauth, which brings login stages, single sign-on, second factors and sessions, meets this portal."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.stagekit import clear_login
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import known_browsers
from accounts.closed import why_closed
from accounts.models import LoginMethod, LoginOutcome, User
from accounts.services import login as login_services
from core import audit
from core.fields import decrypt, encrypt

#: In the session while somebody logs in: the attempt that his right password belongs to.
LOGIN_ATTEMPT = "login_attempt"


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by the portal's own registration; allauth knows where a request comes from as the audit trail does.

    Every login passes here, whatever its method: an account that may not be used is refused, each login leaves one row of history, and
    the browser is known from then on.
    """

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return audit.client_address(request)

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        """Before the second factor is asked for."""
        reason = why_closed(user)
        return self._refuse(request, user, reason) if reason else None

    def login(self, request: HttpRequest, user: User) -> None:
        reason = login_services.admit(user_id=user.pk)
        if reason:
            raise ImmediateHttpResponse(self._refuse(request, user, reason))
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        self._record(request, user, LoginOutcome.SUCCEEDED)
        known_browsers.remember(request, response, user.username)
        return response

    def _refuse(self, request: HttpRequest, user: User, reason: str) -> HttpResponse:
        self._record(request, user, LoginOutcome.CLOSED)
        clear_login(request)
        request.session["login_notice"] = reason
        return redirect("accounts:login")

    def _record(self, request: HttpRequest, user: User, outcome: LoginOutcome) -> None:
        login_services.record_login(
            user=user,
            method=_method(request, user),
            outcome=outcome,
            attempt_id=request.session.pop(LOGIN_ATTEMPT, None),
            ip=self.get_client_ip(request),
            user_agent=request.headers.get("User-Agent", ""),
        )


def _method(request: HttpRequest, user: User) -> LoginMethod:
    """By what the user proved who he is first; a second factor is none."""
    for record in get_authentication_records(request, user):
        if record["method"] == "socialaccount":
            return LoginMethod.SINGLE_SIGN_ON
        if record["method"] == "mfa" and record.get("passwordless"):
            return LoginMethod.PASSKEY
    return LoginMethod.PASSWORD


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """中央标准版: the first time the user says whether he registers or binds (M1 §1.4); nothing is made behind his back."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return True

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False


class MFAAdapter(DefaultMFAAdapter):
    """Secrets of second factors are kept with the portal's own keys."""

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)
