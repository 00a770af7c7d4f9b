"""Session rules: a session ends after idle time, after its absolute time, and when its user is closed.

Both ends are kept in the session itself: the cookie's age (SESSION_COOKIE_AGE) starts anew with every save of the session.
A closed user has no session because `PortalBackend.get_user` no longer gives him; the login page tells him why.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import gates
from accounts.closed import why_closed
from accounts.models import User
from accounts.services import sessions
from core import audit
from core.http import leave_page

_STARTED = "session_started_at"
_SEEN = "session_seen_at"
#: The session is written at most once in this many seconds for being seen: a busy user must not cost a write per page.
_SEEN_EVERY_SECONDS = 60


class SessionRulesMiddleware:
    """Ends sessions that are too old or were idle too long; tells the audit trail where a request comes from."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        audit.bind_request(request)
        try:
            if request.user.is_authenticated:
                self._keep_or_end(request)
            elif SESSION_KEY in request.session:
                self._end_closed(request)
            elif sessions.was_ended_elsewhere(request):
                request.session["login_notice"] = _("此登录已在其他设备上被退出，请重新登录。如非本人操作，请登录后立即修改密码。")
            return self.get_response(request)
        finally:
            audit.unbind_request()

    def _keep_or_end(self, request: HttpRequest) -> None:
        now = int(time.time())
        session = request.session
        started = session.setdefault(_STARTED, now)
        seen = session.get(_SEEN, now)
        if now - seen > settings.SESSION_IDLE_SECONDS or now - started > settings.SESSION_ABSOLUTE_SECONDS:
            logout(request)
            request.session["login_notice"] = _("长时间未操作，为安全起见已退出登录，请重新登录。")

    def _end_closed(self, request: HttpRequest) -> None:
        """The session's user was disabled, frozen or deleted meanwhile."""
        user = User.objects.select_related("enterprise").filter(pk=request.session[SESSION_KEY]).first()
        reason = why_closed(user) if user is not None else ""
        logout(request)
        request.session["login_notice"] = reason or _("您的账号已不能使用，已退出登录。如有疑问，请拨打首页的服务热线。")

    def process_view(self, request: HttpRequest, view: Callable[..., HttpResponse], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Note that the user was here. A view with `is_background` is asked for by a page itself: nobody need be there for it."""
        if not request.user.is_authenticated or getattr(getattr(view, "view_class", None), "is_background", False):
            return
        now = int(time.time())
        if now - request.session.get(_SEEN, 0) >= _SEEN_EVERY_SECONDS:
            request.session[_SEEN] = now
            sessions.note_seen(request)


class GateMiddleware:
    """Sends a logged-in user to what he has to do before anything else opens (`accounts.gates`)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> HttpResponse | None:
        """Where to, when a gate stands in the way of the view that was asked for; comes back there afterwards."""
        if not isinstance(request.user, User):
            return None
        gate = gates.next_gate(request, request.user)
        match = request.resolver_match
        if gate is None or match is None or gates.lets_pass(gate, match.view_name):
            return None
        return leave_page(request, redirect_to_login(request.get_full_path(), reverse(gate.url_name)).url)
