"""Two at once at the relay, on real PostgreSQL: which of them is first is brought about, never left to luck.

What concerns every channel stands in `channel_contract.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from core.models import AuditEntry
from relay import lanes, registry, services
from relay.channels import open_channel
from relay.channels.base import Letter, ReceivedFile
from relay.management.operating import ShellOperator
from relay.models import Attempt, InboundMessage, InboundState, Lane, OutboundMessage, OutboundState
from relay.registry import Incoming
from relay.services import NotInQuarantineError, dispatching, handling, operations, storing
from relay.services.operations import ResendOutcome, housekeeping
from tests.races import SECONDS, at_once, begun, meanwhile, refusals
from tests.relay.conftest import Application, Boxes, inbound, make_due, outbound, queue
from tests.relay.messages import receipt, technical
from tests.relay.rows import make_quarantined

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("boxes", "application"),
    pytest.mark.covers("RLY-01"),
]

SOMEBODY = ShellOperator("os:tester")
SEND = "relay.channels.directory.DirectoryChannel.send"
LONG_AFTER = timezone.now() + timedelta(days=5 * 365)


def send() -> int:
    """A worker sends what is due."""
    return services.dispatch("customs")


def hold(partner: str = "customs", message_type: str = "") -> None:
    """An operator pauses."""
    operations.pause(partner=partner, message_type=message_type, reason="海关停机", operator=SOMEBODY)


def let_go(partner: str = "customs", message_type: str = "") -> None:
    """An operator ends the pause."""
    operations.resume(partner=partner, message_type=message_type, operator=SOMEBODY)


def resend(message: OutboundMessage) -> ResendOutcome:
    """An operator has it sent again."""
    return operations.resend(message_id=message.message_id, operator=SOMEBODY).outcome


# -- pausing ------------------------------------------------------------------------------------------


def test_a_batch_whose_claim_was_under_way_when_the_pause_came_goes_and_no_other(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = queue(1), queue(2)
    token = uuid4()
    with transaction.atomic():
        claimed = dispatching.claim("customs", token, 1)
        pausing = begun(hold)
        assert pausing.done(), "an operator waits for no worker"
        assert begun(send).result(SECONDS) == 0
    letters = [Letter(one.message_id, one.message_type, one.content) for one in claimed]
    dispatching.record(claimed, open_channel("customs").send(letters), token)
    assert send() == 0
    assert [outbound(message).state for message in (first, second)] == [OutboundState.SENT, OutboundState.QUEUED]
    assert set(boxes.out_files()) == {first.file_name}


def test_a_pause_counts_from_the_moment_it_is_committed(boxes: Boxes) -> None:
    before = queue(1)
    with transaction.atomic():
        hold()
        assert begun(send).result(SECONDS) == 1, "nobody waits for an operator"
    after = queue(2)
    assert send() == 0
    assert [outbound(message).state for message in (before, after)] == [OutboundState.SENT, OutboundState.QUEUED]


def test_paused_and_resumed_while_a_batch_is_being_sent(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatching.claim, "__defaults__", (2,))
    messages = [queue(number) for number in range(1, 7)]

    def pause_and_resume() -> int:
        hold()
        held = send()
        let_go()
        return held * 100 + send()

    with meanwhile(SEND, pause_and_resume) as sent:
        assert send() == 2
    assert sent == [4], "nothing while it held; then everything but what the first has in its hands"
    assert set(boxes.out_files()) == {message.file_name for message in messages}
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"sent"}
    assert Attempt.objects.count() == 6


def test_resumed_twice_at_once_is_resumed_once() -> None:
    hold()
    assert refusals(at_once(let_go, let_go)) == 1
    assert AuditEntry.unscoped.filter(action="relay.pause.end").count() == 1


# -- a receipt and a message that is due again --------------------------------------------------------


def sent(boxes: Boxes, number: int = 1) -> OutboundMessage:
    """A message that the partner has taken and not receipted."""
    message = queue(number)
    send()
    boxes.take_all()
    return message


def test_what_is_being_receipted_is_not_sent_again(boxes: Boxes) -> None:
    message = sent(boxes)
    make_due(message)
    boxes.put(technical(message.message_id))
    with meanwhile("relay.services.handling._technical_receipt", send) as attempts:
        services.receive("customs")
    assert attempts == [0]
    assert outbound(message).state == OutboundState.DELIVERED
    assert boxes.out_files() == {}


def test_a_receipt_that_comes_while_its_message_is_claimed_again_ends_it(boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    make_due(message)
    boxes.put(technical(message.message_id))
    token = uuid4()
    with transaction.atomic():
        claimed = dispatching.claim("customs", token)
        receiving = begun(lambda: services.receive("customs"))
        assert not receiving.done(), "it waits for the claim"
    assert receiving.result(SECONDS) == 1
    letters = [Letter(one.message_id, one.message_type, one.content, one.is_repeat) for one in claimed]
    dispatching.record(claimed, open_channel("customs").send(letters), token)
    row = outbound(message)
    assert (row.state, row.attempts, row.lease_token) == (OutboundState.DELIVERED, 1, None)
    assert boxes.take_all() == {message.file_name: bytes(message.content)}, "the copy had gone; the partner drops it"
    assert application.delivered == [message.subject]


# -- operators ----------------------------------------------------------------------------------------


def test_a_message_set_aside_and_run_again_by_two_operators_is_run_once(boxes: Boxes, application: Application) -> None:
    row = make_quarantined(receipt())
    results = at_once(*[lambda: services.retry_quarantined(row.pk, actor=None)] * 2, refusal=NotInQuarantineError)
    assert refusals(results) == 1
    assert AuditEntry.unscoped.filter(action="relay.quarantine.retry").count() == 1
    services.receive("customs")
    assert application.events == ["STORED"]


def test_one_runs_it_again_and_one_gives_it_up(boxes: Boxes, application: Application) -> None:
    row = make_quarantined(receipt())
    results = at_once(
        lambda: services.retry_quarantined(row.pk, actor=None),
        lambda: services.discard_quarantined(row.pk, operator=SOMEBODY, reason="x"),
        refusal=NotInQuarantineError,
    )
    # What was given up may be run again afterwards, as any other that was given up.
    assert inbound(pk=row.pk).state == InboundState.RECEIVED
    assert refusals(results) == isinstance(results[1], NotInQuarantineError)
    services.receive("customs")
    assert application.events == ["STORED"]


def test_resent_while_an_operator_settles_it_and_the_other_way_round(boxes: Boxes) -> None:
    message = sent(boxes)
    with transaction.atomic():
        operations.settle(message_id=message.message_id, delivered=False, reason="x", operator=SOMEBODY)
        resending = begun(lambda: resend(message))
        assert not resending.done()
    assert resending.result(SECONDS) == ResendOutcome.FORBIDDEN, "refused by then, and its application has no say"
    other = sent(boxes, 2)
    with transaction.atomic():
        assert resend(other) == ResendOutcome.QUEUED
        settling = begun(lambda: operations.settle(message_id=other.message_id, delivered=True, reason="x", operator=SOMEBODY))
        assert not settling.done()
    settling.result(SECONDS)
    assert outbound(other).state == OutboundState.DELIVERED
    assert send() == 0


# -- housekeeping -------------------------------------------------------------------------------------


@pytest.fixture
def old(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> OutboundMessage:
    """A delivered message of a record that is through."""
    hooks = registry.OutboundHooks(None, None, open_subjects=lambda _subjects: set())
    monkeypatch.setattr(registry, "_outbound", {"SGW101": hooks})
    message = sent(boxes)
    boxes.put(technical(message.message_id))
    services.receive("customs")
    return message


def test_what_is_being_resent_is_not_emptied(boxes: Boxes, old: OutboundMessage) -> None:
    with transaction.atomic():
        assert resend(old) == ResendOutcome.QUEUED
        emptying = begun(lambda: housekeeping.empty_old(now=LONG_AFTER))
        assert emptying.result(SECONDS)[0] == 0, "passed over: it waits for nobody"
    send()
    assert boxes.take_all() == {old.file_name: bytes(old.content)}


def test_what_is_being_emptied_is_not_resent(old: OutboundMessage) -> None:
    with transaction.atomic():
        assert housekeeping.empty_old(now=LONG_AFTER)[0] == 1
        resending = begun(lambda: resend(old))
        assert not resending.done()
    assert resending.result(SECONDS) == ResendOutcome.EMPTIED
    assert send() == 0


# -- a refusal and what goes anew ---------------------------------------------------------------------


@pytest.fixture
def refused_before(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> OutboundMessage:
    """A refused message that may go again; its refusal lies in FailBox still."""
    monkeypatch.setattr(registry, "_outbound", {"SGW101": replace(registry._outbound["SGW101"], on_requeued=lambda ref, at: None)})
    monkeypatch.setattr(dispatching, "TURN_SECONDS", 0.0)
    message = queue()
    send()
    boxes.take_all()
    boxes.put(technical(message.message_id, result="REJECTED", code="SCHEMA"))
    services.receive("customs")
    (boxes.home / "FailBox" / message.file_name).write_bytes(bytes(message.content))
    return message


def take_over() -> None:
    """As if who looks through FailBox had been held up for longer than a lease."""
    Lane.objects.filter(name="returned:customs").update(leased_until=timezone.now() - timedelta(seconds=1))


RETURNED = "relay.channels.directory.DirectoryChannel.returned"


@pytest.mark.parametrize("is_held_up", [False, True])
def test_a_refusal_in_somebodys_hands_does_not_end_what_goes_anew(
    boxes: Boxes, application: Application, refused_before: OutboundMessage, is_held_up: bool
) -> None:
    def begin_anew() -> None:
        assert resend(refused_before) == ResendOutcome.QUEUED
        if is_held_up:
            take_over()
        send()

    with meanwhile(RETURNED, begin_anew, after=True):
        services.collect_returned("customs")
    make_due(refused_before)
    send()
    services.collect_returned("customs")
    assert outbound(refused_before).state == OutboundState.SENT
    assert boxes.names("FailBox/handled") == list(boxes.out_files()) == [refused_before.file_name]
    assert len(application.refused) == 1


def test_a_new_refusal_is_not_put_away_for_the_old_one(
    boxes: Boxes, application: Application, refused_before: OutboundMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the same name; who found the old one was held up, and puts away nothing."""

    def begin_anew_and_refuse() -> None:
        assert resend(refused_before) == ResendOutcome.QUEUED
        take_over()
        send()
        (boxes.home / "OutBox" / refused_before.file_name).rename(boxes.home / "FailBox" / refused_before.file_name)

    renew, calls = lanes.renew, count(1)

    def renew_too_late(*words: Any) -> bool:
        if next(calls) == 2:  # the letter was dealt with, and is to be put away
            begun(begin_anew_and_refuse).result(SECONDS)
        return renew(*words)

    monkeypatch.setattr(lanes, "renew", renew_too_late)
    services.collect_returned("customs")
    services.collect_returned("customs")
    assert outbound(refused_before).state == OutboundState.REFUSED
    assert len(application.refused) == 2


