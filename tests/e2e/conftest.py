"""The portal as `make run` brings it up, and browsers that look at it.

A browser test fails on an error in the browser's console (breaches of the Content-Security-Policy are there, too), on an answer
of 500 and more, and on a request that leaves the loopback address.
"""

import itertools
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, Response, expect, sync_playwright

from devserver.cards import NO_CARD, CardBox

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PASSWORD = "Demo12345"
#: All tests come from one address, and from it they register and mistype more than people would.
PLENTY = {"SMS_CODES_PER_ADDRESS_AND_HOUR": "10000", "LOGIN_FAILURES_PER_ADDRESS": "10000"}
START_SECONDS = 120
STOP_SECONDS = 40
#: How long a page may take to become what a test expects; the machine may be busy with other tests.
PATIENCE_MS = 20_000

expect.set_options(timeout=PATIENCE_MS)


# -- The stack ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stack:
    """A running portal: where it answers, where its data lie, what it printed."""

    url: str
    var_dir: Path
    log: Path

    @property
    def journal(self) -> Path:
        """What customs has accepted, one JSON object a line."""
        return self.var_dir / "customs-journal.jsonl"

    @property
    def sms_url(self) -> str:
        """Where the SMS simulator answers, as the start says."""
        said = re.search(r"Read SMS codes at (http://[\d.:]+)/", self.log.read_text(errors="replace"))
        assert said, "the start does not say where SMS are read"
        return said[1]

    @property
    def bridge_url(self) -> str:
        """Where pages find the card bridge, as the start says."""
        said = re.search(r"used by pages through (ws://[\d.]+:\d+)", self.log.read_text(errors="replace"))
        assert said, "the start does not say where the card bridge is"
        return said[1]

    @property
    def cards(self) -> CardBox:
        """The demo's cards, and the reader that they go into."""
        return CardBox(self.var_dir)

    @contextmanager
    def reader_with(self, card: str) -> Iterator[CardBox]:
        """Another card in the reader, `none` for none; the block may change it again. Afterwards it is the one from before: every test
        finds the card that the start puts in."""
        cards = self.cards
        before = cards.in_reader() or NO_CARD
        cards.put(card)
        try:
            yield cards
        finally:
            cards.put(before)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_of(directory: Path) -> list[str]:
    """Command lines of the processes that have something to do with a directory: by argument, environment or working directory."""
    found, name = [], str(directory)
    for process in psutil.process_iter():
        try:
            traces = [*process.cmdline(), *process.environ().values(), process.cwd()]
            if process.status() != psutil.STATUS_ZOMBIE and any(name in trace for trace in traces):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            with opener.open(f"{url}/readyz", timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"the portal did not come up at {url}:\n{log.read_text(errors='replace')[-6000:]}")
            time.sleep(0.1)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """`make run`, for all tests together."""
    with running_stack() as running:
        yield running


@contextmanager
def running_stack(**settings: str) -> Iterator[Stack]:
    """`make run` after its set-up, over an empty directory, with these environment variables. Ctrl-C ends it and leaves no process."""
    # A socket's path has at most 107 characters: no directory below pytest's own.
    with tempfile.TemporaryDirectory(prefix="sw-e2e-", dir="/tmp") as directory:
        var_dir, log = Path(directory) / "var", Path(directory) / "log"
        port = free_port()
        # Not the services that the other tests of this run use: a person has none of these set.
        theirs = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "PORTAL_MODE", "DJANGO_SETTINGS_MODULE")
        environment = {name: value for name, value in os.environ.items() if name not in theirs and not name.startswith("PYTEST_")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "devserver", "run"],
                cwd=ROOT,
                env={**environment, "PORT": str(port), "VAR_DIR": str(var_dir), "CAPTCHA_TEST_MODE": "1", **PLENTY, **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            running = Stack(f"http://127.0.0.1:{port}", var_dir, log)
            _wait_until_ready(running.url, process, log)
            assert len(processes_of(var_dir)) > 5, "the look for leftovers at the end would not see them"
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        said = log.read_text(errors="replace")
        assert process.returncode in (0, 130), said[-6000:]
        assert processes_of(var_dir) == []
        assert re.findall(r".*\[(?:error|critical) *\].*", said) == []


# -- Browsers -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without its own traffic. One per module: Playwright cannot run twice side by side in one thread."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine; type: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"],
            env={**os.environ, "LC_ALL": "zh_CN.UTF-8"},  # which font a Chinese desk takes for text
        )
        yield browser
        browser.close()


