"""Partners as processes at a real broker: the simulator's side of the queues, two of them at once, and the whole way there and back."""

import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay import registry, services
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from tests.rabbitmq import Node
from tests.relay.brokers import QueuePartner, configure, connect, hang_up
from tests.relay.conftest import Application, outbound, queue
from tests.relay.messages import filing, package, read_fields

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("application")]

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], Any], what: str) -> Any:
    """Look again until `condition` holds; what it returned."""
    end, pause = time.monotonic() + 60, threading.Event()
    while not (found := condition()):
        assert time.monotonic() < end, what
        pause.wait(0.05)
    return found


@dataclass
class Office:
    """`python -m simulators.customs --amqp` as the partner `me`."""

    node: Node
    home: Path
    me: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def queues(self) -> QueuePartner:
        """The portal's hands at its queues."""
        return QueuePartner(self.node, self.me, prefix=self.me)

    def start(self, *options: str) -> None:
        command = [sys.executable, "-m", "simulators.customs", "--amqp", self.node.full_url, "--me", self.me, "--poll", "0.02"]
        with (self.home / f"{self.me}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--journal", str(self.home / f"{self.me}.jsonl"), *options], cwd=ROOT, stdout=log, stderr=log
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def journal(self) -> list[dict[str, Any]]:
        path = self.home / f"{self.me}.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def send(self, plate: str = "辽B12345", number: int = 1) -> uuid.UUID:
        """A filing into its queue, as the portal sends it."""
        message_id = uuid.uuid4()
        content = package(filing(number, plate=plate), message_type="SGW101", message_id=message_id, sender="LNSW", receiver=self.me)
        self.queues.publish("out", content, type="SGW101", message_id=str(message_id))
        return message_id


@pytest.fixture
def offices(rabbitmq: Node, settings: Any, tmp_path: Path) -> Iterator[list[Office]]:
    """Two partners with queues of their own, both reached through the broker; not started yet."""
    settings.RELAY_PARTNERS = {}
    settings.RELAY_BROKER_PASSWORDS = {}
    both = [Office(rabbitmq, tmp_path, code) for code in ("customs", "ccpit")]
    for office in both:
        configure(office.me, rabbitmq)
        connect(office.me)
    yield both
    for office in both:
        if office.process is not None and office.process.poll() is None:
            office.process.kill()
            office.process.wait()
    hang_up()
    for office in both:
        office.queues.delete("out", "in", "fail", "parked")


@pytest.fixture
def office(offices: list[Office]) -> Office:
    return offices[0]


@pytest.mark.covers("RLY-06", "RLY-02")
def test_filing_is_journalled_receipted_and_answered(office: Office) -> None:
    office.start()
    message_id = office.send()
    until(lambda: office.queues.depth("in") == 2, "receipt and answer")
    stored, answer = office.queues.messages("in")
    assert [stored.properties["type"], answer.properties["type"]] == ["RCV001", "SGW102"]
    assert read_fields(stored.body, "RefMessageId", "Result") == [str(message_id), "STORED"]
    assert read_fields(answer.body, "in_reply_to") == [str(message_id)]
    assert answer.properties["message_id"] == read_fields(answer.body, "message_id")[0]
    assert answer.properties["delivery_mode"] == 2
    assert [line["message_id"] for line in office.journal()] == [str(message_id)]
    assert office.stop() == 0
    assert "Traceback" not in (office.home / "customs.log").read_text()
    assert office.node.password not in (office.home / "customs.log").read_text()


@pytest.mark.covers("RLY-06")
def test_refused_without_a_word_lies_among_the_refused(office: Office) -> None:
    office.start()
    message_id = office.send("辽BFAL01")
    until(lambda: office.queues.depth("fail") == 1, "the refusal")
    (refused,) = office.queues.messages("fail")
    assert refused.properties["message_id"] == str(message_id)
    assert office.journal() == []


@pytest.mark.covers("RLY-06")
def test_killed_customs_takes_everything_once_and_outlives_its_connection(office: Office) -> None:
    office.start("--resend-after", "1")
    ids = {str(office.send(number=number)) for number in range(1, 41)}
    until(lambda: len(office.journal()) > 3, "the first")
    office.stop(signal.SIGKILL)
    office.start("--resend-after", "1")
    until(lambda: len(office.journal()) == 40, "the rest")
    office.node.control("close_all_connections", "a test")
    ids.add(str(office.send(number=41)))
    until(lambda: len(office.journal()) == 41, "the one after")
    assert {line["message_id"] for line in office.journal()} == ids


@pytest.mark.covers("RLY-01", "RLY-02", "RLY-06")
def test_there_and_back_with_two_partners(offices: list[Office], application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second partner is a row in RELAY_PARTNERS: its messages go to it and come from it, and to nobody else."""
    monkeypatch.setattr(
        registry,
        "_inbound",
        {"SGW102": registry.InboundRoute(application.handle, "customs"), "COO102": registry.InboundRoute(application.handle, "ccpit")},
    )
    for office in offices:
        office.start()
    sent = {office.me: [queue(number, partner=office.me) for number in range(1, 6)] for office in offices}

    def finished() -> bool:
        for office in offices:
            services.dispatch(office.me)
            services.receive(office.me)
        return not OutboundMessage.objects.filter(finished_at__isnull=True).exists() and InboundMessage.objects.count() == 20

    until(finished, "all receipts and answers")
    for office in offices:
        assert {line["message_id"] for line in office.journal()} == {str(message.message_id) for message in sent[office.me]}
        assert {outbound(message).state for message in sent[office.me]} == {OutboundState.DELIVERED}
    assert application.events.count("STORED") == 5
    wrong = InboundMessage.objects.filter(state=InboundState.QUARANTINED)
    assert {(row.partner, row.reason_code) for row in wrong} == {("ccpit", "WRONG_PARTNER")}, "SGW102 is customs' to send"
