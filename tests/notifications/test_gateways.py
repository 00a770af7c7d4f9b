"""The ways out: what they say to the other side, what they make of its answer, and what they keep to themselves."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPServerDisconnected
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from notifications import services
from notifications.gateways import GatewayError, gateway_of
from notifications.gateways.email import EmailGateway
from notifications.gateways.sms_http import SmsHttpGateway
from notifications.models import DeliveryStatus, Way
from tests.notifications.conftest import now_of, queue

MOBILE, BODY = "13812345678", "验证码 947215"


@dataclass
class Provider:
    """The other side: answers with `status`, keeps what came."""

    status: int = 200
    location: str = ""
    came: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    it = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            it.came.append({"path": self.path, "headers": dict(self.headers), "body": json.loads(body)})
            self.send_response(it.status)
            if it.location:
                self.send_header("Location", it.location)
            self.end_headers()
            self.wfile.write(b"x" * 100)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    settings.SMS_GATEWAY_URL, settings.SMS_GATEWAY_TOKEN = f"http://127.0.0.1:{server.server_port}/messages", "the-token"
    yield it
    server.shutdown()
    server.server_close()
    thread.join()


def send_sms() -> GatewayError | None:
    """Send one; what was raised."""
    try:
        SmsHttpGateway().send(reference=uuid4(), recipient=MOBILE, subject="", body=BODY)
    except GatewayError as refusal:
        return refusal
    return None


def test_an_sms_goes_as_the_form_says(provider: Provider) -> None:
    reference = uuid4()
    gateway_of(Way.SMS).send(reference=reference, recipient=MOBILE, subject="", body=BODY)
    (came,) = provider.came
    assert came["body"] == {"reference": str(reference), "mobile": MOBILE, "text": BODY}
    assert came["headers"]["Authorization"] == "Bearer the-token"
    assert came["headers"]["Idempotency-Key"] == str(reference)
    assert came["headers"]["Content-Type"] == "application/json"


def test_the_token_is_ours_whatever_a_netrc_says(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert send_sms() is None
    assert provider.came[0]["headers"]["Authorization"] == "Bearer the-token"


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(200, None), (201, None), (202, None), (204, None)]
    + [(status, True) for status in (400, 404, 410, 422)]
    + [(status, False) for status in (301, 302, 304, 307, 401, 403, 408, 409, 429, 500, 502, 503, 504)],
)
def test_what_an_answer_means(provider: Provider, status: int, permanent: bool | None) -> None:
    provider.status = status
    refusal = send_sms()
    assert (refusal.permanent if refusal else None) is permanent
    if refusal:
        assert str(refusal) == f"HTTP {status}"


def test_redirects_are_not_followed(provider: Provider, settings: Any) -> None:
    provider.status, provider.location = 307, settings.SMS_GATEWAY_URL.replace("/messages", "/elsewhere")
    refusal = send_sms()
    assert refusal
    assert not refusal.permanent
    assert [came["path"] for came in provider.came] == ["/messages"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/messages", "http://", "not an address", ""])
def test_nobody_there(settings: Any, url: str) -> None:
    settings.SMS_GATEWAY_URL = url
    refusal = send_sms()
    assert refusal
    assert not refusal.permanent
    assert MOBILE not in str(refusal)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [201, 404, 503])
def test_no_log_ever_gets_the_text_or_the_number(provider: Provider, status: int, caplog: pytest.LogCaptureFixture) -> None:
    provider.status = status
    with caplog.at_level(logging.DEBUG):
        for name in ("urllib3", "requests", "notifications", "django", "celery"):
            caplog.set_level(logging.DEBUG, logger=name)
        delivery = queue(BODY)
        services.send_due()
    assert now_of(delivery).status != DeliveryStatus.WAITING or status == 503
    assert caplog.records
    everything = caplog.text + "".join(str(record.__dict__) for record in caplog.records if not record.name.startswith("django.db"))
    for secret in ("947215", "验证码", MOBILE, "the-token"):
        assert secret not in everything


def test_an_email_goes_through_djangos_backend(settings: Any) -> None:
    reference = uuid4()
    EmailGateway().send(reference=reference, recipient="a@example.com", subject="审核结果", body="您的注册已通过。")
    (message,) = mail.outbox
    assert (message.to, message.subject, message.body) == (["a@example.com"], "审核结果", "您的注册已通过。")
    assert message.from_email == settings.DEFAULT_FROM_EMAIL
    assert message.message()["Message-ID"] == f"<{reference}@portal>"


@pytest.mark.parametrize(
    ("problem", "permanent"),
    [
        (SMTPRecipientsRefused({"a@example.com": (550, b"no such user")}), True),
        (SMTPRecipientsRefused({"a@example.com": (450, b"greylisted")}), False),
        (SMTPDataError(554, b"spam"), True),
        (SMTPDataError(451, b"later"), False),
        (SMTPServerDisconnected("gone"), False),
        (TimeoutError(), False),
    ],
)
def test_what_a_mail_server_says(problem: Exception, permanent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any) -> None:
        raise problem

    monkeypatch.setattr(EmailBackend, "send_messages", fail)
    with pytest.raises(GatewayError) as caught:
        EmailGateway().send(reference=uuid4(), recipient="a@example.com", subject="x", body="x")
    assert caught.value.permanent is permanent
    assert str(caught.value) == type(problem).__name__


def test_a_subject_of_two_lines_is_no_way_to_add_a_header() -> None:
    with pytest.raises(GatewayError) as caught:
        EmailGateway().send(reference=uuid4(), recipient="a@example.com", subject="x\nBcc: b@example.com", body="x")
    assert caught.value.permanent
    assert mail.outbox == []


def test_a_mail_server_that_hangs_is_left(settings: Any) -> None:
    assert 0 < settings.EMAIL_TIMEOUT <= 60
