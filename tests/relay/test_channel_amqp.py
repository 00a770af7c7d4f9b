"""The message broker keeps the contract of channels, with a real RabbitMQ; and what only a broker can do to us."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from amqp import Message
from django.db import connection
from django.views.debug import SafeExceptionReporterFilter

from relay import services
from relay.channels import broker, open_channel
from relay.channels.amqp import AmqpChannel
from relay.channels.base import Letter
from relay.models import Attempt, AttemptOutcome, InboundMessage, InboundState, OutboundState
from tests.rabbitmq import Node
from tests.relay.brokers import QueuePartner, configure, connect, hang_up
from tests.relay.channel_contract import ChannelContract, in_another_worker, of
from tests.relay.conftest import Application, inbound, make_due, outbound, queue
from tests.relay.messages import receipt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("application")]


def joined(node: Node, code: str, **options: str) -> QueuePartner:
    """A partner with queues of its own, and the portal configured for it."""
    it = QueuePartner(node, code)
    configure(code, node, **(it.names() | options))
    return it


@pytest.fixture
def partner(rabbitmq: Node, settings: Any) -> Iterator[QueuePartner]:
    settings.RELAY_PARTNERS = {}
    settings.RELAY_BROKER_PASSWORDS = {}
    it = joined(rabbitmq, "customs")
    connect("customs")
    yield it
    hang_up()
    it.delete("out", "in", "fail", "parked")


@pytest.fixture
def second(partner: QueuePartner) -> Iterator[QueuePartner]:
    it = joined(partner.node, "ccpit")
    connect("ccpit")
    yield it
    hang_up()
    it.delete("out", "in", "fail", "parked")


def letter(content: bytes = b"<a/>") -> Letter:
    return Letter(uuid.uuid4(), "SGW101", content)


def errors() -> set[str]:
    """What the attempts say went wrong."""
    return set(Attempt.objects.filter(outcome=AttemptOutcome.ERROR).values_list("error", flat=True))


class TestAmqpChannel(ChannelContract):
    """Queues of a broker."""


# -- out ------------------------------------------------------------------------------------------


@pytest.mark.covers("RLY-02")
def test_letter_says_what_it_is_and_outlives_the_broker(partner: QueuePartner) -> None:
    message = queue()
    services.dispatch("customs")
    (taken,) = partner.messages("out")
    said = taken.properties
    assert (said["type"], said["message_id"], said["content_type"]) == ("SGW101", str(message.message_id), "application/xml")
    assert (said["delivery_mode"], said["app_id"]) == (2, "LNSW")


@pytest.mark.covers("RLY-01", "RLY-02")
def test_full_queue_is_an_error_for_those_that_did_not_fit(partner: QueuePartner) -> None:
    hang_up()
    partner.delete("out")
    with partner.node.connected() as channel:
        arguments = {"x-max-length": 3, "x-overflow": "reject-publish"}
        channel.queue_declare(partner.queue("out"), durable=True, auto_delete=False, arguments=arguments)
    configure("customs", partner.node, **partner.names(), declare="no")
    results = open_channel("customs").send(letters := [letter() for _ in range(6)])
    taken = {message.message_id for message in partner.messages("out")}
    assert {str(one.message_id) for one, result in zip(letters, results, strict=True) if result.outcome == AttemptOutcome.SENT} == taken
    assert {result.error for result in results if result.outcome == AttemptOutcome.ERROR} == {"the broker refused it: the queue is full"}
    assert 3 <= len(taken) < 6


@pytest.mark.covers("RLY-01")
def test_queue_that_was_deleted_is_an_error_and_is_made_again(partner: QueuePartner) -> None:
    messages = [queue(number) for number in (1, 2, 3)]
    partner.delete("out", "in")
    services.dispatch("customs")
    assert len(errors()) == 1
    assert f"there is no queue {partner.queue('out')}" in errors().pop()
    assert {outbound(message).state for message in messages} == {OutboundState.QUEUED}
    hang_up()
    for message in messages:
        make_due(message)
    services.dispatch("customs")
    assert sorted(partner.take()) == sorted(of(messages))


@pytest.mark.covers("RLY-01")
def test_where_queues_are_not_ours_to_make_a_missing_one_is_an_error(partner: QueuePartner, application: Application) -> None:
    hang_up()
    partner.delete("out", "in", "fail")
    configure("customs", partner.node, **partner.names(), declare="no")
    queue()
    services.dispatch("customs")
    assert f"there is no queue {partner.queue('out')}" in errors().pop()
    assert (services.receive("customs"), services.collect_returned("customs")) == (0, 0)
    with partner.node.connected() as channel:
        for name in ("out", "in", "fail"):
            channel.queue_declare(partner.queue(name), durable=True, auto_delete=False)
    partner.put(receipt())
    assert services.receive("customs") == 1
    assert application.events == ["STORED"]


@pytest.mark.covers("RLY-02")
def test_account_that_may_only_read_and_write_is_enough(partner: QueuePartner, application: Application, settings: Any) -> None:
    hang_up()
    node, user = partner.node, f"narrow-{partner.prefix}"
    node.control("add_user", user, "another-password")
    own = f"^{partner.prefix}\\."
    # Reading its own three, writing what goes out and what is parked; the nameless exchange is what every publish goes through.
    node.control("set_permissions", user, "^$", f"{own}(out|parked)$|^amq\\.default$", f"{own}(in|fail|parked)$")
    configure("customs", node, **partner.names(), declare="no", url=node.url.replace("relay@", f"{user}@"))
    settings.RELAY_BROKER_PASSWORDS = {"customs": "another-password"}
    message = queue()
    services.dispatch("customs")
    assert partner.take() == of([message])
    partner.put(receipt())
    partner.put(b"x" * 20_000)
    settings.RELAY_MAX_MESSAGE_BYTES = 10_000
    assert services.receive("customs") == 2
    assert partner.set_aside() == [b"x" * 20_000]
    assert application.events == ["STORED"]
    hang_up()
    node.control("delete_user", user)


@pytest.mark.covers("RLY-01")
def test_letter_too_large_for_us_stays_and_the_others_go(partner: QueuePartner, settings: Any) -> None:
    settings.RELAY_MAX_MESSAGE_BYTES = 100
    results = open_channel("customs").send([letter(), letter(b"x" * 101), letter()])
    assert [result.outcome for result in results] == [AttemptOutcome.SENT, AttemptOutcome.ERROR, AttemptOutcome.SENT]
    assert results[1].error == "it has 101 bytes; at most 100 go out"
    assert partner.take() == [b"<a/>", b"<a/>"]


@pytest.mark.covers("RLY-01")
def test_letter_too_large_for_the_broker_stays_alone(partner: QueuePartner, settings: Any) -> None:
    settings.RELAY_MAX_MESSAGE_BYTES = 10_000_000
    limit = partner.node.control("eval", "application:get_env(rabbit, max_message_size).").strip()
    partner.node.control("eval", "persistent_term:put(max_message_size, 5000), application:set_env(rabbit, max_message_size, 5000).")
    try:
        hang_up()
        results = open_channel("customs").send([letter(), letter(b"x" * 5001), letter(), letter()])
    finally:
        size = limit.strip("{}").split(",")[-1]
        partner.node.control(
            "eval", f"persistent_term:put(max_message_size, {size}), application:set_env(rabbit, max_message_size, {size})."
        )
    assert [result.outcome for result in results] == [
        AttemptOutcome.SENT,
        AttemptOutcome.ERROR,
        AttemptOutcome.SENT,
        AttemptOutcome.SENT,
    ]
    assert "PRECONDITION_FAILED" in results[1].error
    assert set(partner.take()) == {b"<a/>"}


@pytest.mark.covers("RLY-01")
def test_lost_confirm_is_an_unknown_outcome_and_the_same_goes_again(partner: QueuePartner, monkeypatch: pytest.MonkeyPatch) -> None:
    message = queue()

    def lost(*_: Any) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    with monkeypatch.context() as patch:
        patch.setattr(broker.Link, "wait", lost)
        services.dispatch("customs")
    assert outbound(message).state == OutboundState.QUEUED
    make_due(message)
    services.dispatch("customs")
    assert outbound(message).state == OutboundState.SENT
    assert set(partner.take()) == set(of([message]))


@pytest.mark.covers("RLY-01")
def test_broker_low_on_memory_is_an_error_until_it_is_well_again(partner: QueuePartner, settings: Any) -> None:
    settings.RELAY_BROKER_TIMEOUT_SECONDS = 5.0
    node, message = partner.node, queue()
    node.control("set_vm_memory_high_watermark", "absolute", "1000000")
    try:
        services.dispatch("customs")
        begun = time.monotonic()
        assert services.dispatch("customs") == 0
    finally:
        node.control("set_vm_memory_high_watermark", "0.4")
    assert time.monotonic() - begun < 60
    assert errors() == {"the broker takes nothing now: it is low on memory or disk"}
    assert outbound(message).state == OutboundState.QUEUED
    hang_up()
    make_due(message)
    services.dispatch("customs")
    assert outbound(message).state == OutboundState.SENT
    assert set(partner.take()) == set(of([message]))


def test_receipt_that_the_partner_asks_for_again_joins_what_lies_there(partner: QueuePartner) -> None:
    content = receipt()
    for _ in range(2):
        partner.put(content)
        _until(lambda: services.receive("customs") == 1, "what the partner sent")
        assert services.dispatch("customs") == 1
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {AttemptOutcome.SENT}
    assert len(partner.take()) == 2


# -- the broker goes and comes --------------------------------------------------------------------


@pytest.mark.covers("RLY-01")
def test_killed_broker_keeps_what_it_confirmed_and_is_waited_for(partner: QueuePartner, application: Application) -> None:
    node, before = partner.node, [queue(1), queue(2)]
    services.dispatch("customs")
    partner.put(receipt())
    node.kill()
    during = queue(3)
    services.dispatch("customs")
    assert (services.receive("customs"), services.collect_returned("customs")) == (0, 0)
    assert outbound(during).state == OutboundState.QUEUED
    node.start()
    _until(lambda: _sent(during), "the message that waited for the broker")
    assert sorted(partner.take()) == sorted(of([*before, during]))
    _until(lambda: services.receive("customs") == 1, "what the broker had for us")
    assert application.events == ["STORED"]
    assert all(error.startswith(("no connection to the broker", "the broker", "OSError", "Connection")) for error in errors())


def _sent(message: Any) -> bool:
    make_due(message)
    services.dispatch("customs")
    return bool(outbound(message).state == OutboundState.SENT)


def _until(condition: Any, what: str) -> None:
    end = time.monotonic() + 60
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, what
        pause.wait(0.1)


@pytest.mark.covers("RLY-01")
def test_broker_that_is_silent_is_given_up_in_time_and_found_again(partner: QueuePartner, settings: Any) -> None:
    """Half-open: the connection stands, nobody is there any more."""
    settings.RELAY_BROKER_TIMEOUT_SECONDS = 1.0
    message = queue()
    connect("customs")
    partner.node.pause()
    try:
        begun = time.monotonic()
        services.dispatch("customs")
        services.receive("customs")
        services.collect_returned("customs")
        assert time.monotonic() - begun < 10
    finally:
        partner.node.resume()
    assert "did not answer within 1 s" in " ".join(errors())
    settings.RELAY_BROKER_TIMEOUT_SECONDS = 10.0
    _until(lambda: _sent(message), "the message")
    assert set(partner.take()) == set(of([message]))


def test_broker_that_is_away_costs_its_waiting_time_once(partner: QueuePartner, settings: Any) -> None:
    """A socket that takes connections and never speaks: each attempt costs all of the time there is, so there are few."""
    settings.RELAY_BROKER_TIMEOUT_SECONDS = 0.5
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        configure("customs", partner.node, **partner.names(), url=f"amqp://relay@127.0.0.1:{deaf.getsockname()[1]}")
        channel = open_channel("customs")
        begun = time.monotonic()
        first = channel.send([letter()])
        middle = time.monotonic()
        for _ in range(50):
            assert channel.send([letter()]) == first
            assert list(channel.receive(10)) == []
        assert time.monotonic() - middle < max(0.4, middle - begun)
    assert first[0].error.startswith("no connection to the broker at 127.0.0.1")


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"",
        b"\x01\0\0\0\0\0\x05\0\x0a\0\x0a\xff\xce",
        b"AMQP\0\0\x09\x01",
        b"\xff" * 64,
    ],
    ids=["web", "nothing", "cut short", "other version", "noise"],
)
def test_something_that_is_no_broker_is_an_error(greeting: bytes, partner: QueuePartner, settings: Any) -> None:
    settings.RELAY_BROKER_TIMEOUT_SECONDS = 2.0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client = server.accept()[0]
            with client:
                client.sendall(greeting)

        thread = threading.Thread(target=answer)
        thread.start()
        configure("customs", partner.node, **partner.names(), url=f"amqp://relay@127.0.0.1:{server.getsockname()[1]}")
        (result,) = open_channel("customs").send([letter()])
        thread.join()
    assert result.outcome == AttemptOutcome.ERROR


def test_connection_that_lay_unused_for_long_is_replaced(partner: QueuePartner, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = connect("customs")
    raw = channel._link._raw
    channel.send([letter()])
    assert channel._link._raw is raw
    monkeypatch.setattr(broker, "HEARTBEAT_SECONDS", 0)
    channel.send([letter()])
    assert channel._link._raw is not raw
    assert len(partner.take()) == 2


def test_connection_is_not_shared_with_a_fork(partner: QueuePartner) -> None:
    channel = connect("customs")

    def job() -> None:
        ours = open_channel("customs")
        sent = ours._link is not channel._link and ours.send([letter()])[0].outcome == AttemptOutcome.SENT
        os._exit(0 if sent else 2)

    assert in_another_worker(job) == 0
    assert channel.send([letter()])[0].outcome == AttemptOutcome.SENT
    assert len(partner.take()) == 2


# -- in -------------------------------------------------------------------------------------------


@pytest.mark.covers("RLY-03")
@pytest.mark.parametrize(
    "properties",
    [
        {"content_encoding": "utf-16"},
        {"content_encoding": "gzip", "content_type": "text/plain"},
        {},
        {"type": "../../etc", "message_id": "passwd\0\n"},
        {"type": "t" * 80, "message_id": "m" * 250},
        {"application_headers": {"CC": ["somewhere"], "x-death": "long ago"}},
    ],
    ids=["text", "compressed", "nothing", "path", "long", "headers"],
)
def test_what_the_sender_writes_beside_the_bytes_changes_none_of_them(
    properties: dict[str, Any], partner: QueuePartner, application: Application
) -> None:
    content = receipt(note="ü")
    partner.publish("in", content, **properties)
    partner.publish("fail", content, **properties)
    _both_are_taken(partner, content, application)


class _Strange(Message):
    """With properties as given, byte for byte."""

    def _serialize_properties(self) -> bytes:
        return bytes(self.properties["raw"])


@pytest.mark.covers("RLY-03")
@pytest.mark.parametrize(
    "raw",
    [
        ((1 << 12) | (1 << 7) | (1 << 5)).to_bytes(2, "big") + b"\x02" + b"\x03\xff\xfe\xc3" + b"\x02\xc3\x28",
        ((1 << 13) | (1 << 12)).to_bytes(2, "big") + b"\0\0\0\x0b\x01aT" + b"\xff" * 8 + b"\x02",
    ],
    ids=["no UTF-8", "a time beyond the calendar"],
)
def test_what_no_reader_of_properties_can_read_stops_nobody(raw: bytes, partner: QueuePartner, application: Application) -> None:
    """py-amqp's own reader raises here, and the broker would give out the same message again and again before all others."""
    content = receipt(note="ü")
    for name in ("in", "fail"):
        with partner.node.connected() as channel:
            channel.basic_publish(_Strange(content, raw=raw), routing_key=partner.queue(name), mandatory=True)
    _both_are_taken(partner, content, application)


