"""Somebody who is logged in, asking the portal's WSGI application as gunicorn does: all middleware, no test client in between."""

import io
from importlib import import_module
from typing import Any
from urllib.parse import urlencode
from wsgiref.util import setup_testing_defaults

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User


class Visitor:
    """One user's browser, which keeps its session and nothing else; without a user, that of somebody who has none yet."""

    def __init__(self, user: User | None) -> None:
        session = import_module(settings.SESSION_ENGINE).SessionStore()
        if user is not None:
            session[SESSION_KEY] = str(user.pk)
            session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
            session[HASH_SESSION_KEY] = user.get_session_auth_hash()
            session.create()
        self._application = WSGIHandler()
        # Any 32 letters or digits are a secret of the CSRF cookie; the form sends the same back.
        self.csrf_token = "b" * 32
        self._cookies = f"{settings.SESSION_COOKIE_NAME}={session.session_key or ''}; {settings.CSRF_COOKIE_NAME}={self.csrf_token}"

    def get(self, path: str) -> bytes:
        """The page at `path` (with its query string). Raises RuntimeError unless it is there."""
        status, body = self._ask("GET", path)
        if not status.startswith("200"):
            raise RuntimeError(f"{path}: {status}")
        return body

    def post(self, path: str, data: dict[str, str], *, answer: str = "302") -> None:
        """Send a form. Raises RuntimeError unless the answer is a redirect: anything else is a form with errors (`answer="200"`)."""
        status, body = self._ask("POST", path, urlencode({**data, "csrfmiddlewaretoken": self.csrf_token}).encode())
        if not status.startswith(answer):
            raise RuntimeError(f"{path}: {status} {body[:2000].decode(errors='replace')}")

    def queries(self, ask: Any) -> int:
        """How often `ask`, a call of ours, asks the database."""
        with CaptureQueriesContext(connection) as captured:
            ask()
        return len(captured)

    def _ask(self, method: str, url: str, content: bytes = b"") -> tuple[str, bytes]:
        path, _mark, query = url.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "HTTP_COOKIE": self._cookies,
            "HTTP_HOST": "localhost",
            "HTTP_USER_AGENT": "benchmarks",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(content),
        }
        if content:
            environ |= {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": str(len(content))}
        setup_testing_defaults(environ)
        heard: list[str] = []
        response = self._application(environ, lambda status, _headers, *_: heard.append(status))
        try:
            body = b"".join(response)
        finally:
            response.close()
        return heard[0], body