def test_what_goes_anew_waits_for_its_turn_at_fail_box(
    boxes: Boxes, refused_before: OutboundMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    resend(refused_before)
    token = lanes.take("returned:customs")
    assert token is not None
    assert services.collect_returned("customs") == 0, "one looks at a time"
    send()
    assert boxes.out_files() == {}
    make_due(refused_before)
    monkeypatch.setattr(dispatching, "TURN_SECONDS", SECONDS)
    monkeypatch.setattr(dispatching.time, "sleep", lambda _: lanes.release("returned:customs", token))
    send()
    assert list(boxes.out_files()) == [refused_before.file_name]


def test_who_was_held_up_before_the_copy_goes_does_not_send_it(boxes: Boxes, refused_before: OutboundMessage) -> None:
    def collect() -> None:
        take_over()
        assert lanes.take("returned:customs") is not None

    resend(refused_before)
    with meanwhile(RETURNED, collect, after=True):
        send()
    assert boxes.out_files() == {}
    assert outbound(refused_before).is_to_go_again


# -- lanes --------------------------------------------------------------------------------------------


def test_a_lane_has_one_holder_and_who_was_slow_cannot_give_it_away() -> None:
    tokens = [token for token in at_once(*[lambda: lanes.take("lane")] * 4) if token]
    assert len(tokens) == 1
    Lane.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    successors = [token for token in at_once(*[lambda: lanes.take("lane")] * 4) if token]
    assert len(successors) == 1
    assert not lanes.renew("lane", tokens[0])
    lanes.release("lane", tokens[0])
    assert lanes.take("lane") is None
    assert lanes.renew("lane", successors[0])
    lanes.release("lane", successors[0])
    assert lanes.take("lane") is not None


def test_two_that_store_the_same_files_in_another_order_do_not_wait_for_each_other() -> None:
    """One worker was held up until its lane ran out; found by `make chaos`."""
    first, second = (ReceivedFile(f"{number}.xml", 6, b"file %d" % number) for number in (1, 2))
    with transaction.atomic():
        storing.store("customs", [first])
        other = begun(lambda: storing.store("customs", [second, first]))
        assert not other.done()
        assert storing.store("customs", [second]) == {}
    assert set(other.result(SECONDS)) == {"1.xml", "2.xml"}
    assert InboundMessage.objects.count() == 2


# -- order: what stands in the way of the younger ones, and of whom -----------------------------------

LATER = timedelta(hours=1)


@dataclass(frozen=True)
class Elder:
    """An older message of a record, and whether the younger ones of that record wait for it."""

    name: str
    make_it: Callable[[Any], object]
    holds_back: bool


def _now(**values: Any) -> Callable[[Any], object]:
    return lambda message: type(message).objects.filter(pk=message.pk).update(**values)


ELDERS = [
    Elder("cannot be written", _now(due_at=timezone.now() + LATER, attempts=5), True),
    Elder("waits for its receipt", _now(state="sent", sent_at=timezone.now(), due_at=timezone.now() + LATER), True),
    Elder("is being sent", _now(lease_token=uuid4(), leased_until=timezone.now() + LATER), True),
    Elder("is paused", _now(message_type="RCV001"), True),
    Elder("goes again, delivered before", _now(state="sent", delivered_before=True, due_at=timezone.now() + LATER), True),
    Elder("is delivered", _now(state="delivered", finished_at=timezone.now()), False),
    Elder("is refused", _now(state="refused", finished_at=timezone.now()), False),
    Elder("is another partner's", _now(partner="ccpit"), False),
    Elder("went again and got no answer, delivered before", _now(state="sent", delivered_before=True), False),
]


@pytest.mark.parametrize("elder", ELDERS, ids=lambda elder: elder.name.replace(" ", "_"))
def test_one_message_holds_back_its_own_record_at_most(boxes: Boxes, elder: Elder) -> None:
    stuck = queue(1)
    elder.make_it(stuck)
    if elder.name == "is paused":
        hold("", "RCV001")
    younger = [queue(1, version=version) for version in (2, 3)]
    others = [queue(number) for number in (2, 3)]
    send()
    went = set(boxes.take_all()) - {stuck.file_name}
    free = {message.file_name for message in others}
    assert went == (free if elder.holds_back else free | {younger[0].file_name})
    assert send() == 0
    assert outbound(younger[1]).state == OutboundState.QUEUED, "the youngest waits for the one in the middle"


def test_of_what_comes_in_one_poisoned_message_parks_alone(
    boxes: Boxes, application: Application, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on at once; those of its own record when it has been set aside, and not before; run again, it is the first again."""
    settings.RELAY_HANDLER_ATTEMPTS = 2
    monkeypatch.setattr(handling, "RETRY_SECONDS", 600.0)
    poison = True

    def handler(message: Incoming) -> str:
        if poison and message.business.findtext("{*}Event") == "LOCKED":
            raise RuntimeError("a bug")
        return application.handle(message)

    monkeypatch.setattr(registry, "_inbound", {"SGW102": registry.InboundRoute(handler, "customs")})
    first, second = sent(boxes, 1), sent(boxes, 2)
    for event, number, original in (("LOCKED", 1, first), ("CLOSED", 1, first), ("STORED", 2, second), ("DEPARTED", 2, second)):
        boxes.put(receipt(event=event, number=number, in_reply_to=original.message_id))
        services.receive("customs")
    assert _taken(application) == ["STORED", "DEPARTED"]
    stuck = inbound(state=InboundState.READY, attempts=1)
    make_due(stuck)
    services.handle("customs")
    assert inbound(pk=stuck.pk).state == InboundState.QUARANTINED
    services.handle("customs")
    assert _taken(application) == ["STORED", "DEPARTED", "CLOSED"]
    boxes.put(receipt(event="UNLOCKED", number=1, in_reply_to=first.message_id))
    monkeypatch.setattr("relay.services.storing.handle", lambda _partner: 0)
    services.receive("customs")
    services.retry_quarantined(stuck.pk, actor=None)
    services.read("customs")
    poison = False
    services.handle("customs")
    assert _taken(application)[3:] == ["LOCKED", "UNLOCKED"]


def _taken(application: Application) -> list[str]:
    return [event for event in application.events if event != "delivered"]


INBOUND_ELDERS = [
    Elder("waits for another try", _now(due_at=timezone.now() + LATER, attempts=1), True),
    Elder("is being handled", _now(lease_token=uuid4(), leased_until=timezone.now() + LATER), True),
    Elder("is handled", _now(state="handled", finished_at=timezone.now()), False),
    Elder("is set aside", _now(state="quarantined", finished_at=timezone.now()), False),
    Elder("is given up", _now(state="discarded", finished_at=timezone.now()), False),
    Elder("is another partner's", _now(partner="ccpit"), False),
    Elder("has no record", _now(subject="", due_at=timezone.now() + LATER), False),
]


@pytest.mark.parametrize("elder", INBOUND_ELDERS, ids=lambda elder: elder.name.replace(" ", "_"))
def test_one_message_that_came_in_holds_back_its_own_record_at_most(
    boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch, elder: Elder
) -> None:
    monkeypatch.setattr("relay.services.storing.handle", lambda _partner: 0)
    first, second = sent(boxes, 1), sent(boxes, 2)
    for event, number, original in (("STORED", 1, first), ("LOCKED", 1, first), ("CLOSED", 2, second)):
        boxes.put(receipt(event=event, number=number, in_reply_to=original.message_id))
        services.receive("customs")
    stuck, younger, other = InboundMessage.objects.order_by("pk")
    elder.make_it(stuck)
    handling.handle("customs")
    states = {row.pk: row.state for row in InboundMessage.objects.all()}
    assert states[other.pk] == InboundState.HANDLED
    assert states[younger.pk] == (InboundState.READY if elder.holds_back else InboundState.HANDLED)
