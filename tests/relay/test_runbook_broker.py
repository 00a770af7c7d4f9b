"""docs/operations/relay.md, tried: what goes wrong with a message broker, at a real RabbitMQ."""

import json
import shlex
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from relay import registry, services
from relay.channels import broker
from relay.channels.amqp import AmqpChannel
from relay.models import OutboundMessage, OutboundState
from tests.rabbitmq import Node
from tests.relay.brokers import NOBODY, QueuePartner, configure, connect, hang_up
from tests.relay.commands import typed
from tests.relay.conftest import Application, inbound, make_due, outbound, queue
from tests.relay.messages import receipt
from tests.relay.runbook import attempts, row, traffic, tries
from tests.simulators.test_customs import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("application"), pytest.mark.covers("RLY-04")]


@pytest.fixture
def partner(rabbitmq: Node, settings: Any) -> Iterator[QueuePartner]:
    settings.RELAY_PARTNERS = {}
    settings.RELAY_BROKER_PASSWORDS = {}
    it = QueuePartner(rabbitmq, "customs")
    configure("customs", rabbitmq, **it.names())
    connect("customs")
    yield it
    hang_up()
    it.delete("out", "in", "fail", "parked")


def told_of(key: str) -> str:
    """What relay_status says below its table, which must be what the row says is seen."""
    told = typed("relay_status").out.split("failing: customs SGW101: ")[1].splitlines()[0]
    row(key).shows(told)
    return told


def goes(message: OutboundMessage) -> bool:
    """Its next try."""
    make_due(message)
    services.dispatch("customs")
    return outbound(message).state == OutboundState.SENT


def made_with(partner: QueuePartner, name: str, **arguments: Any) -> None:
    """A queue of the broker's own making, with limits; ours is not to declare."""
    hang_up()
    partner.delete(name)
    options = {argument.replace("_", "-"): value for argument, value in arguments.items()}
    with partner.node.connected() as channel:
        channel.queue_declare(partner.queue(name), durable=True, auto_delete=False, arguments=options)
    configure("customs", partner.node, **partner.names(), declare="no")


def cut() -> None:
    """The network goes: this thread's connection to the broker is cut in the middle."""
    raw = broker._mine.links["customs"]._raw
    raw.sock.shutdown(socket.SHUT_RDWR)


# -- Sending fails --------------------------------------------------------------------------------


@tries("broker-away")
@pytest.mark.parametrize("why", ["nobody is there", "ACCESS_REFUSED", "PRECONDITION_FAILED"])
def test_no_connection(partner: QueuePartner, settings: Any, why: str) -> None:
    hang_up()
    if why == "ACCESS_REFUSED":
        settings.RELAY_BROKER_PASSWORDS = {"customs": "not the password"}
    elif why == "PRECONDITION_FAILED":
        made_with(partner, "out", x_max_length=3)
        configure("customs", partner.node, **partner.names())
    else:
        configure("customs", partner.node, **partner.names(), url=f"amqp://relay@127.0.0.1:{NOBODY}")
    message = queue()
    with capture_logs() as log:
        services.dispatch("customs")
    row("broker-away").logged(log, "broker_away")
    told = told_of("broker-away")
    if why in row("broker-away").codes(1):
        assert why in told
    if why == "PRECONDITION_FAILED":
        assert partner.queue("out") in told, "it names the queue"
        partner.delete("out")
    configure("customs", partner.node, **partner.names())
    hang_up()
    assert goes(message)
    assert traffic()["failing"] == 0


@tries("broker-away")
def test_who_could_not_connect_tries_again_by_himself(partner: QueuePartner) -> None:
    shortest, longest = broker.QUIET_SECONDS
    assert f"{shortest:g} to {longest:g} s" in row("broker-away").cells[2]


@tries("broker-full")
def test_the_broker_has_raised_an_alarm(partner: QueuePartner, settings: Any) -> None:
    settings.RELAY_BROKER_TIMEOUT_SECONDS = 5.0
    message = queue()
    (status,) = [code for code in row("broker-full").codes(2) if code.startswith("rabbitmqctl ")]
    partner.node.control("set_vm_memory_high_watermark", "absolute", "1000000")
    try:
        services.dispatch("customs")
        told_of("broker-full")
        shown = partner.node.control(*shlex.split(status)[1:], "--formatter", "json")
        assert json.loads(shown)["alarms"]
    finally:
        partner.node.control("set_vm_memory_high_watermark", "0.4")
    hang_up()
    assert goes(message)


