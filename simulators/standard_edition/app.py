"""The provider's HTTP face: endpoints for clients, and the pages a person sees."""

import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Blueprint, Flask, Response, current_app, jsonify, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from simulators.standard_edition.accounts import PASSWORD, Account
from simulators.standard_edition.provider import BadClientError, OAuthError, Provider

COOKIE = "standard_edition_session"
FORM_COOKIE = "standard_edition_form"
pages = Blueprint("pages", __name__)


def create_app(provider: Provider, *, portal_url: str = "") -> Flask:
    """The pages of one provider; `portal_url` is where the start page's link to the local portal leads."""
    app = Flask(__name__)
    app.extensions["provider"] = provider
    app.config["PORTAL_URL"] = portal_url
    app.register_blueprint(pages)
    addresses = [urlsplit(uri) for client in provider.clients.values() for uri in client.redirect_uris]
    origins = " ".join(sorted({f"{address.scheme}://{address.netloc}" for address in addresses}))
    # A browser follows form-action through redirects: after logging in here it goes on to the client.
    policy = f"default-src 'none'; style-src 'self'; form-action 'self' {origins}; base-uri 'none'; frame-ancestors 'none'"
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.update(headers)
        return response

    return app


def the_provider() -> Provider:
    """The one that this process plays."""
    provider: Provider = current_app.extensions["provider"]
    return provider


def parameters() -> dict[str, list[str]]:
    """What was asked for, in the query of a GET or the form of a POST."""
    return (request.args if request.method == "GET" else request.form).to_dict(flat=False)


def page(template: str, *, status: int = 200, **context: Any) -> Response:
    """A page with forms that only this browser can send."""
    token = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    session = the_provider().session(request.cookies.get(COOKIE))
    response = make_response(render_template(template, form_token=token, session=session, **context), status)
    response.set_cookie(FORM_COOKIE, token, httponly=True, samesite="Lax")
    return response


def is_own_form() -> bool:
    """Whether what was posted comes from a page that this browser was given."""
    cookie = request.cookies.get(FORM_COOKIE, "")
    return bool(cookie) and hmac.compare_digest(cookie.encode(), request.form.get("form_token", "").encode())


# -- For clients ----------------------------------------------------------------------------------


@pages.get("/.well-known/openid-configuration")
def configuration() -> Response:
    return jsonify(the_provider().configuration())


@pages.get("/jwks")
def jwks() -> Response:
    return jsonify(the_provider().key.jwks())


@pages.route("/authorize", methods=["GET", "POST"])
def authorize() -> AnyResponse:
    asked, provider = parameters(), the_provider()
    try:
        _client, redirect_uri = provider.client_of(asked)
    except BadClientError:
        return page("error.html", status=400, text="来访的系统没有登记，或返回地址与登记的不一致。请从原系统重新进入。")
    state = asked.get("state", [""])[0]
    try:
        wish = provider.read_request(asked)
        session = provider.session(request.cookies.get(COOKIE))
        if session is None or provider.needs_login(wish, session):
            if "none" in wish.prompt:
                raise OAuthError("login_required", "nobody is logged in")
            return redirect(url_for("pages.login", asked=urlencode(asked, doseq=True)))
    except OAuthError as error:
        return redirect(_with(redirect_uri, {"error": error.code, "error_description": error.description, "state": state}))
    return redirect(_with(redirect_uri, {"code": provider.give_code(wish, session), "state": state}))


@pages.post("/token")
def token() -> Response:
    try:
        client = the_provider().authenticate_client(request.headers.get("Authorization", ""), request.form)
        return jsonify(the_provider().exchange(client, request.form))
    except OAuthError as error:
        return _refusal(error, 'Basic realm="standard-edition"')


@pages.route("/userinfo", methods=["GET", "POST"])
def userinfo() -> Response:
    try:
        return jsonify(the_provider().userinfo(request.headers.get("Authorization", "")))
    except OAuthError as error:
        return _refusal(error, f'Bearer error="{error.code}"')


