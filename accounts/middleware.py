"""Session rules: a session ends after idle time, after its absolute time, and when its user is closed.

The absolute end is the cookie's and the session row's age (SESSION_COOKIE_AGE, never refreshed); the idle end is kept here.
A closed user has no session because `PortalBackend.get_user` no longer gives him.
"""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from core import audit

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
        elif _SEEN not in session or now - seen >= _SEEN_EVERY_SECONDS:
            session[_SEEN] = now