@tries("queue-full")
def test_the_queue_is_full(partner: QueuePartner) -> None:
    made_with(partner, "out", x_max_length=1, x_overflow="reject-publish")
    first = queue(1)
    services.dispatch("customs")
    second = queue(2)
    services.dispatch("customs")
    told_of("queue-full")
    assert partner.take() == [bytes(first.content)]
    assert goes(second)


@tries("queue-missing")
@pytest.mark.parametrize("declare", ["yes", "no"])
def test_the_queue_is_missing(partner: QueuePartner, declare: str) -> None:
    """No worker is started anew for it."""
    configure("customs", partner.node, **partner.names(), declare=declare)
    connect("customs")
    partner.delete("out")
    message = queue()
    services.dispatch("customs")
    told_of("queue-missing")
    if declare == "no":
        assert not goes(message)
        with partner.node.connected() as channel:
            channel.queue_declare(partner.queue("out"), durable=True, auto_delete=False)
    assert goes(message)
    assert set(partner.take()) == {bytes(message.content)}


@tries("broker-silent")
def test_the_broker_says_nothing_any_more(partner: QueuePartner, settings: Any) -> None:
    settings.RELAY_BROKER_TIMEOUT_SECONDS = 1.0
    connect("customs")
    message = queue()
    partner.node.pause()
    try:
        with capture_logs() as log:
            services.dispatch("customs")
    finally:
        partner.node.resume()
    row("broker-silent").logged(log, "broker_lost")
    told_of("broker-silent")
    settings.RELAY_BROKER_TIMEOUT_SECONDS = 10.0
    until(lambda: goes(message), "the same message again")
    assert set(partner.take()) == {bytes(message.content)}


@tries("message-too-large")
def test_one_message_is_too_large_for_us(partner: QueuePartner, settings: Any) -> None:
    small, large = queue(1), queue(2, lines=50)
    settings.RELAY_MAX_MESSAGE_BYTES = len(large.content) - 1
    services.dispatch("customs")
    told_of("message-too-large")
    assert outbound(small).state == OutboundState.SENT, "the others went"
    settings.RELAY_MAX_MESSAGE_BYTES = len(large.content)
    assert goes(large)


@tries("message-too-large")
def test_one_message_is_too_large_for_the_broker(partner: QueuePartner) -> None:
    small, large = queue(1), queue(2, lines=50)

    def limit(size: int) -> None:
        partner.node.control(
            "eval", f"persistent_term:put(max_message_size, {size}), application:set_env(rabbit, max_message_size, {size})."
        )

    limit(len(large.content) - 1)
    try:
        hang_up()
        services.dispatch("customs")
        told = told_of("message-too-large")
    finally:
        limit(134217728)
    assert "PRECONDITION_FAILED" in told
    assert "message size" in told
    row("message-too-large").says("PRECONDITION_FAILED", "message size")
    assert outbound(small).state == OutboundState.SENT, "the others went"
    hang_up()
    assert goes(large)


# -- The partner does not answer, and refuses -------------------------------------------------------


@tries("not-consumed")
def test_the_partners_program_does_not_run(partner: QueuePartner) -> None:
    message = queue()
    services.dispatch("customs")
    assert goes(message)
    row("not-consumed").says("waiting")
    assert attempts(message) == [("sent", ""), ("waiting", "")]
    (command,) = [code for code in row("not-consumed").seen if code.startswith("rabbitmqctl ")]
    listed = [line.split() for line in partner.node.control(*shlex.split(command)[1:]).splitlines()]
    assert [partner.queue("out"), "1", "0"] in listed
    assert partner.take() == [bytes(message.content)]


@tries("queue-dropped-it")
def test_a_limit_of_the_queue_threw_a_message_away(partner: QueuePartner) -> None:
    to_fail = {"x_dead_letter_exchange": "", "x_dead_letter_routing_key": partner.queue("fail")}
    made_with(partner, "out", x_max_length=1, **to_fail)
    first, second = queue(1), queue(2)
    services.dispatch("customs")
    with capture_logs() as log:
        until(lambda: services.collect_returned("customs") or (partner.depth("fail") == 0 and log), "what was thrown away")
    row("queue-dropped-it").logged(log, "returned_message_not_a_refusal")
    (reason,) = {entry["reason"] for entry in log if entry["event"] == "returned_message_not_a_refusal"}
    assert reason == "maxlen"
    row("queue-dropped-it").says("reason", reason)
    assert {outbound(message).state for message in (first, second)} == {OutboundState.SENT}
    made_with(partner, "out")
    assert goes(first)
    assert bytes(first.content) in partner.take()


