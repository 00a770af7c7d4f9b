"""How django-allauth, which brings login stages, single sign-on, second factors and sessions, meets this portal."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.http import HttpRequest

from core import audit
from core.fields import decrypt, encrypt


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by the portal's own registration; allauth knows where a request comes from as the audit trail does."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return audit.client_address(request)


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