def _both_are_taken(partner: QueuePartner, content: bytes, application: Application) -> None:
    partner.put(receipt(event="LOCKED"))
    assert services.receive("customs") == 2
    assert {bytes(row.content) for row in InboundMessage.objects.all()} >= {content}
    assert application.events == ["STORED", "LOCKED"]
    services.collect_returned("customs")
    assert partner.lying() == 0
    assert (partner.depth("fail"), partner.set_aside()) == (0, [content])


@pytest.mark.covers("RLY-03")
@pytest.mark.parametrize("stuck", [3, 7])
def test_a_batch_of_messages_that_cannot_be_parked_holds_up_nobody(
    partner: QueuePartner, application: Application, settings: Any, monkeypatch: pytest.MonkeyPatch, stuck: int
) -> None:
    monkeypatch.setattr("relay.services.storing.BATCH", 3)
    monkeypatch.setattr("relay.channels.amqp.DELIVERY_SECONDS", 1.0)
    monkeypatch.setattr(AmqpChannel, "_park", lambda *_: "the queue is full")
    settings.RELAY_MAX_MESSAGE_BYTES = 6000
    for number in range(stuck):
        partner.put(b"%d" % number + b"x" * 6000)
    for number in range(1, 6):
        partner.put(receipt(number=number))
    services.receive("customs")
    assert application.events == ["STORED"] * 5
    assert partner.lying() == stuck