@tries("not-a-letter")
def test_what_names_no_message_of_ours_is_parked(partner: QueuePartner) -> None:
    partner.put_among_refused(b"none of ours")
    with capture_logs() as log:
        until(lambda: services.collect_returned("customs") == 0 and log, "what lies among the refused")
    row("not-a-letter").logged(log, "returned_message_not_a_refusal")
    row("not-a-letter").says("reason", "rejected")
    assert {entry["reason"] for entry in log if entry["event"] == "returned_message_not_a_refusal"} == {"rejected"}
    assert partner.set_aside() == [b"none of ours"]
    assert partner.depth("fail") == 0


@tries("refusal-not-moved")
def test_the_connection_goes_while_a_refusal_is_noted(
    partner: QueuePartner, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = queue()
    services.dispatch("customs")
    partner.refuse()
    until(lambda: partner.depth("fail") == 1, "the refused message")
    with monkeypatch.context() as patch, capture_logs() as log:
        patch.setattr(AmqpChannel, "forget_returned", _cut_before(AmqpChannel.forget_returned))
        services.collect_returned("customs")
    row("refusal-not-moved").logged(log, "returned_letters_not_acknowledged")
    assert outbound(message).state == OutboundState.REFUSED
    until(lambda: services.collect_returned("customs") == 1, "it, once more")
    assert len(application.refused) == 1
    assert partner.depth("fail") == 0


@tries("refusal-not-moved")
def test_a_refusal_that_was_noted_and_came_back_says_nothing_about_the_copy_after_it(
    partner: QueuePartner, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = replace(registry._outbound["SGW101"], on_requeued=lambda ref, at: None)
    monkeypatch.setattr(registry, "_outbound", {"SGW101": hooks})
    message = queue()
    services.dispatch("customs")
    partner.refuse()
    until(lambda: partner.depth("fail") == 1, "the refused message")
    with monkeypatch.context() as patch:
        patch.setattr(AmqpChannel, "forget_returned", _cut_before(AmqpChannel.forget_returned))
        services.collect_returned("customs")
    until(lambda: partner.depth("fail") == 1, "the refused message, put back")
    typed("relay_resend", message.message_id, "--yes")
    assert services.dispatch("customs") == 1
    assert services.collect_returned("customs") == 0
    assert (outbound(message).state, partner.take()) == (OutboundState.SENT, [bytes(message.content)])
    assert len(application.refused) == 1


def _cut_before(step: Any) -> Any:
    def cut_before(*words: Any) -> Any:
        cut()
        return step(*words)

    return cut_before


# -- What came in is not handled --------------------------------------------------------------------


@tries("not-acknowledged")
def test_the_connection_goes_after_the_message_was_stored(
    partner: QueuePartner, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner.put(receipt())
    with monkeypatch.context() as patch, capture_logs() as log:
        patch.setattr(AmqpChannel, "forget", _cut_before(AmqpChannel.forget))
        services.receive("customs")
    row("not-acknowledged").logged(log, "inbox_message_not_acknowledged")
    until(lambda: services.receive("customs") or inbound().repeats, "the message again")
    assert (inbound().repeats, application.events) == (1, ["STORED"])
    assert partner.lying() == 0


@tries("parked-full")
def test_what_is_too_large_cannot_be_parked(partner: QueuePartner, application: Application, settings: Any) -> None:
    made_with(partner, "parked", x_max_length=1, x_overflow="reject-publish")
    partner.publish("parked", b"from before")
    settings.RELAY_MAX_MESSAGE_BYTES = 6000
    partner.put(b"x" * 6001)
    partner.put(receipt())
    with capture_logs() as log:
        services.receive("customs")
    row("parked-full").logged(log, "inbox_message_not_set_aside")
    assert application.events == ["STORED"], "the others pass it by"
    assert partner.lying() == 1
    (purge,) = [code for code in row("parked-full").codes(2) if code.startswith("rabbitmqctl ")]
    partner.node.control(*shlex.split(purge)[1:], partner.queue("parked"))
    until(lambda: services.receive("customs"), "it, once more")
    assert partner.set_aside() == [b"x" * 6001]
    assert partner.lying() == 0
