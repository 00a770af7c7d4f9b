"""The protocol towards 中央标准版 (ACC-09): OpenID Connect Core, RP-Initiated Logout, Back-Channel Logout.

django-allauth keeps state and PKCE verifier and fetches code, token and claims. What it leaves out stands here: it does not look at the
signature of an id_token that it fetched itself, knows no nonce, and does not compare whom id_token and userinfo speak of.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import jwt
from allauth.account.internal.flows.login import record_authentication
from allauth.account.utils import perform_login
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialAccount, SocialLogin, SocialToken
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from requests import RequestException

from accounts.models import User
from core.identifiers import normalised, validate_credit_code, validate_mobile

#: Asked for at every login; `enterprise` is the standard edition's own: enterprise_name, credit_code, legal_person_name, role.
SCOPES = ("openid", "profile", "email", "phone", "enterprise")
ALGORITHM = "RS256"
#: Two machines' clocks may differ by so many seconds.
LEEWAY_SECONDS = 30
BACKCHANNEL_EVENT = "http://schemas.openid.net/event/backchannel-logout"
#: In the session: what a login through the standard edition left behind, and what a logout on its way there will bring back.
KEPT = "standard_edition"
#: In a login's state: the central account is to be bound to the user once he has logged in wholly.
BINDS = "binds"
LEAVING = "standard_edition_leaving"


class IncompleteClaimsError(ValidationError):
    """The central account lacks what an account here needs; the text says what."""


@dataclass(frozen=True, slots=True)
class CentralAccount:
    """中央账号信息: who logged in at the standard edition, as it says."""

    sub: str
    username: str
    full_name: str
    mobile: str
    is_mobile_verified: bool
    email: str
    enterprise_name: str
    credit_code: str
    legal_person_name: str

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> "CentralAccount":
        """From the claims of userinfo. Raises IncompleteClaimsError."""

        def text(name: str, length: int) -> str:
            value = claims.get(name)
            return value.strip()[:length] if isinstance(value, str) else ""

        account = cls(
            sub=text("sub", 191),
            username=text("preferred_username", 150),
            full_name=text("name", 50),
            mobile=re.sub(r"^(\+|00)?86-?(?=1)", "", normalised(text("phone_number", 30))),
            is_mobile_verified=claims.get("phone_number_verified") is True,
            email=text("email", 254),
            enterprise_name=text("enterprise_name", 200),
            credit_code=normalised(text("credit_code", 30)),
            legal_person_name=text("legal_person_name", 50),
        )
        account._check()
        return account

    def _check(self) -> None:
        named = {_("姓名"): self.full_name, _("企业名称"): self.enterprise_name}
        missing = [label for label, value in named.items() if not value]
        for label, value, check in (
            (_("统一社会信用代码"), self.credit_code, validate_credit_code),
            (_("手机号"), self.mobile, validate_mobile),
        ):
            try:
                check(value)
            except ValidationError:
                missing.append(label)
        if missing:
            raise IncompleteClaimsError(
                _("您的中央标准版账号信息不完整或不正确：%(missing)s。请先在中央标准版补全，再从这里登录；也可以使用本地账号登录。"),
                params={"missing": _("、").join(missing)},
                code="claims",
            )


def is_open() -> bool:
    """Whether there is a standard edition to sign on through."""
    return bool(settings.STANDARD_EDITION_ISSUER)


# -- Tokens ---------------------------------------------------------------------------------------


def verified(token: str, *, jwks: Mapping[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    """The claims of a token that the standard edition signed for us.

    Checks signature (RS256 and no other), issuer, audience, authorised party and times. Raises OAuth2Error.
    """
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        keys = [key for key in jwt.PyJWKSet.from_dict(dict(jwks)).keys if key.public_key_use in (None, "sig")]
        key = next(key for key in keys if kid in (None, key.key_id))
        claims: dict[str, Any] = jwt.decode(
            token,
            key=key.key,
            algorithms=[ALGORITHM],
            issuer=settings.STANDARD_EDITION_ISSUER,
            audience=settings.STANDARD_EDITION_CLIENT_ID,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "iat", *required]},
        )
    except StopIteration:
        raise OAuth2Error("token signed by an unknown key") from None
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError) as error:
        raise OAuth2Error(f"token refused: {type(error).__name__}") from None
    if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != settings.STANDARD_EDITION_CLIENT_ID:
        raise OAuth2Error("token given to another party")
    return claims


def _half_digest(access_token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).rstrip(b"=").decode()


class Provider(OpenIDConnectProvider):
    """allauth's provider, which takes our adapter wherever it needs one."""

    def get_oauth2_adapter(self, request: HttpRequest) -> "Adapter":
        return Adapter(request)


