"""Pages with a card panel, served from the loopback without the rest of the portal: the real template, the real scripts and styles."""

import json
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from django.contrib.auth.models import AnonymousUser
from django.contrib.staticfiles import finders
from django.template import engines
from django.test import RequestFactory, override_settings

CHALLENGE = "0123456789abcdef" * 4
CHALLENGE_PATH = "/accounts/card/challenge/"


@dataclass
class Posted:
    """What a form sent."""

    path: str
    body: str
    headers: dict[str, str]

    @property
    def fields(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body, keep_blank_values=True).items()}


@dataclass
class Site:
    """The pages, and what was posted."""

    pages: dict[str, str] = field(default_factory=dict)
    posted: list[Posted] = field(default_factory=list)
    #: Status and answer of the challenge's address.
    challenge: tuple[int, object] = (200, {"challenge": CHALLENGE})
    port: int = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def submitted(self) -> list[Posted]:
        """What forms sent, without the questions for a challenge."""
        return [one for one in self.posted if one.path != CHALLENGE_PATH]

    def add(self, content: str, bridge: str, *, path: str = "/", scripts: tuple[str, ...] = ()) -> str:
        """A page of the portal with this content (a template); gives its address."""
        self.pages[path] = page_with(content, bridge, scripts)
        return f"{self.origin}{path}"


def page_with(content: str, bridge: str, scripts: tuple[str, ...] = ()) -> str:
    """A page of the portal around a template's text, with the card program at `bridge`."""
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    tags = "".join(f'<script type="module" src="/static/portal/js/{name}"></script>' for name in scripts)
    source = f'{{% extends "base.html" %}}{{% block page_scripts %}}{tags}{{% endblock %}}{{% block content %}}{content}{{% endblock %}}'
    with override_settings(CARD_BRIDGE_URL=bridge):
        html = engines["django"].from_string(source).render({"page_title": "卡"}, request)
    # Where the address of the challenge is not routed yet, it is the one agreed upon.
    return html.replace('data-challenge-url=""', f'data-challenge-url="{CHALLENGE_PATH}"')


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path in self.site.pages:
            self._send(200, "text/html; charset=utf-8", self.site.pages[path].encode())
        elif path.startswith("/static/") and (file := finders.find(path.removeprefix("/static/"))):
            self._send(200, mimetypes.guess_type(path)[0] or "application/octet-stream", Path(file).read_bytes())
        else:
            self._send(404, "text/plain", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.site.posted.append(Posted(self.path, body, dict(self.headers)))
        if self.path == CHALLENGE_PATH:
            status, answer = self.site.challenge
            text = answer if isinstance(answer, str) else json.dumps(answer)
            self._send(status, "application/json", text.encode())
        else:
            self._send(200, "text/html; charset=utf-8", b'<!doctype html><title>done</title><p id="done">done</p>')

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws://127.0.0.1:*"
        self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def served() -> Iterator[Site]:
    """A site without pages yet."""
    site = Site()
    handler = type("Handler", (_Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join(10)
