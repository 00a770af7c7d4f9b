"""The standard edition's protocol, met by a client made by hand: what it gives, and what it turns away."""

import base64
import hashlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
import requests
from django.conf import settings

from simulators.standard_edition.__main__ import CALLBACK, SIGNED_OUT
from simulators.standard_edition.accounts import ACCOUNTS
from simulators.standard_edition.keys import SigningKey
from simulators.standard_edition.provider import BACKCHANNEL_EVENT, Client
from tests.factories import CREDIT_ALPHABET, CREDIT_WEIGHTS
from tests.simulators.standard_edition import CLIENT_ID, SECRET, Browser, Edition, query, running

PORTAL = "http://portal.example"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
OTHER = Client("other", "other-secret", frozenset({f"{PORTAL}/other/"}))


@pytest.fixture
def edition() -> Iterator[Edition]:
    with running(PORTAL, clients=(OTHER,)) as edition:
        yield edition


@pytest.fixture
def browser(edition: Edition) -> Browser:
    return Browser(edition)


def request_url(edition: Edition, **changes: Any) -> str:
    """A request for a code, with changes (None: left out)."""
    asked = {
        "client_id": CLIENT_ID,
        "redirect_uri": f"{PORTAL}{CALLBACK}",
        "response_type": "code",
        "scope": "openid profile email phone enterprise",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return f"{edition.issuer}/authorize?{urlencode({name: value for name, value in asked.items() if value is not None}, doseq=True)}"


def ask(edition: Edition, data: dict[str, str | None], auth: Any = (CLIENT_ID, "a+secret%3Awith+a+colon")) -> requests.Response:
    """At the token endpoint, by HTTP Basic unless said otherwise."""
    with requests.Session() as session:
        session.trust_env = False
        sent = {name: value for name, value in data.items() if value is not None}
        return session.post(f"{edition.issuer}/token", data=sent, auth=auth, timeout=10)


def exchange(edition: Edition, code: str, auth: Any = (CLIENT_ID, "a+secret%3Awith+a+colon"), **changes: str | None) -> requests.Response:
    return ask(
        edition,
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"{PORTAL}{CALLBACK}",
            "code_verifier": VERIFIER,
            **changes,
        },
        auth,
    )


def code_for(edition: Edition, browser: Browser, username: str = "sy_admin", **changes: Any) -> str:
    return query(browser.log_in(request_url(edition, **changes), username))["code"]


def get(url: str, **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, headers=headers, timeout=10, allow_redirects=False)


@pytest.mark.covers("ACC-09")
def test_the_whole_way(edition, browser):
    config = get(f"{edition.issuer}/.well-known/openid-configuration").json()
    assert config["issuer"] == edition.issuer
    back = browser.log_in(request_url(edition), "sy_admin")
    assert back.startswith(f"{PORTAL}{CALLBACK}?")
    assert query(back)["state"] == "the-state"
    answer = exchange(edition, query(back)["code"])
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 300)
    [key] = get(config["jwks_uri"]).json()["keys"]
    assert "d" not in key
    header = jwt.get_unverified_header(tokens["id_token"])
    assert (header["alg"], header["kid"]) == ("RS256", key["kid"])
    claims = jwt.decode(
        tokens["id_token"],
        jwt.PyJWK(key).key,
        algorithms=["RS256"],
        audience=CLIENT_ID,
        issuer=edition.issuer,
        options={"require": ["exp", "iat"]},
    )
    assert claims["nonce"] == "the-nonce"
    assert abs(claims["auth_time"] - time.time()) < 10
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    assert claims["sid"]
    said = get(config["userinfo_endpoint"], Authorization=f"Bearer {tokens['access_token']}").json()
    assert said == {
        "sub": claims["sub"],
        "name": "冯管理",
        "preferred_username": "sy_admin",
        "phone_number": "13904120005",
        "phone_number_verified": True,
        "email": "sy_admin@example.com",
        "email_verified": True,
        "enterprise_name": "沈阳示范装备进出口有限公司",
        "credit_code": "912102002026000391",
        "legal_person_name": "冯示范",
        "role": "administrator",
    }