@dataclass
class Watch:
    """What went wrong in one browser window."""

    navigations: set[str] = field(default_factory=set)
    failed_loads: list[tuple[str, str]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        """Watch everything that happens in this window."""
        context.on("request", self._request)
        context.on("response", self._response)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.others.append(f"error in a script: {error.error}"))

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("127.0.0.1", "localhost"):
            self.others.append(f"request to another host: {request.url}")

    def _response(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self.navigations.add(response.url)
        if response.status >= 500:
            self.others.append(f"{response.status} from {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        if message.text.startswith("Failed to load resource"):
            self.failed_loads.append((message.location.get("url", ""), message.text))
        else:
            self.others.append(f"console: {message.text}")

    @property
    def troubles(self) -> list[str]:
        """Everything that must not be. A page that answers 403 or 404 is its test's business; a part of a page is ours."""
        loads = [f"{text} {url}" for url, text in self.failed_loads if url.split("#")[0] not in self.navigations]
        return self.others + loads


@dataclass
class Desk:
    """Opens browser windows onto a stack; each is a session of its own."""

    browser: Browser
    stack: Stack
    closing: ExitStack

    def sit(
        self,
        user: str = "",
        *,
        javascript: bool = True,
        width: int = 1440,
        height: int = 900,
        scheme: Any = "light",
        axe: bool = False,
        host: str = "127.0.0.1",
    ) -> Page:
        """A page in a new window, logged in as `user` through the login page. A passkey needs the host to be a name."""
        return self.closing.enter_context(self._window(user, javascript, {"width": width, "height": height}, scheme, axe, host=host))

    @contextmanager
    def _window(self, user: str, javascript: bool, viewport: Any, scheme: Any, axe: bool, *, host: str) -> Iterator[Page]:
        context = self.browser.new_context(
            base_url=self.stack.url.replace("127.0.0.1", host),
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            java_script_enabled=javascript,
            viewport=viewport,
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MS)
        if axe:
            context.add_init_script(path=AXE)
        watch = Watch()
        watch.over(context)
        page = context.new_page()
        try:
            if user:
                log_in(page, user)
            yield page
        finally:
            context.close()
        assert watch.troubles == []


def log_in(page: Page, user: str) -> None:
    """Through the login page, with the keyboard."""
    page.goto("/accounts/login/")
    page.get_by_label("用户名").fill(user)
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_label("验证码").fill("PASSED")
    page.get_by_label("验证码").press("Enter")
    page.wait_for_url(lambda url: "/accounts/login/" not in url)


@pytest.fixture
def desk(browser: Browser, stack: Stack) -> Iterator[Desk]:
    """Where to open windows; they close, and what went wrong in them shows, when the test ends."""
    with ExitStack() as closing:
        yield Desk(browser, stack, closing)


# -- Contents -------------------------------------------------------------------------------------

_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_counter = itertools.count(secrets.randbelow(50_000))


@pytest.fixture
def new_plate() -> Callable[..., str]:
    """Plates that no other filing has: plain ones that customs accepts, or with a token that its simulator acts on (`REJ01`)."""

    def make(token: str = "") -> str:
        number = next(_counter)
        letter, serial = _PLATE_LETTERS[number % 24], number // 24 % 10_000
        return f"{'吉黑蒙冀'[number // 24 % 4]}{letter}{token}" if token else f"辽{letter}{serial:04d}X"

    return make


def visit_until_there(page: Page, path: str, target: Locator) -> None:
    """Go to an address again and again until it shows something: customs may not have answered for the demo's filings yet."""
    until = time.monotonic() + PATIENCE_MS / 1000
    page.goto(path)
    while not target.count() and time.monotonic() < until:
        page.reload()
    expect(target).to_be_visible()


def tab_to(page: Page, selector: str, *, backwards: bool = False, most: int = 120) -> None:
    """Press Tab until the element has the focus, as one does who has no mouse."""
    target = page.locator(selector)
    expect(target).to_be_visible()
    for _pressed in range(most):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
    raise AssertionError(f"{selector} is not reached by Tab")
