"""The standard edition in a thread, and somebody's browser in front of it: for the protocol's tests and for those of the portal."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from simulators.standard_edition.__main__ import registered, server
from simulators.standard_edition.accounts import ACCOUNTS, PASSWORD, Account
from simulators.standard_edition.keys import SigningKey
from simulators.standard_edition.provider import Client, Provider

CLIENT_ID, SECRET = "portal", "a secret:with a colon"
#: Making a key takes long; all tests of a run share one.
KEY = SigningKey.new()


@dataclass
class Edition:
    """A running provider, its clock, and what it told its clients."""

    provider: Provider
    told: list[tuple[str, str]] = field(default_factory=list)
    ahead: float = 0.0

    @property
    def issuer(self) -> str:
        return self.provider.issuer


@contextmanager
def running(
    portal_url: str, *, clients: tuple[Client, ...] = (), accounts: tuple[Account, ...] = ACCOUNTS, tells: bool = False
) -> Iterator[Edition]:
    """The standard edition for a portal at this address. With `tells` it really tells it of logouts, else `told` keeps them."""
    found = registered(CLIENT_ID, SECRET, [portal_url])
    provider = Provider(issuer="", key=KEY, clients=[found, *clients], accounts=accounts)
    edition = Edition(provider)
    provider._clock = lambda: time.time() + edition.ahead
    if not tells:
        provider._tell = lambda url, token: edition.told.append((url, token))
    listening = server(provider, 0, portal_url)
    provider.issuer = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield edition
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


class Browser:
    """Somebody's browser, as far as the provider sees it. It follows redirects on the provider and stops where one leaves it."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, url: str) -> requests.Response:
        """The page at an address of the provider, or the answer that sends the browser elsewhere."""
        return self._follow(self.session.get(url, allow_redirects=False, timeout=10))

    def send(self, page: requests.Response, **values: str) -> requests.Response:
        """Fill in the page's form and send it."""
        action = re.search(r'<form method="post" action="([^"]+)"', page.text)
        assert action, page.text
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        data = {name: unescape(value) for name, value in hidden.items()} | values
        return self._follow(self.session.post(f"{self.edition.issuer}{action[1]}", data=data, allow_redirects=False, timeout=10))

    def log_in(self, url: str, username: str, password: str = PASSWORD) -> str:
        """Go to an address of the provider, log in where it asks for it; gives where that leads in the end."""
        answer = self.get(url)
        if not answer.is_redirect:
            answer = self.send(answer, username=username, password=password)
        assert answer.is_redirect, answer.text
        return answer.headers["Location"]

    def _follow(self, answer: requests.Response) -> requests.Response:
        while answer.is_redirect and (answer.headers["Location"].startswith(("/", f"{self.edition.issuer}/"))):
            url = answer.headers["Location"]
            url = f"{self.edition.issuer}{url}" if url.startswith("/") else url
            answer = self.session.get(url, allow_redirects=False, timeout=10)
        return answer


def query(url: str) -> dict[str, str]:
    """The parameters of an address, each of which stands there once."""
    found = parse_qs(urlsplit(url).query, strict_parsing=True, keep_blank_values=True) if urlsplit(url).query else {}
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def open_to(settings: Any, issuer: str) -> None:
    """Let the portal know this standard edition."""
    settings.STANDARD_EDITION_ISSUER = issuer
    settings.STANDARD_EDITION_CLIENT_ID, settings.STANDARD_EDITION_CLIENT_SECRET = CLIENT_ID, SECRET
    app = {
        "provider_id": settings.STANDARD_EDITION,
        "name": "中央标准版",
        "client_id": CLIENT_ID,
        "secret": SECRET,
        "settings": {"server_url": issuer, "token_auth_method": "client_secret_basic"},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
