"""Clients who declare filings over HTTP as a browser does, and who do not give up: what did not answer is sent again, as it was."""

import queue
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from lxml import html

from devserver.cards import OpenCard
from simulators.cards.cardfile import CardFile

CLIENTS = 6
USERNAMES = tuple(f"chaos{number}" for number in range(1, CLIENTS + 1))
PASSWORD = "Demo12345"
TIMEOUT_SECONDS = 15
NEW = "/smartgate/filings/new/"


def card_of(var_dir: Path, username: str) -> Path:
    """The file of a client's card."""
    return var_dir / "cards" / "clients" / f"{username}.json"


@dataclass
class Outcome:
    """What the clients were told."""

    #: Plate → address of the filing that the portal said it had declared.
    declared: dict[str, str] = field(default_factory=dict)
    #: What a user would call a fault: an answer that is neither success nor an outage.
    faults: list[str] = field(default_factory=list)
    #: Requests that got no answer, or one of an outage.
    outages: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client(threading.Thread):
    """One user with one session, who takes plates from `plates` until a None says that there are no more."""

    def __init__(
        self, url: str, username: str, card: Path, plates: "queue.SimpleQueue[str | None]", outcome: Outcome, stop: threading.Event
    ) -> None:
        super().__init__(name=username, daemon=True)
        self._card = OpenCard(CardFile.load(card))
        self._url, self._username, self._plates, self._outcome, self._stopped = url, username, plates, outcome, stop
        self._session = requests.Session()
        self._session.trust_env = False
        self._csrf_token = ""

    def run(self) -> None:
        """Log in, and declare one filing after the other."""
        try:
            self._log_in()
            while (plate := self._plates.get()) is not None and not self._stopped.is_set():
                self._declare(plate)
        except _StoppedError:
            pass
        except Exception as error:
            with self._outcome.lock:
                self._outcome.faults.append(f"{self._username}: {error!r}")

    def _log_in(self) -> None:
        page = self._ask("GET", "/accounts/login/")
        fields = {
            "username": self._username,
            "password": PASSWORD,
            "captcha": "PASSED",
            "captcha_0": "x",
            "captcha_1": "PASSED",
            "next": "",
        }
        answer = self._ask("POST", "/accounts/login/", {**fields, "csrfmiddlewaretoken": _token(page)})
        if "/accounts/login/" in answer.url:
            raise AssertionError(f"{self._username} is not let in: {_problems(answer)}")
        self._csrf_token = _token(self._ask("GET", NEW))

    def _declare(self, plate: str) -> None:
        """Fill in 新增, which a browser keeps open, and confirm what it asks."""
        data = {**_filing(plate), "entry_token": str(uuid.uuid4())}
        asked = self._ask("POST", NEW, {**data, "csrfmiddlewaretoken": self._csrf_token, "action": "declare"})
        if "/accounts/login/" in asked.url:
            self._log_in()
            asked = self._ask("POST", NEW, {**data, "csrfmiddlewaretoken": self._csrf_token, "action": "declare"})
        if not (text := _text_to_sign(asked)):
            return self._fault(plate, asked)
        signature = {"certificate": self._card.certificate, "signature": self._card.sign(text)}
        hidden = {name: _hidden(asked, name) for name in ("csrfmiddlewaretoken", "lock_version")}
        path = asked.url.removeprefix(self._url)
        answer = self._send("POST", path, {**data, **hidden, **signature, "action": "declare_confirmed"})
        page = path.partition("edit/")[0]
        if answer.headers.get("Location") != page:
            # What got no answer was sent again; by then customs may have answered. His own page of the filing tells.
            answer = self._send("GET", page)
            if _status(answer) in ("", "暂存"):
                return self._fault(plate, answer)
        with self._outcome.lock:
            self._outcome.declared[plate] = page
        return None

    def _fault(self, plate: str, answer: requests.Response) -> None:
        with self._outcome.lock:
            self._outcome.faults.append(f"{plate}: {answer.url} {_problems(answer)}")

    def _ask(self, method: str, path: str, data: dict[str, str] | None = None) -> requests.Response:
        """A request and the page that it leads to; a redirect is followed by a request of its own, which only reads."""
        answer = self._send(method, path, data)
        return self._ask("GET", answer.headers["Location"].removeprefix(self._url)) if answer.is_redirect else answer

    def _send(self, method: str, path: str, data: dict[str, str] | None = None) -> requests.Response:
        """One request, again and again until it is answered."""
        while not self._stopped.is_set():
            try:
                answer = self._session.request(
                    method,
                    self._url + path,
                    data=data,
                    timeout=TIMEOUT_SECONDS,
                    headers={"Referer": self._url + path},
                    allow_redirects=False,
                )
                if answer.status_code < 500:
                    return answer
            except requests.RequestException:
                pass
            with self._outcome.lock:
                self._outcome.outages += 1
            time.sleep(0.2)
        raise _StoppedError


class _StoppedError(Exception):
    """The run is over."""


def _filing(plate: str) -> dict[str, str]:
    from tests.smartgate.pages import entry_post

    return entry_post(header={"bind_key_info": plate})


def _tree(page: requests.Response) -> Any:
    return html.fromstring(page.content.decode())


def _text_to_sign(page: requests.Response) -> str:
    """What the page shows to be signed, as a browser has it: exactly."""
    found = _tree(page).xpath('//*[@id="sign-text"]')
    return str(found[0].text_content()) if found else ""


def _status(page: requests.Response) -> str:
    return "".join(_tree(page).xpath('//*[@id="filing-status-label"]//text()')).strip()


def _hidden(page: requests.Response, name: str) -> str:
    found = _tree(page).xpath(f'//input[@name="{name}"]/@value')
    assert found, f"{page.url} ({page.status_code}) has no field {name}"
    return str(found[0])


def _token(page: requests.Response) -> str:
    return _hidden(page, "csrfmiddlewaretoken")


def _problems(page: requests.Response) -> str:
    words = _tree(page).xpath('//*[contains(@class, "alert") or contains(@class, "entry-errors")]//text()')
    return f"{page.status_code} " + " ".join(" ".join(words).split())[:500]