def test_what_was_not_asked_for_is_not_said(edition, browser):
    token = exchange(edition, code_for(edition, browser, scope="openid phone")).json()["access_token"]
    said = get(f"{edition.issuer}/userinfo", Authorization=f"Bearer {token}").json()
    assert set(said) == {"sub", "phone_number", "phone_number_verified"}


def test_who_is_logged_in_sees_no_login_page(edition, browser):
    first = code_for(edition, browser)
    again = browser.get(request_url(edition, prompt="none"))
    assert query(again.headers["Location"])["code"] != first
    page = browser.get(request_url(edition, prompt="login"))
    assert "用户登录" in page.text
    # Logged in anew, it ends.
    assert "code" in query(browser.send(page, username="sy_admin", password="Demo12345").headers["Location"])
    edition.ahead = 100
    assert "用户登录" in browser.get(request_url(edition, max_age="60")).text
    edition.ahead = 9 * 3600
    assert "用户登录" in browser.get(request_url(edition)).text


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "unknown"},
        {"client_id": [CLIENT_ID, CLIENT_ID]},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": f"{PORTAL}{CALLBACK}x"},
        {"redirect_uri": f"{PORTAL}{CALLBACK}?x=1"},
        {"redirect_uri": f"{PORTAL}/other/"},
        {"redirect_uri": [f"{PORTAL}{CALLBACK}", "https://evil.example/"]},
    ],
    ids=str,
)
def test_whom_it_does_not_know_it_sends_nowhere(edition, browser, changes):
    answer = browser.get(request_url(edition, **changes))
    assert answer.status_code == 400
    assert "没有登记" in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "unsupported_response_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"scope": ["openid", "openid"]}, "invalid_request"),
        ({"request": "x.y.z"}, "request_not_supported"),
        ({"request_uri": "https://evil.example/"}, "request_uri_not_supported"),
    ],
    ids=str,
)
def test_a_wrong_request_is_told_to_the_client(edition, browser, changes, error):
    answer = browser.get(request_url(edition, **changes))
    assert answer.headers["Location"].startswith(f"{PORTAL}{CALLBACK}?")
    said = query(answer.headers["Location"])
    assert (said["error"], said["state"]) == (error, "the-state")
    assert "code" not in said


@pytest.mark.parametrize(("username", "password"), [("sy_admin", "wrong"), ("nobody", "Demo12345"), ("", ""), ("SY_ADMIN", "Demo12345")])
def test_a_wrong_password_is_told_and_tells_nothing(edition, browser, username, password):
    page = browser.send(browser.get(request_url(edition)), username=username, password=password)
    assert "用户名或密码不正确" in page.text
    assert 'name="asked"' in page.text


def test_the_login_form_of_another_page_is_not_taken(edition, browser):
    page = browser.get(request_url(edition))
    answer = browser.send(page, username="sy_admin", password="Demo12345", form_token="forged")
    assert (answer.status_code, answer.is_redirect) == (403, False)
    assert Browser(edition).send(page, username="sy_admin", password="Demo12345").status_code == 403


def test_logging_in_leads_to_no_other_host(edition, browser):
    for asked in (
        "https://evil.example/",
        "//evil.example",
        "redirect_uri=https://evil.example/",
        "client_id=portal&redirect_uri=https://evil.example",
    ):
        page = browser.get(f"{edition.issuer}/login?{urlencode({'asked': asked})}")
        for values in ({"username": "sy_admin", "password": "Demo12345"}, {"action": "cancel"}):
            assert not browser.send(page, **values).is_redirect


def test_cancelling_is_told_to_the_client(edition, browser):
    answer = browser.send(browser.get(request_url(edition)), action="cancel")
    assert query(answer.headers["Location"]) == {
        "error": "access_denied",
        "error_description": "cancelled by the user",
        "state": "the-state",
    }