def _refusal(error: OAuthError, challenge: str) -> Response:
    response = jsonify(error=error.code, error_description=error.description)
    response.status_code = error.status
    if error.status == 401:
        response.headers["WWW-Authenticate"] = challenge
    return response


# -- For people -----------------------------------------------------------------------------------


@pages.get("/")
def start() -> Response:
    portal_url = current_app.config["PORTAL_URL"]
    # A login that starts here (Core §4): the portal asks us back, and nobody types anything.
    query = urlencode({"iss": the_provider().issuer, "target_link_uri": f"{portal_url}/"})
    return page("start.html", portal_link=f"{portal_url}/accounts/standard-edition/?{query}" if portal_url else "")


@pages.get("/login")
def login() -> Response:
    return _login_page(request.args.get("asked", ""))


@pages.post("/login")
def log_in() -> AnyResponse:
    asked, username = request.form.get("asked", ""), request.form.get("username", "")
    if not is_own_form():
        return _login_page(asked, status=403, wrong="页面已失效，请重新登录。", username=username)
    if request.form.get("action") == "cancel":
        return redirect(_cancelled(asked))
    cookie = the_provider().log_in(username, request.form.get("password", ""))
    if cookie is None:
        return _login_page(asked, wrong="用户名或密码不正确，请核对后重新输入。", username=username)
    # Whoever logged in before with this browser is logged out; clients hear of it.
    the_provider().log_out(request.cookies.get(COOKIE))
    response = redirect(_go_on(asked))
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="Lax")
    return response


def _login_page(asked: str, *, status: int = 200, wrong: str = "", username: str = "") -> Response:
    enterprises: dict[str, list[Account]] = {}
    for account in the_provider().accounts.values():
        enterprises.setdefault(account.enterprise.name, []).append(account)
    return page("login.html", status=status, asked=asked, enterprises=enterprises, password=PASSWORD, wrong=wrong, username=username)


@pages.route("/logout", methods=["GET", "POST"])
def end_session() -> AnyResponse:
    asked = {name: values[0] for name, values in parameters().items() if len(values) == 1}
    provider, cookie = the_provider(), request.cookies.get(COOKIE)
    session = provider.session(cookie)
    hint = provider.hinted(asked.get("id_token_hint", ""))
    confirmed = request.method == "POST" and is_own_form()
    # Only who holds the token of this very login may end it without a word.
    if session is not None and not confirmed and (hint is None or hint[1] != session.sid):
        return page("logout.html", asked=asked)
    provider.log_out(cookie)
    wanted = asked.get("post_logout_redirect_uri", "")
    is_registered = hint is not None and wanted in hint[0].post_logout_redirect_uris
    response = redirect(_with(wanted, {"state": asked.get("state", "")}) if is_registered else url_for("pages.start"))
    response.delete_cookie(COOKIE)
    return response


def _with(uri: str, values: Mapping[str, str]) -> str:
    """A registered address with what is to be said there; empty values are left out."""
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{query}" if query else uri


def _go_on(asked: str) -> str:
    """Where to after the login: back to the request that made it necessary, which is checked anew; never to another host."""
    if not asked:
        return url_for("pages.start")
    request_again = parse_qs(asked, keep_blank_values=True)
    # Just done: asked for again it would never end.
    for name in ("prompt", "max_age"):
        request_again.pop(name, None)
    return f"{url_for('pages.authorize')}?{urlencode(request_again, doseq=True)}"


def _cancelled(asked: str) -> str:
    """取消: back to the client with access_denied, or to the start page when no client asked."""
    request_again = parse_qs(asked, keep_blank_values=True)
    try:
        _client, redirect_uri = the_provider().client_of(request_again)
    except BadClientError:
        return url_for("pages.start")
    state = request_again.get("state", [""])[0]
    return _with(redirect_uri, {"error": "access_denied", "error_description": "cancelled by the user", "state": state})