@pytest.mark.covers("RLY-03")
def test_no_more_is_taken_into_memory_than_a_step_holds(partner: QueuePartner, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(8):
        partner.put(b"x" * 1000)
    monkeypatch.setattr("relay.conf.BATCH_BYTES", 2500)
    channel = open_channel("customs")
    assert [len(batch) for batch in channel.receive(100)] == [3, 3, 2]


@pytest.mark.covers("RLY-03")
def test_what_nobody_stored_is_given_to_the_next_worker_in_its_order(partner: QueuePartner) -> None:
    names = [partner.put(receipt(number=number)) for number in range(1, 6)]
    channel = open_channel("customs")
    batches = channel.receive(3)
    assert [file.name for file in next(batches)] == names[:3]
    batches.close()
    assert [file.name for batch in open_channel("customs").receive(100) for file in batch] == names


@pytest.mark.covers("RLY-03")
def test_parking_place_that_is_full_leaves_the_message_and_lets_the_others_by(
    partner: QueuePartner, application: Application, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang_up()
    partner.delete("parked")
    monkeypatch.setattr(broker, "PARKED_BYTES", 7000)
    settings.RELAY_MAX_MESSAGE_BYTES = 4000
    connect("customs")
    for letter_ in "ab":
        partner.put(letter_.encode() * 6000)
    partner.put(receipt())
    services.receive("customs")
    assert application.events == ["STORED"]
    assert partner.lying() == 1
    assert partner.set_aside() == [b"a" * 6000]
    services.receive("customs")
    assert partner.set_aside() == [b"b" * 6000]
    assert partner.lying() == 0
    assert InboundMessage.objects.filter(state=InboundState.QUARANTINED).count() == 2


@pytest.mark.covers("RLY-01", "RLY-02")
def test_letter_that_its_queue_dropped_is_not_refused_and_goes_again(partner: QueuePartner, application: Application) -> None:
    hang_up()
    partner.delete("out")
    with partner.node.connected() as channel:
        fail = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": partner.queue("fail"), "x-message-ttl": 1}
        channel.queue_declare(partner.queue("out"), durable=True, auto_delete=False, arguments=fail)
    configure("customs", partner.node, **partner.names(), declare="no")
    message = queue()
    services.dispatch("customs")
    _until(lambda: partner.depth("fail") == 1, "the letter to expire")
    assert services.collect_returned("customs") == 0
    hang_up()
    assert partner.depth("fail") == 0
    assert outbound(message).state == OutboundState.SENT
    assert application.refused == []
    make_due(message)
    assert services.dispatch("customs") == 1


@pytest.mark.covers("RLY-02")
def test_one_partner_by_directory_and_the_other_by_broker(partner: QueuePartner, settings: Any, tmp_path: Any) -> None:
    settings.EXCHANGE_ROOT = tmp_path
    settings.RELAY_PARTNERS = {"ccpit": settings.RELAY_PARTNERS["customs"], "customs": {"channel": "directory"}}
    settings.RELAY_BROKER_PASSWORDS = {"ccpit": partner.node.password}
    by_box, by_broker = queue(1), queue(1, partner="ccpit")
    for code in ("customs", "ccpit"):
        services.dispatch(code)
    assert [path.read_bytes() for path in (tmp_path / "customs" / "OutBox").glob("*.xml")] == of([by_box])
    assert partner.take() == of([by_broker])


@pytest.mark.covers("RLY-02")
def test_with_tls_only_the_broker_that_can_prove_its_name_is_spoken_to(partner: QueuePartner) -> None:
    node = partner.node
    trusting = f"{node.tls_url}?ssl_ca_certs={node.authority}"
    outcomes = []
    for url in (trusting, node.tls_url, trusting.replace("127.0.0.1", "localhost"), node.tls_url.replace("amqps", "amqp")):
        configure("customs", node, **partner.names(), url=url)
        outcomes.append(open_channel("customs").send([letter()])[0])
    assert [result.outcome for result in outcomes] == [AttemptOutcome.SENT] + [AttemptOutcome.ERROR] * 3
    assert "CERTIFICATE_VERIFY_FAILED" in outcomes[1].error
    assert "localhost" in outcomes[2].error
    assert len(partner.take()) == 1


# -- secrets --------------------------------------------------------------------------------------


def test_no_password_in_what_is_logged_shown_or_recorded(
    partner: QueuePartner, settings: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    settings.RELAY_BROKER_PASSWORDS = {"customs": "wrong-sesame"}
    queue()
    services.dispatch("customs")
    services.receive("customs")
    (error,) = errors()
    assert "ACCESS_REFUSED" in error
    channel = open_channel("customs")
    assert isinstance(channel, AmqpChannel)
    shown = "".join([error, caplog.text, repr(channel._options), *capfd.readouterr()])
    assert "broker_away" in shown
    hidden = SafeExceptionReporterFilter().get_safe_settings()["RELAY_BROKER_PASSWORDS"]
    assert "wrong-sesame" not in repr(hidden)
    assert "wrong-sesame" not in shown
    connection.close()


def test_not_acknowledged_before_it_is_committed(partner: QueuePartner, monkeypatch: pytest.MonkeyPatch) -> None:
    partner.put(receipt())
    seen: list[tuple[int, bool]] = []
    forget = AmqpChannel.forget

    def look(channel: AmqpChannel, files: Any) -> set[str]:
        seen.append((InboundMessage.objects.count(), connection.in_atomic_block))
        return forget(channel, files)

    monkeypatch.setattr(AmqpChannel, "forget", look)
    services.receive("customs")
    assert seen == [(1, False)]
    assert inbound().state == InboundState.HANDLED