def test_a_code_is_good_once_and_what_it_brought_is_void_after_a_second_try(edition, browser):
    code = code_for(edition, browser)
    token = exchange(edition, code).json()["access_token"]
    assert get(f"{edition.issuer}/userinfo", Authorization=f"Bearer {token}").status_code == 200
    answer = exchange(edition, code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert get(f"{edition.issuer}/userinfo", Authorization=f"Bearer {token}").status_code == 401


def test_a_code_is_good_for_a_minute(edition, browser):
    code = code_for(edition, browser)
    edition.ahead = 61
    assert exchange(edition, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": f"{PORTAL}/elsewhere/"},
        {"redirect_uri": None},
        {"code_verifier": "w" * 43},
        {"code_verifier": None},
        {"code_verifier": "v"},
        {"code": "unknown"},
        {"code": None},
    ],
    ids=str,
)
def test_a_code_is_good_for_what_it_was_given_for(edition, browser, changes):
    code = code_for(edition, browser)
    answer = exchange(edition, **{"code": code, **changes})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    # Tried in vain it is gone.
    assert exchange(edition, code).ok == ("code" in changes)


def test_a_code_is_good_for_its_client(edition, browser):
    code = code_for(edition, browser)
    assert exchange(edition, code, auth=(OTHER.client_id, OTHER.secret)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("auth", "changes", "status", "error"),
    [
        ((CLIENT_ID, "wrong"), {}, 401, "invalid_client"),
        (("unknown", "wrong"), {}, 401, "invalid_client"),
        (None, {}, 401, "invalid_client"),
        (None, {"client_id": CLIENT_ID, "client_secret": "wrong"}, 401, "invalid_client"),
        ((CLIENT_ID, "a+secret%3Awith+a+colon"), {"client_secret": SECRET}, 400, "invalid_request"),
        ((CLIENT_ID, "a+secret%3Awith+a+colon"), {"client_id": "other"}, 400, "invalid_request"),
        ((CLIENT_ID, "a+secret%3Awith+a+colon"), {"grant_type": "password"}, 400, "unsupported_grant_type"),
        ((CLIENT_ID, "a+secret%3Awith+a+colon"), {"grant_type": None}, 400, "invalid_request"),
    ],
    ids=str,
)
def test_a_client_says_who_it_is_and_what_it_wants(edition, browser, auth, changes, status, error):  # noqa: PLR0917
    answer = exchange(edition, code_for(edition, browser), auth=auth, **changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_a_client_may_say_who_it_is_in_the_form(edition, browser):
    answer = exchange(edition, code_for(edition, browser), auth=None, client_id=CLIENT_ID, client_secret=SECRET)
    assert answer.ok


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x", "Basic x", "x"])
def test_userinfo_is_for_who_has_a_token(edition, authorization):
    answer = get(f"{edition.issuer}/userinfo", Authorization=authorization)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


# -- Logging out ----------------------------------------------------------------------------------


def logout_url(edition: Edition, **asked: str) -> str:
    return f"{edition.issuer}/logout?{urlencode(asked)}"


@pytest.mark.covers("ACC-09")
def test_a_client_ends_the_login_that_it_has_the_token_of(edition, browser):
    tokens = exchange(edition, code_for(edition, browser)).json()
    claims = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    edition.ahead = 3600  # a hint may be late
    answer = browser.get(
        logout_url(edition, id_token_hint=tokens["id_token"], post_logout_redirect_uri=f"{PORTAL}{SIGNED_OUT}", state="s/&")
    )
    assert answer.headers["Location"] == f"{PORTAL}{SIGNED_OUT}?state=s%2F%26"
    assert "用户登录" in browser.get(request_url(edition)).text
    [(url, token)] = edition.told
    assert url == f"{PORTAL}/accounts/standard-edition/backchannel-logout/"
    told = jwt.decode(
        token,
        jwt.PyJWK(edition.provider.key.jwks()["keys"][0]).key,
        algorithms=["RS256"],
        audience=CLIENT_ID,
        options={"verify_iat": False},
    )
    assert told["events"] == {BACKCHANNEL_EVENT: {}}
    assert (told["sub"], told["sid"], told["iss"]) == (claims["sub"], claims["sid"], edition.issuer)
    assert "nonce" not in told
    assert jwt.get_unverified_header(token)["typ"] == "logout+jwt"


@pytest.mark.parametrize("hint", ["none", "another login's", "forged"])
def test_without_the_token_of_this_login_the_user_is_asked(edition, browser, hint):
    code_for(edition, browser)
    other = Browser(edition)
    hints = {
        "none": "",
        "another login's": exchange(edition, code_for(edition, other, "jz_admin")).json()["id_token"],
        "forged": SigningKey.new().sign({"iss": edition.issuer, "aud": CLIENT_ID, "sid": "x"}),
    }
    page = browser.get(logout_url(edition, id_token_hint=hints[hint], post_logout_redirect_uri="https://evil.example/"))
    assert "要退出登录吗？" in page.text
    assert browser.get(request_url(edition, prompt="none")).headers["Location"].startswith(f"{PORTAL}{CALLBACK}?code=")
    assert "您尚未登录" in browser.send(page).text
    assert query(browser.get(request_url(edition, prompt="none")).headers["Location"])["error"] == "login_required"


@pytest.mark.parametrize("wanted", ["https://evil.example/", f"{PORTAL}{SIGNED_OUT}x", f"{PORTAL}{CALLBACK}", ""])
def test_a_logout_leads_to_registered_addresses_only(edition, browser, wanted):
    token = exchange(edition, code_for(edition, browser)).json()["id_token"]
    answer = browser.get(logout_url(edition, id_token_hint=token, post_logout_redirect_uri=wanted))
    assert "您尚未登录" in answer.text


def test_what_a_login_gave_out_ends_with_it(edition, browser):
    token = exchange(edition, code_for(edition, browser)).json()["access_token"]
    code = query(browser.get(request_url(edition)).headers["Location"])["code"]
    browser.send(browser.get(f"{edition.issuer}/"))
    assert get(f"{edition.issuer}/userinfo", Authorization=f"Bearer {token}").status_code == 401
    assert exchange(edition, code).json()["error"] == "invalid_grant"


def test_a_portal_that_does_not_listen_keeps_nobody_logged_in(edition, browser):
    def deaf(_url: str, _token: str) -> None:
        raise OSError("connection refused")

    code_for(edition, browser)
    edition.provider._tell = deaf
    assert "您尚未登录" in browser.send(browser.get(f"{edition.issuer}/")).text


# -- Accounts, pages, process ---------------------------------------------------------------------


def test_the_accounts_are_such_as_there_could_be():
    for account in ACCOUNTS:
        code = account.enterprise.credit_code
        total = sum(CREDIT_ALPHABET.index(char) * weight for char, weight in zip(code[:17], CREDIT_WEIGHTS, strict=True))
        assert code[17] == CREDIT_ALPHABET[(31 - total % 31) % 31]
        assert re.fullmatch(r"1[3-9][0-9]{9}", account.phone_number)
    assert len({account.sub for account in ACCOUNTS}) == len(ACCOUNTS)


def test_pages_need_no_script_and_load_nothing_from_elsewhere(edition, browser):
    for page in (browser.get(f"{edition.issuer}/"), browser.get(f"{edition.issuer}/login"), browser.get(request_url(edition))):
        assert "<script" not in page.text
        assert f"form-action 'self' {PORTAL}" in page.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    for account in ACCOUNTS:
        assert account.username in page.text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_process_serves_quietly_keeps_its_key_and_ends_when_told(tmp_path: Path):
    kids, port = [], free_port()
    issuer = f"http://127.0.0.1:{port}"
    options = {"--port": str(port), "--issuer": issuer, "--client-id": CLIENT_ID, "--client-secret": SECRET, "--key": str(tmp_path / "key")}
    command = [sys.executable, "-m", "simulators.standard_edition", *(part for option in options.items() for part in option)]
    command += ["--redirect-prefix", PORTAL, "--redirect-prefix", "http://localhost:1"]
    for number in (signal.SIGTERM, signal.SIGINT):
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 20
            while True:
                try:
                    kids.append(get(f"{issuer}/jwks").json()["keys"][0]["kid"])
                    break
                except requests.ConnectionError:
                    assert process.poll() is None, (tmp_path / "log").read_text()
                    assert time.monotonic() < until
                    time.sleep(0.05)
            assert get(f"{issuer}/nowhere").status_code == 404
        finally:
            process.send_signal(number)
            assert process.wait(timeout=20) == 0
        assert (tmp_path / "log").read_text() == ""
    assert kids[0] == kids[1]
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