class Adapter(OpenIDConnectOAuth2Adapter):
    """allauth's OpenID Connect client, with the checks it leaves out."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request, settings.STANDARD_EDITION)
        #: What the login began with; filled in by the callback.
        self.state: dict[str, Any] = {}

    def get_provider(self) -> Provider:
        return Provider(self.request, app=super().get_provider().app)

    @cached_property
    def openid_config(self) -> dict[str, Any]:
        """The discovery document: of the issuer that we know, and complete. Raises RequestException, OAuth2Error."""
        config = self._get_json(self.get_provider().server_url)
        if config.get("issuer") != settings.STANDARD_EDITION_ISSUER:
            raise OAuth2Error("the discovery document is another issuer's")
        for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
            if not isinstance(config.get(name), str):
                raise OAuth2Error(f"the discovery document lacks {name}")
        return config

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return request.build_absolute_uri(reverse("accounts:standard_edition_callback"))

    def jwks(self) -> dict[str, Any]:
        """The issuer's keys. Raises RequestException, OAuth2Error."""
        keys = self._get_json(self.openid_config["jwks_uri"])
        if not isinstance(keys.get("keys"), list):
            raise OAuth2Error("the key set has no keys")
        return keys

    def complete_login(self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any) -> SocialLogin:
        """The login that these tokens stand for. Raises OAuth2Error, RequestException."""
        raw = kwargs["response"].get("id_token")
        if not isinstance(raw, str):
            raise OAuth2Error("no id_token")
        claims = verified(raw, jwks=self.jwks(), required=("sub", "exp", "nonce"))
        if not hmac.compare_digest(str(claims["nonce"]).encode(), self.state["nonce"].encode()):
            raise OAuth2Error("the id_token answers another login")
        if claims.get("at_hash", half := _half_digest(token.token)) != half:
            raise OAuth2Error("the access token is not the id_token's")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 191:
            raise OAuth2Error("no usable sub")
        userinfo = self._get_json(self.profile_url, {"Authorization": f"Bearer {token.token}"})
        if userinfo.get("sub") != claims["sub"]:
            raise OAuth2Error("userinfo speaks of somebody else")
        login = self.get_provider().sociallogin_from_response(request, {"userinfo": {"sub": claims["sub"]}})
        # What is stored for good is enough to know the account by; the rest is asked for anew at every login.
        login.account.extra_data = {"username": str(userinfo.get("preferred_username", ""))[:150]}
        self.state |= {"claims": userinfo, "id_token": raw, "sub": claims["sub"], "sid": str(claims.get("sid", ""))}
        return login

    def _get_json(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            answer = session.get(url, headers=headers)
            answer.raise_for_status()
            content = answer.json()
        if not isinstance(content, dict):
            raise OAuth2Error("the answer is no JSON object")
        return content


class CallbackView(OAuth2CallbackView):
    """Hands the adapter what the login began with."""

    adapter: Adapter

    def _get_state(self, request: HttpRequest, provider: Any) -> tuple[dict[str, Any] | None, HttpResponse | None]:
        state, response = super()._get_state(request, provider)
        if state is not None:
            self.adapter.state = state
        return state, response


# -- Signing on -------------------------------------------------------------------------------------


def start(request: HttpRequest, target: str) -> HttpResponse:
    """Send the browser to the standard edition; afterwards to `target`, an address of ours."""
    adapter = Adapter(request)
    nonce = secrets.token_urlsafe(24)
    try:
        return adapter.get_provider().redirect(
            request, AuthProcess.LOGIN, next_url=target, scope=list(SCOPES), auth_params={"nonce": nonce}, nonce=nonce
        )
    except (RequestException, OAuth2Error) as error:
        response: HttpResponse = render_authentication_error(
            request, adapter.get_provider(), exception=error, extra_context={"state": {"next": target}}
        )
        return response


def finish(request: HttpRequest) -> HttpResponse:
    """The browser is back from the standard edition with a code, or with what went wrong."""
    try:
        response: HttpResponse = CallbackView.adapter_view(Adapter(request))(request)
    except ImmediateHttpResponse as instead:
        return instead.response
    return response


def log_in(request: HttpRequest, login: SocialLogin, user: User, *, target: str, binds: bool = False) -> HttpResponse:
    """Log in who has just made his first settings; second factors are asked for as at every login.

    With `binds` the central account is bound to `user` at the end of that (accounts/adapters.py), and not before.
    """
    login.user = user
    if binds:
        login.state[BINDS] = True
    else:
        login.account = SocialAccount.objects.get(provider=settings.STANDARD_EDITION, uid=login.account.uid)
    record_authentication(request, user, "socialaccount", provider=login.account.provider, uid=login.account.uid)
    response: HttpResponse = perform_login(request, user, redirect_url=target, signal_kwargs={"sociallogin": login})
    return response


def keep(request: HttpRequest, login: SocialLogin | None) -> None:
    """Note in the new session what a logout will need."""
    if login is not None and "id_token" in login.state:
        request.session[KEPT] = {name: login.state[name] for name in ("id_token", "sub", "sid")}
        note_in_list(request)


def note_in_list(request: HttpRequest) -> None:
    """Note in the session's row by what the standard edition knows it: a logout there comes without a browser and finds it by that."""
    if kept := request.session.get(KEPT):
        known_as = {name: kept[name] for name in ("sub", "sid")}
        UserSession.objects.filter(session_key=request.session.session_key).update(data={KEPT: known_as})


# -- Signing off ------------------------------------------------------------------------------------


def kept_id_token(request: HttpRequest) -> str:
    """The id_token of a session that came from single sign-on; empty for others. To be asked before the session ends."""
    kept = request.session.get(KEPT)
    return str(kept["id_token"]) if kept and is_open() else ""


def end_session_url(request: HttpRequest, id_token: str) -> str:
    """Where the browser goes to log out at the standard edition too, from a session that has just ended here.

    Empty when it cannot be reached, or takes nobody: then the login page says so.
    """
    try:
        endpoint = Adapter(request).openid_config.get("end_session_endpoint")
    except (RequestException, OAuth2Error):
        endpoint = None
    if not isinstance(endpoint, str):
        request.session["login_notice"] = _("您已退出本平台。中央标准版暂时无法访问，未能一并退出；如在公用电脑上，请关闭浏览器。")
        return ""
    state = request.session[LEAVING] = secrets.token_urlsafe(16)
    query = {
        "id_token_hint": id_token,
        "client_id": settings.STANDARD_EDITION_CLIENT_ID,
        "post_logout_redirect_uri": request.build_absolute_uri(reverse("accounts:standard_edition_signed_out")),
        "state": state,
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def came_back(request: HttpRequest) -> bool:
    """Whether the browser comes back from the logout that we sent it to."""
    expected = request.session.pop(LEAVING, "")
    return bool(expected) and hmac.compare_digest(expected.encode(), request.GET.get("state", "").encode())


def read_logout_token(request: HttpRequest, token: str) -> tuple[str, str]:
    """sub and sid of a logout token (Back-Channel Logout §2.6); each may be empty, not both. A token is good once.

    Raises OAuth2Error, RequestException.
    """
    # Anybody may send us something: only what claims to be the standard edition's makes us ask it for its keys.
    try:
        claimed_issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        claimed_issuer = None
    if claimed_issuer != settings.STANDARD_EDITION_ISSUER:
        raise OAuth2Error("no token of the standard edition")
    claims = verified(token, jwks=Adapter(request).jwks(), required=("exp", "jti", "events"))
    events = claims["events"]
    if not isinstance(events, dict) or not isinstance(events.get(BACKCHANNEL_EVENT), dict) or "nonce" in claims:
        raise OAuth2Error("not a logout token")
    sub, sid = (value if isinstance(value, str) else "" for value in (claims.get("sub"), claims.get("sid")))
    if not (sub or sid):
        raise OAuth2Error("the logout token names nobody")
    lasts = max(int(claims["exp"] - claims["iat"]), 0) + 2 * LEEWAY_SECONDS
    key = hashlib.sha256(str(claims["jti"]).encode()).hexdigest()
    if not cache.add(f"standard-edition-logout:{key}", 1, timeout=lasts):
        raise OAuth2Error("the logout token was used before")
    return sub, sid
