"""What the provider knows and decides, without HTTP: clients, login sessions, codes, tokens.

OpenID Connect Core 1.0, RFC 6749, RFC 7636 (PKCE), RP-Initiated Logout 1.0, Back-Channel Logout 1.0.
"""

import base64
import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulators.standard_edition.accounts import PASSWORD, Account
from simulators.standard_edition.keys import ALGORITHM, SigningKey

log = logging.getLogger("standard-edition")

CODE_SECONDS = 60
TOKEN_SECONDS = 300
SESSION_SECONDS = 8 * 3600
SCOPES = ("openid", "profile", "email", "phone", "enterprise")
BACKCHANNEL_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
#: What may be asked for only once in a request (RFC 6749 §3.1).
_KNOWN = ("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "prompt", "max_age", "code_challenge")


class OAuthError(Exception):
    """An error of the protocol: its code, what is wrong in words, and the HTTP status where it is answered directly."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status


class BadClientError(Exception):
    """The client or where to send the answer is not known: the user is told, and sent nowhere."""


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client. Addresses are compared character by character."""

    client_id: str
    secret: str
    redirect_uris: frozenset[str]
    post_logout_redirect_uris: frozenset[str] = frozenset()
    backchannel_logout_uri: str = ""


@dataclass(slots=True)
class Session:
    """Somebody logged in at the provider with one browser; `sid` is what clients call it by."""

    account: Account
    started: float
    sid: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    clients: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Wish:
    """A checked request for a code."""

    client: Client
    redirect_uri: str
    scopes: frozenset[str]
    state: str
    nonce: str
    challenge: str
    prompt: frozenset[str]
    max_age: int | None


@dataclass(slots=True)
class _Grant:
    """What a code stands for."""

    wish: Wish
    session: Session
    expires: float
    used: bool = False
    access_token: str = ""


def post_logout_token(url: str, token: str) -> None:
    """Tell a client that a session has ended. Raises OSError when it does not listen."""
    # Without the machine's proxy settings, which need not know that loopback is here.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = urllib.parse.urlencode({"logout_token": token}).encode()
    with opener.open(urllib.request.Request(url, data=body), timeout=5):
        pass


class Provider:
    """One issuer. `clock` gives seconds since 1970; `tell` delivers logout tokens."""

    def __init__(
        self,
        *,
        issuer: str,
        key: SigningKey,
        clients: Iterable[Client],
        accounts: Iterable[Account],
        clock: Callable[[], float] = time.time,
        tell: Callable[[str, str], None] = post_logout_token,
    ) -> None:
        self.issuer = issuer.rstrip("/")
        self.key = key
        self.clients = {client.client_id: client for client in clients}
        self.accounts = {account.username: account for account in accounts}
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._grants: dict[str, _Grant] = {}
        self._tokens: dict[str, tuple[_Grant, float]] = {}

    # -- Discovery ----------------------------------------------------------------------------

    def configuration(self) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": list(SCOPES),
            "prompt_values_supported": ["none", "login"],
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }

    # -- Login sessions -------------------------------------------------------------------------

    def log_in(self, username: str, password: str) -> str | None:
        """The cookie of a new session; None when user name or password is wrong."""
        account = self.accounts.get(username.strip())
        if not hmac.compare_digest(password.encode(), PASSWORD.encode()) or account is None:
            return None
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[cookie] = Session(account, self._clock())
        return cookie

    def session(self, cookie: str | None) -> Session | None:
        """Who is logged in with this cookie; nobody after eight hours."""
        with self._lock:
            session = self._sessions.get(cookie or "")
            if session is not None and self._clock() - session.started > SESSION_SECONDS:
                del self._sessions[cookie or ""]
                return None
            return session

    def log_out(self, cookie: str | None) -> None:
        """End the session, void what was given out in it, and tell every client that somebody was logged in at through it."""
        with self._lock:
            session = self._sessions.pop(cookie or "", None)
            if session is None:
                return
            self._tokens = {token: kept for token, kept in self._tokens.items() if kept[0].session is not session}
            self._grants = {code: grant for code, grant in self._grants.items() if grant.session is not session}
            clients = [self.clients[name] for name in sorted(session.clients)]
        for client in clients:
            if client.backchannel_logout_uri:
                try:
                    self._tell(client.backchannel_logout_uri, self.logout_token(client, session))
                except OSError as error:
                    log.warning("%s does not hear of a logout: %s", client.client_id, error)

    # -- Authorisation --------------------------------------------------------------------------

    def read_request(self, parameters: Mapping[str, list[str]]) -> Wish:
        """Check a request for a code.

        Raises BadClientError when nobody may be sent back, and OAuthError for what the client is told; `client_of` then says where.
        """
        client, redirect_uri = self.client_of(parameters)
        if any(len(parameters.get(name, [])) > 1 for name in _KNOWN):
            raise OAuthError("invalid_request", "a parameter is given more than once")
        asked = {name: values[0] for name, values in parameters.items()}
        if "request" in asked:
            raise OAuthError("request_not_supported", "request objects are not supported")
        if "request_uri" in asked:
            raise OAuthError("request_uri_not_supported", "request objects are not supported")
        if not asked.get("response_type"):
            raise OAuthError("invalid_request", "response_type is missing")
        if asked["response_type"] != "code" or asked.get("response_mode", "query") != "query":
            raise OAuthError("unsupported_response_type", "only response_type=code is supported")
        scopes = frozenset(asked.get("scope", "").split())
        if "openid" not in scopes:
            raise OAuthError("invalid_scope", "scope lacks openid")
        if asked.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(asked.get("code_challenge", "")):
            raise OAuthError("invalid_request", "PKCE with code_challenge_method=S256 is required")
        prompt = frozenset(asked.get("prompt", "").split())
        if "none" in prompt and len(prompt) > 1:
            raise OAuthError("invalid_request", "prompt=none stands alone")
        max_age = asked.get("max_age")
        if max_age is not None and not (max_age.isascii() and max_age.isdigit()):
            raise OAuthError("invalid_request", "max_age is not a number of seconds")
        return Wish(
            client=client,
            redirect_uri=redirect_uri,
            scopes=scopes & frozenset(SCOPES),
            state=asked.get("state", ""),
            nonce=asked.get("nonce", ""),
            challenge=asked["code_challenge"],
            prompt=prompt,
            max_age=int(max_age) if max_age is not None else None,
        )

    def client_of(self, parameters: Mapping[str, list[str]]) -> tuple[Client, str]:
        """The client that asks and the registered address it wants the answer at. Raises BadClientError."""
        names, addresses = parameters.get("client_id", []), parameters.get("redirect_uri", [])
        if len(names) != 1 or len(addresses) != 1:
            raise BadClientError
        client = self.clients.get(names[0])
        if client is None or addresses[0] not in client.redirect_uris:
            raise BadClientError
        return client, addresses[0]

    def needs_login(self, wish: Wish, session: Session | None) -> bool:
        """Whether the login page comes first."""
        if session is None or "login" in wish.prompt:
            return True
        return wish.max_age is not None and self._clock() - session.started > wish.max_age

    def give_code(self, wish: Wish, session: Session) -> str:
        """A code for the client: 60 seconds, one use."""
        code, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            # A used code is remembered as long as the tokens it brought: presenting it again voids them.
            self._grants = {known: grant for known, grant in self._grants.items() if grant.expires + TOKEN_SECONDS > now}
            self._grants[code] = _Grant(wish, session, now + CODE_SECONDS)
            session.clients.add(wish.client.client_id)
        return code

    # -- Tokens ---------------------------------------------------------------------------------

    def authenticate_client(self, authorization: str, form: Mapping[str, str]) -> Client:
        """The client by HTTP Basic or by its form fields. Raises OAuthError invalid_client."""
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        if authorization:
            if secret:
                raise OAuthError("invalid_request", "two ways of client authentication")
            basic = _basic(authorization)
            if name and basic[0] != name:
                raise OAuthError("invalid_request", "client_id differs from the one in the Authorization header")
            name, secret = basic
        client = self.clients.get(name)
        if client is None or not hmac.compare_digest(secret.encode(), client.secret.encode()):
            raise OAuthError("invalid_client", "unknown client or wrong secret", 401)
        return client

    def exchange(self, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
        """Tokens for a code. Raises OAuthError."""
        if not form.get("grant_type"):
            raise OAuthError("invalid_request", "grant_type is missing")
        if form["grant_type"] != "authorization_code":
            raise OAuthError("unsupported_grant_type", "only grant_type=authorization_code is supported")
        refused = OAuthError("invalid_grant", "the code is unknown, used, late, or was given for something else")
        now = self._clock()
        with self._lock:
            grant = self._grants.get(form.get("code", ""))
            if grant is None or grant.wish.client != client:
                raise refused
            if grant.used:
                # Somebody has it who should not (RFC 6749 §4.1.2): what it brought is void.
                self._tokens.pop(grant.access_token, None)
                raise refused
            # Whatever is wrong, the code is gone: nobody tries twice.
            grant.used = True
            verifier = form.get("code_verifier", "")
            if (
                now > grant.expires
                or form.get("redirect_uri") != grant.wish.redirect_uri
                or not _VERIFIER.fullmatch(verifier)
                or not hmac.compare_digest(_digest(verifier), grant.wish.challenge)
            ):
                raise refused
            token = grant.access_token = secrets.token_urlsafe(32)
            self._tokens = {known: kept for known, kept in self._tokens.items() if kept[1] > now}
            self._tokens[token] = (grant, now + TOKEN_SECONDS)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": " ".join(sorted(grant.wish.scopes)),
            "id_token": self.id_token(grant.wish, grant.session, token),
        }

    def userinfo(self, authorization: str) -> dict[str, Any]:
        """The claims behind an access token. Raises OAuthError invalid_token."""
        kind, _blank, token = authorization.partition(" ")
        with self._lock:
            grant, expires = self._tokens.get(token, (None, 0.0))
        if kind.lower() != "bearer" or grant is None or self._clock() > expires:
            raise OAuthError("invalid_token", "the access token is unknown or late", 401)
        return grant.session.account.claims(grant.wish.scopes)

    def id_token(self, wish: Wish, session: Session, access_token: str) -> str:
        """Who logged in, when, for whom, in answer to which request."""
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": session.account.sub,
            "aud": wish.client.client_id,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "auth_time": int(session.started),
            "sid": session.sid,
            "at_hash": _half_digest(access_token),
        }
        if wish.nonce:
            claims["nonce"] = wish.nonce
        return self.key.sign(claims)

    def logout_token(self, client: Client, session: Session) -> str:
        """What a client is told when a session ends."""
        now = int(self._clock())
        claims = {
            "iss": self.issuer,
            "sub": session.account.sub,
            "aud": client.client_id,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(16),
            "sid": session.sid,
            "events": {BACKCHANNEL_EVENT: {}},
        }
        return self.key.sign(claims, kind="logout+jwt")

    # -- Logout asked for by a client -------------------------------------------------------------

    def hinted(self, id_token_hint: str) -> tuple[Client, str] | None:
        """The client and the sid of an id_token of ours, however old; None for anything else."""
        claims = self.key.read(id_token_hint) if id_token_hint else None
        client = self.clients.get(str(claims.get("aud"))) if claims and claims.get("iss") == self.issuer else None
        return (client, str(claims.get("sid", ""))) if client and claims else None


def _basic(authorization: str) -> tuple[str, str]:
    kind, _blank, value = authorization.partition(" ")
    try:
        name, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if kind.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "the Authorization header cannot be read", 401)
    return urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def _half_digest(text: str) -> str:
    """at_hash: the left half of the digest (Core §3.1.3.6)."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()
