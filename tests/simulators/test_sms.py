"""The SMS provider as a process of its own: what it takes, what it turns away, what one reads there."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests
from django.conf import settings
from lxml import html

from notifications.gateways import GatewayError
from notifications.gateways.sms_http import SmsHttpGateway

DEADLINE = 20.0
TOKEN = "a-token"
MOBILE = "13812345678"


@dataclass
class Provider:
    """A running simulator."""

    home: Path
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def journal_path(self) -> Path:
        return self.home / "sms.jsonl"

    def start(self, hold: float = 60.0) -> None:
        self.session.trust_env = False
        log_path = self.home / f"log{uuid4()}"
        command = [sys.executable, "-m", "simulators.sms", "--port", "0", "--token", TOKEN, "--journal", str(self.journal_path)]
        with log_path.open("wb") as log:
            self.process = subprocess.Popen([*command, "--hold", str(hold)], cwd=settings.BASE_DIR, stdout=log, stderr=log)
        end = time.monotonic() + DEADLINE
        while not (found := re.search(r"http://127\.0\.0\.1:[0-9]+", log_path.read_text())):
            assert time.monotonic() < end, log_path.read_text()
            assert self.process.poll() is None, log_path.read_text()
            time.sleep(0.02)
        self.url = found[0]

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=DEADLINE)

    def log(self) -> str:
        return "".join(path.read_text() for path in self.home.glob("log*"))

    def send(self, mobile: str = MOBILE, text: str = "验证码 123456", reference: str = "", **headers: str) -> requests.Response:
        reference = reference or str(uuid4())
        every = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": reference, **headers}
        body = {"reference": reference, "mobile": mobile, "text": text}
        return self.session.post(f"{self.url}/messages", json=body, headers=every, timeout=DEADLINE)

    def kept(self, **params: str) -> list[dict[str, Any]]:
        return self.session.get(f"{self.url}/messages.json", params=params, timeout=DEADLINE).json()["messages"]

    def page(self, **params: str) -> Any:
        answer = self.session.get(f"{self.url}/", params=params, timeout=DEADLINE)
        assert answer.status_code == 200
        return html.fromstring(answer.content)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    it = Provider(tmp_path)
    it.start()
    yield it
    assert it.process is not None
    if it.process.poll() is None:
        it.process.kill()
        it.process.wait()
    it.session.close()


@pytest.mark.covers("RLY-06")
def test_a_text_is_taken_and_read_on_the_page(provider: Provider) -> None:
    assert provider.send(text="【辽宁单一窗口】<b>验证码</b> 123456").status_code == 201
    assert provider.send(mobile="13900000001", text="第二条").status_code == 201
    items = provider.page().xpath("//ol/li")
    assert ["第二条" in item.text_content() for item in items] == [True, False]
    assert "【辽宁单一窗口】<b>验证码</b> 123456" in items[1].text_content()
    assert MOBILE in items[1].text_content()
    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", items[1].text_content())


def test_the_page_is_narrowed_to_a_number_and_refreshes_until_told_otherwise(provider: Provider) -> None:
    provider.send()
    provider.send(mobile="13900000001", text="第二条")
    page = provider.page(mobile="5678")
    assert [item.xpath(".//a")[0].text for item in page.xpath("//ol/li")] == [MOBILE]
    assert page.xpath("//input[@name='mobile']/@value") == ["5678"]
    assert page.xpath("//meta[@http-equiv='refresh']")
    still = provider.page(mobile="5678", still="1")
    assert not still.xpath("//meta[@http-equiv='refresh']")
    assert all("still=1" in link for link in still.xpath("//ol//a/@href"))
    assert "没有发往“1999”的短信" in provider.page(mobile="1999").text_content()
    assert not page.xpath("//script | //*[@style]")


@pytest.mark.covers("RLY-06")
def test_a_repeat_is_answered_and_kept_once(provider: Provider) -> None:
    reference = str(uuid4())
    assert [provider.send(reference=reference).status_code for _ in range(3)] == [201, 200, 200]
    assert [message["reference"] for message in provider.kept()] == [reference]
    assert provider.send(reference=reference, text="另一条").status_code == 422
    assert [message["text"] for message in provider.kept()] == ["验证码 123456"]


def test_repeats_at_the_same_moment_are_kept_once(provider: Provider) -> None:
    reference = str(uuid4())
    with ThreadPoolExecutor(8) as pool:
        answers = sorted(answer.status_code for answer in pool.map(lambda _: provider.send(reference=reference), range(16)))
    assert answers == [200] * 15 + [201]
    assert len(provider.journal_path.read_text().splitlines()) == 1


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer wrong", "Basic a-token", "Bearer 错"])
def test_a_wrong_token_opens_nothing(provider: Provider, token: str) -> None:
    assert provider.send(Authorization=token.encode().decode("latin-1")).status_code == 401
    assert provider.kept() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"reference": "r", "mobile": "13812345678"}',
        b'{"reference": "r", "mobile": 13812345678, "text": "x"}',
        b'{"reference": "r", "mobile": "12812345678", "text": "x"}',
        b'{"reference": "r", "mobile": "13812345678\\n", "text": "x"}',
        b'{"reference": "r", "mobile": "13812345678", "text": " "}',
        b'{"reference": "r", "mobile": "13812345678", "text": "' + b"x" * 1001 + b'"}',
        b'{"reference": "other", "mobile": "13812345678", "text": "x"}',
        b'{"reference": ["r"], "mobile": "13812345678", "text": "x"}',
    ],
)
def test_what_is_no_text_is_refused_for_good(provider: Provider, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "r", "Content-Type": "application/json"}
    answer = provider.session.post(f"{provider.url}/messages", data=body, headers=headers, timeout=DEADLINE)
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert provider.kept() == []


@pytest.mark.covers("RLY-06")
def test_the_number_chooses_what_happens(provider: Provider) -> None:
    reference = str(uuid4())
    assert provider.send("13800000404").status_code == 404
    assert [provider.send("13800000500", reference=reference).status_code for _ in range(4)] == [500] * 4
    reference = str(uuid4())
    assert [provider.send("13800000503", reference=reference).status_code for _ in range(4)] == [503, 503, 201, 200]
    assert provider.send("13800000503").status_code == 503, "each text has its own tries"
    assert [message["mobile"] for message in provider.kept()] == ["13800000503"]


def test_silence_keeps_nobody_else_waiting(provider: Provider) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            requests.post,
            f"{provider.url}/messages",
            json={"reference": "r", "mobile": "13800000408", "text": "x"},
            headers={"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "r"},
            timeout=1,
        )
        assert provider.send().status_code == 201
        with pytest.raises(requests.Timeout):
            waiting.result()
    assert [message["mobile"] for message in provider.kept()] == [MOBILE]
    assert provider.stop() == 0, "and nobody who stops it"


def test_a_text_that_is_never_answered_is_not_taken_either(provider: Provider) -> None:
    provider.stop()
    provider.start(hold=0.1)
    assert provider.send("13800000408").status_code == 504
    assert provider.kept() == []


@pytest.mark.covers("RLY-06")
def test_texts_outlive_a_kill(provider: Provider) -> None:
    reference = str(uuid4())
    provider.send(reference=reference)
    provider.stop(signal.SIGKILL)
    with provider.journal_path.open("ab") as journal:
        journal.write(b'{"reference": "')  # a line that the kill cut short
    provider.start()
    assert [message["reference"] for message in provider.kept()] == [reference]
    assert provider.send(reference=reference).status_code == 200
    provider.send(text="之后")
    provider.stop()
    provider.start()
    assert [message["text"] for message in provider.kept()] == ["之后", "验证码 123456"]


def test_other_sites_cannot_read_it_under_a_name_of_their_own(provider: Provider) -> None:
    answer = provider.session.get(f"{provider.url}/messages.json", headers={"Host": "evil.example"}, timeout=DEADLINE)
    assert answer.status_code == 400
    assert "default-src 'none'" in provider.session.get(provider.url, timeout=DEADLINE).headers["Content-Security-Policy"]


def test_its_log_holds_neither_code_nor_number(provider: Provider) -> None:
    provider.send()
    provider.send("13800000404")
    assert provider.stop(signal.SIGINT) == 0
    log = provider.log()
    assert "138****5678" in log
    assert not re.search(r"123456\b|13812345678|13800000404|Traceback|WARNING|development server", log)


@pytest.mark.covers("RLY-06")
def test_the_portals_gateway_speaks_its_language(provider: Provider, settings: Any) -> None:
    settings.SMS_GATEWAY_URL, settings.SMS_GATEWAY_TOKEN = f"{provider.url}/messages", TOKEN

    def send(mobile: str, reference: UUID) -> bool | None:
        """Whether it is refused for good; None when it was taken."""
        try:
            SmsHttpGateway().send(reference=reference, recipient=mobile, subject="", body="验证码 123456")
        except GatewayError as refusal:
            return refusal.permanent
        return None

    reference = uuid4()
    assert [send(mobile, uuid4()) for mobile in ("13800000404", "13800000500", MOBILE)] == [True, False, None]
    assert [send("13800000503", reference) for _ in range(4)] == [False, False, None, None]
    settings.SMS_GATEWAY_TOKEN = "wrong"
    assert send(MOBILE, uuid4()) is False


@pytest.mark.covers("RLY-06")
def test_it_imports_nothing_of_the_portal() -> None:
    code = "import sys, json, simulators.sms.web; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)).isdisjoint(
        {"django", "portal", "smartgate", "relay", "accounts", "notifications", "reference", "core"}
    )
