"""What every channel must do, in tests: `class TestSomeChannel(ChannelContract)` with a fixture `partner` runs them against one.

Everything goes through the relay's services, as the workers do it: what is promised is that nothing is lost and nothing doubled.
"""

import os
import signal
import threading
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import pytest
from django.db import connection
from django.utils import timezone

from relay import registry, services
from relay.channels import open_channel
from relay.channels.base import Letter, SendResult
from relay.management.operating import ShellOperator
from relay.models import CONTRADICTS_REFUSAL, Attempt, AttemptOutcome, InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.services import dispatching, operations, storing
from relay.services.operations import ResendOutcome
from tests.races import at_once, meanwhile
from tests.relay.conftest import Application, inbound, make_due, outbound, queue
from tests.relay.messages import read_fields, receipt, technical


class Partner(Protocol):
    """The other side of a channel, as a test moves it."""

    code: str

    def put(self, content: bytes, message_type: str = "SGW102", message_id: uuid.UUID | None = None) -> str:
        """Send the portal one message, whole; the name it goes by."""

    def take(self) -> list[bytes]:
        """Take everything that lies there for the partner, oldest first, for good."""

    def refuse(self) -> None:
        """Take everything that lies there, and refuse it without a word."""

    def put_among_refused(self, content: bytes) -> None:
        """Something that is none of the portal's letters, where refused ones are."""

    def lying(self) -> int:
        """How many messages lie there for the portal."""

    def set_aside(self) -> list[bytes]:
        """What the portal has put away unread."""

    def failing(self) -> AbstractContextManager[None]:
        """While it lasts nothing can be handed over."""

    def losing(self) -> AbstractContextManager[None]:
        """While it lasts, what was received cannot be taken away."""


def end_of_worker(*_: Any, **__: Any) -> None:
    """In place of a step of the worker: it dies there, as SIGKILL would have it."""
    os.kill(os.getpid(), signal.SIGKILL)


def in_another_worker(job: Any) -> int:
    """Run `job` in a process forked from this one, as Celery's workers are; gives how it ended."""
    connection.close()
    child = os.fork()
    if child == 0:
        try:
            job()
        finally:
            os._exit(1)  # what comes after would be pytest's own end
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def expire_leases() -> None:
    """As if every worker that holds something had died long ago."""
    past = timezone.now() - timedelta(seconds=1)
    OutboundMessage.objects.filter(lease_token__isnull=False).update(leased_until=past)
    InboundMessage.objects.filter(lease_token__isnull=False).update(leased_until=past)
    storing.lanes.Lane.objects.update(leased_until=past)


def _send_of(code: str) -> str:
    """The dotted name of what hands letters over to this partner."""
    kind = type(open_channel(code))
    return f"{kind.__module__}.{kind.__qualname__}.send"


def answers(partner: Partner) -> list[bytes]:
    """The technical receipts that go to the partner now."""
    services.dispatch(partner.code)
    return [content for content in partner.take() if b"TechnicalReceipt" in content]


def of(messages: Sequence[OutboundMessage]) -> list[bytes]:
    """Their bytes."""
    return [bytes(message.content) for message in messages]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("application")
class ChannelContract:
    """One class of tests for each way to a partner."""

    # -- out -------------------------------------------------------------------------------------

    @pytest.mark.covers("RLY-01", "RLY-02")
    def test_letters_arrive_whole_and_once(self, partner: Partner) -> None:
        messages = [queue(number, lines=number * 40) for number in range(1, 6)]
        assert services.dispatch("customs") == 5
        assert sorted(partner.take()) == sorted(of(messages))
        assert services.dispatch("customs") == 0
        assert partner.take() == []
        assert {attempt.outcome for attempt in Attempt.objects.all()} == {AttemptOutcome.SENT}
        assert {outbound(message).state for message in messages} == {OutboundState.SENT}

    @pytest.mark.covers("RLY-01")
    def test_letters_of_one_subject_go_one_after_another(self, partner: Partner) -> None:
        first, second, third = (queue(1, function=function, version=version) for version, function in enumerate(("ADD", "MOD", "DEL"), 1))
        other = queue(2)
        services.dispatch("customs")
        assert sorted(partner.take()) == sorted(of([first, other]))
        for done, following in ((first, second), (second, third)):
            assert services.dispatch("customs") == 0
            partner.put(technical(done.message_id), "RCV001")
            services.receive("customs")
            services.dispatch("customs")
            assert partner.take() == of([following])

    @pytest.mark.covers("RLY-01")
    def test_worker_that_dies_after_handing_over_doubles_nothing(self, partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
        message = queue()
        with monkeypatch.context() as patch:
            patch.setattr(dispatching, "record", end_of_worker)
            assert in_another_worker(lambda: services.dispatch("customs")) == -signal.SIGKILL
        assert outbound(message).state == OutboundState.QUEUED
        first = partner.take()
        expire_leases()
        services.dispatch("customs")
        assert partner.take() == first == of([message]), "the same id and bytes, which the partner drops"

    @pytest.mark.covers("RLY-01")
    def test_without_a_receipt_the_same_bytes_go_again_once_the_copy_is_taken(self, partner: Partner) -> None:
        message = queue()
        services.dispatch("customs")
        make_due(message)
        services.dispatch("customs")
        assert partner.take() == of([message]), "while the copy lies there untaken no other joins it"
        make_due(message)
        services.dispatch("customs")
        assert partner.take() == of([message])
        outcomes = Attempt.objects.order_by("pk").values_list("outcome", flat=True)
        assert list(outcomes) == [AttemptOutcome.SENT, AttemptOutcome.WAITING, AttemptOutcome.SENT]

    @pytest.mark.covers("RLY-01", "RLY-04")
    def test_what_an_operator_sends_again_goes_whatever_lies_there_untaken(self, partner: Partner) -> None:
        """Another message that lies there is no copy of it, and what did not go is not delivered by waiting."""
        message, other = queue(1), queue(2)
        OutboundMessage.objects.filter(pk=other.pk).update(due_at=timezone.now() + timedelta(hours=1))
        services.dispatch("customs")
        assert partner.take() == of([message])
        partner.put(technical(message.message_id), "RCV001")
        self._receive_all(partner, 1)
        make_due(other)
        services.dispatch("customs")
        again = operations.resend(message_id=message.message_id, operator=ShellOperator("os:tester"))
        assert again.outcome == ResendOutcome.QUEUED
        services.dispatch("customs")
        assert sorted(partner.take()) == sorted(of([message, other]))
        outcomes = Attempt.objects.filter(message=message).order_by("pk").values_list("outcome", flat=True)
        assert list(outcomes) == [AttemptOutcome.SENT, AttemptOutcome.SENT]

    @pytest.mark.covers("RLY-01")
    def test_what_cannot_be_handed_over_waits_and_goes_later(self, partner: Partner) -> None:
        messages = [queue(1), queue(2)]
        with partner.failing():
            assert services.dispatch("customs") == 2
        failed = list(Attempt.objects.all())
        assert {attempt.outcome for attempt in failed} == {AttemptOutcome.ERROR}
        assert all(attempt.error for attempt in failed)
        assert {outbound(message).state for message in messages} == {OutboundState.QUEUED}
        for message in messages:
            make_due(message)
        services.dispatch("customs")
        assert sorted(partner.take()) == sorted(of(messages))

    def test_nothing_is_sent_where_nothing_is_to_be_sent(self, partner: Partner) -> None:
        assert open_channel("customs").send([]) == []

    @pytest.mark.covers("RLY-01")
    @pytest.mark.parametrize("workers", [2, 4])
    def test_workers_share_the_work_and_keep_each_record_in_its_order(
        self, partner: Partner, monkeypatch: pytest.MonkeyPatch, workers: int
    ) -> None:
        """Three messages about each of sixty filings, and twenty about nothing in particular."""
        messages = [queue(number, version=version) for version in (1, 2, 3) for number in range(1, 61)]
        messages += [queue(number, subject="") for number in range(61, 81)]
        monkeypatch.setattr(dispatching.claim, "__defaults__", (7,))
        kind = type(open_channel("customs"))
        together, local, sends = threading.Barrier(workers, timeout=60), threading.local(), kind.send

        def send(channel: Any, letters: Sequence[Letter]) -> list[SendResult]:
            if not hasattr(local, "met"):
                local.met = together.wait()  # all of them hold a batch at the same moment
            return sends(channel, letters)

        monkeypatch.setattr(kind, "send", send)
        taken: list[bytes] = []
        for expected in (80, 60, 60):
            assert sum(at_once(*[lambda: services.dispatch("customs")] * workers)) == expected
            went = partner.take()
            taken += went
            for content in went:
                partner.put(technical(uuid.UUID(read_fields(content, "message_id")[0])), "RCV001")
            self._receive_all(partner, expected)
        assert sorted(taken) == sorted(of(messages)), "each once"
        versions: dict[str, list[str]] = {}
        for content in taken:
            versions.setdefault(read_fields(content, "SeqNo")[0], []).extend(read_fields(content, "Version"))
        assert sorted(set(map(tuple, versions.values()))) == [("1",), ("1", "2", "3")]
        assert set(Attempt.objects.values_list("outcome", flat=True)) == {AttemptOutcome.SENT}
        assert Attempt.objects.count() == len(messages)

    @pytest.mark.covers("RLY-01")
    @pytest.mark.parametrize("is_answered", [False, True])
    def test_lease_that_runs_out_during_a_slow_send_doubles_nothing(
        self, partner: Partner, application: Application, is_answered: bool
    ) -> None:
        message = queue()
        copies: list[bytes] = []
        recorded: list[Any] = []

        def take_over() -> int:
            expire_leases()
            count = services.dispatch("customs")
            if is_answered:
                copies.extend(partner.take())
                partner.put(technical(message.message_id), "RCV001")
                self._receive_all(partner, 1)
            recorded.extend(OutboundMessage.objects.values())
            return count

        with meanwhile(_send_of("customs"), take_over) as successor:
            assert services.dispatch("customs") == 1
        assert successor == [1]
        assert list(OutboundMessage.objects.values()) == recorded, "what the slow one has to record changes nothing"
        assert recorded[0]["state"] == (OutboundState.DELIVERED if is_answered else OutboundState.SENT)
        assert Attempt.objects.count() == 2, "and is on record all the same"
        copies += partner.take()
        assert set(copies) == set(of([message])), "the same id, the same bytes"
        if not is_answered:
            partner.put(technical(message.message_id), "RCV001")
            self._receive_all(partner, 1)
        assert application.delivered == [message.subject]
        assert services.dispatch("customs") == 0

    @pytest.mark.covers("RLY-01", "RLY-04")
    @pytest.mark.parametrize("state", [OutboundState.DELIVERED, OutboundState.REFUSED])
    def test_operator_settles_during_a_send_and_the_record_of_it_changes_nothing(self, partner: Partner, state: OutboundState) -> None:
        message = queue()
        operator = ShellOperator("os:tester")

        def settle() -> Any:
            sending = operations.resend(message_id=message.message_id, operator=operator).outcome
            operations.settle(message_id=message.message_id, delivered=state == OutboundState.DELIVERED, reason="x", operator=operator)
            return sending

        with meanwhile(_send_of("customs"), settle) as resent:
            services.dispatch("customs")
        assert resent == [ResendOutcome.SENDING]
        row = outbound(message)
        assert (row.state, row.attempts, row.lease_token) == (state, 0, None)
        services.withdraw_refused("customs")
        assert set(partner.take()) <= set(of([message]))
        make_due(message)
        assert services.dispatch("customs") == 0

    # -- in --------------------------------------------------------------------------------------

    @pytest.mark.covers("RLY-02", "RLY-03")
    def test_stored_byte_for_byte_handled_answered_and_gone(self, partner: Partner, application: Application) -> None:
        message_id = uuid.uuid4()
        content = receipt(message_id=message_id, note="大连港 ü 𠀀").replace(b"\n", b"\r\n")
        name = partner.put(content, message_id=message_id)
        assert services.receive("customs") == 1
        row = inbound()
        assert (bytes(row.content), row.file_name, row.state) == (content, name, InboundState.HANDLED)
        assert name == f"SGW102_{message_id}.xml"
        assert application.events == ["STORED"]
        assert partner.lying() == 0
        assert [read_fields(answer, "RefMessageId", "Result") for answer in answers(partner)] == [[str(message_id), "STORED"]]

    @pytest.mark.covers("RLY-03")
    @pytest.mark.parametrize("content", [b"", b"\0\xff\xfe\r\n" * 50_000, "<a>报</a>".encode("gb18030")], ids=["empty", "bytes", "gb18030"])
    def test_whatever_the_bytes_are_they_are_kept_and_stop_nobody(self, content: bytes, partner: Partner, application: Application) -> None:
        partner.put(content)
        partner.put(receipt(event="LOCKED"))
        services.receive("customs")
        row = inbound(state=InboundState.QUARANTINED)
        assert bytes(row.content) == content
        assert application.events == ["LOCKED"]
        assert partner.lying() == 0

    @pytest.mark.covers("RLY-03")
    def test_oldest_first_and_all_of_them(self, partner: Partner, application: Application) -> None:
        numbers = list(range(1, 251))
        for number in numbers:
            partner.put(receipt(number=number))
        assert services.receive("customs") == 250
        assert [message.business.findtext("{*}SeqNo") for message in application.received] == [f"2026{number:014}" for number in numbers]
        assert partner.lying() == 0

    @pytest.mark.covers("RLY-03")
    def test_worker_killed_between_storing_and_taking_away_doubles_nothing(
        self, partner: Partner, application: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contents = [receipt(number=number) for number in (1, 2, 3)]
        for content in contents:
            partner.put(content)
        with monkeypatch.context() as patch:
            patch.setattr(type(open_channel("customs")), "forget", end_of_worker)
            assert in_another_worker(lambda: services.receive("customs")) == -signal.SIGKILL
        assert InboundMessage.objects.count() == 3
        expire_leases()
        self._receive_all(partner, 3)
        rows = InboundMessage.objects.order_by("pk")
        assert [bytes(row.content) for row in rows] == contents
        assert [row.repeats for row in rows] == [1, 1, 1]
        assert application.events == ["STORED"] * 3
        assert partner.lying() == 0

    @staticmethod
    def _receive_all(partner: Partner, expected: int) -> None:
        """A broker needs a moment to see that a consumer has died."""
        taken = 0
        end = threading.Event()
        for _ in range(200):
            taken += services.receive("customs")
            if taken >= expected:
                return
            end.wait(0.05)
        raise AssertionError(f"{taken} of {expected} came")

    @pytest.mark.covers("RLY-03")
    def test_what_cannot_be_stored_stays_and_comes_again_in_its_order(
        self, partner: Partner, application: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for event in ("STORED", "LOCKED", "CLOSED"):
            partner.put(receipt(event=event))

        def down(*_: Any) -> None:
            raise OSError("the database is away")

        with monkeypatch.context() as patch:
            patch.setattr(storing, "store", down)
            with pytest.raises(OSError, match="the database is away"):
                services.receive("customs")
        assert not InboundMessage.objects.exists()
        self._receive_all(partner, 3)
        assert application.events == ["STORED", "LOCKED", "CLOSED"]

    @pytest.mark.covers("RLY-03")
    def test_what_cannot_be_taken_away_is_looked_at_once_in_a_run(self, partner: Partner, application: Application) -> None:
        message_id = uuid.uuid4()
        partner.put(receipt(message_id=message_id), message_id=message_id)
        with partner.losing():
            assert services.receive("customs") == 1
        assert len(answers(partner)) == 1
        assert inbound().repeats == 0
        self._receive_all(partner, 1)
        assert inbound().repeats == 1
        assert application.events == ["STORED"]
        assert partner.lying() == 0

    @pytest.mark.covers("RLY-03")
    def test_same_message_twice_is_stored_once_and_answered_twice_alike(self, partner: Partner, application: Application) -> None:
        message_id = uuid.uuid4()
        content = receipt(message_id=message_id)
        partner.put(content, message_id=message_id)
        services.receive("customs")
        first = answers(partner)
        partner.put(content, message_id=message_id)
        self._receive_all(partner, 1)
        assert (inbound().repeats, application.events) == (1, ["STORED"])
        assert answers(partner) == first
        assert partner.lying() == 0

    @pytest.mark.covers("RLY-03")
    def test_poisoned_message_is_put_away_alone(self, partner: Partner, application: Application) -> None:
        application.problem = registry.MessageRefused("UNKNOWN_FILING", "no such filing")
        partner.put(receipt(number=1))
        services.receive("customs")
        application.problem = None
        partner.put(b"<half", message_id=(broken := uuid.uuid4()))
        for number in (2, 3):
            partner.put(receipt(number=number))
        self._receive_all(partner, 3)
        quarantined = InboundMessage.objects.filter(state=InboundState.QUARANTINED).order_by("pk")
        assert [(row.reason_code, row.file_name[7:43]) for row in quarantined][1] == ("NOT_XML", str(broken))
        assert [row.reason_code for row in quarantined] == ["UNKNOWN_FILING", "NOT_XML"]
        assert application.events == ["STORED", "STORED"]
        assert partner.lying() == 0

    @pytest.mark.covers("RLY-02", "RLY-03")
    def test_too_large_a_message_is_set_aside_whole_and_answered(self, partner: Partner, application: Application, settings: Any) -> None:
        settings.RELAY_MAX_MESSAGE_BYTES = 6000
        message_id = uuid.uuid4()
        partner.put(receipt(number=1))
        name = partner.put(large := b"x" * 6001, message_id=message_id)
        partner.put(receipt(number=2))
        self._receive_all(partner, 3)
        row = inbound(state=InboundState.QUARANTINED)
        assert (row.reason_code, row.size, row.file_name, bytes(row.content)) == ("TOO_LARGE", 6001, name, b"")
        assert partner.set_aside() == [large]
        assert application.events == ["STORED", "STORED"]
        assert partner.lying() == 0
        rejected = [answer for answer in answers(partner) if read_fields(answer, "Result") == ["REJECTED"]]
        assert [read_fields(answer, "RefMessageId", "Code") for answer in rejected] == [[str(message_id), "TOO_LARGE"]]
        partner.put(large, message_id=message_id)
        self._receive_all(partner, 1)
        assert inbound(state=InboundState.QUARANTINED).repeats == 1
        assert answers(partner) == rejected

    @pytest.mark.covers("RLY-01", "RLY-03")
    def test_lane_that_runs_out_while_files_are_stored_doubles_nothing(self, partner: Partner, application: Application) -> None:
        contents = [receipt(number=number) for number in (1, 2, 3)]
        for content in contents:
            partner.put(content)

        def take_over() -> int:
            expire_leases()
            return services.receive("customs")

        with meanwhile("relay.services.storing.store", take_over) as successor:
            assert services.receive("customs") == 3
        assert successor[0] in (0, 3), "a queue has given them to the slow one"
        assert [bytes(row.content) for row in InboundMessage.objects.order_by("pk")] == contents
        assert application.events == ["STORED"] * 3
        assert {row.state for row in InboundMessage.objects.all()} == {InboundState.HANDLED}
        self._receive_all(partner, 0)
        assert partner.lying() == 0
        assert len(set(answers(partner))) == 3

    @pytest.mark.covers("RLY-03")
    def test_one_worker_receives_at_a_time(self, partner: Partner, application: Application) -> None:
        for number in range(1, 31):
            partner.put(receipt(number=number))
        at_once(*[lambda: services.receive("customs")] * 2)
        self._receive_all(partner, 0)
        assert InboundMessage.objects.filter(state=InboundState.HANDLED, repeats=0).count() == 30
        assert partner.lying() == 0

    # -- refused ---------------------------------------------------------------------------------

    @pytest.mark.covers("RLY-02")
    def test_letter_that_the_partner_refuses_ends_its_message(self, partner: Partner, application: Application) -> None:
        message = queue()
        services.dispatch("customs")
        partner.refuse()
        partner.put_among_refused(b"none of ours")
        assert self._collected(1) == 1
        assert (outbound(message).state, outbound(message).reason_code) == (OutboundState.REFUSED, "FAIL_BOX")
        assert [subject for subject, _, _ in application.refused] == ["smartgate.filing:1"]
        assert services.collect_returned("customs") == 0
        assert services.dispatch("customs") == 0

    @staticmethod
    def _collected(expected: int) -> int:
        moment = threading.Event()
        collected = 0
        for _ in range(100):
            collected += services.collect_returned("customs")
            if collected >= expected:
                break
            moment.wait(0.05)
        return collected

    def test_refusal_waits_for_an_application_that_fails(
        self, partner: Partner, application: Application, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        messages = [queue(1), queue(2)]
        services.dispatch("customs")
        partner.refuse()
        plain = dispatching.reference

        def fails_for_the_first(message: OutboundMessage) -> registry.OutboundRef:
            if message.pk == messages[0].pk:
                raise RuntimeError("not now")
            return plain(message)

        with monkeypatch.context() as patch:
            patch.setattr(dispatching, "reference", fails_for_the_first)
            assert self._collected(1) == 1
        assert [outbound(message).state for message in messages] == [OutboundState.SENT, OutboundState.REFUSED]
        assert self._collected(1) == 1
        assert outbound(messages[0]).state == OutboundState.REFUSED
        assert len(application.refused) == 2

    @pytest.mark.covers("RLY-01")
    @pytest.mark.parametrize("holds_it", [True, False])
    def test_copy_of_a_refused_message_that_the_partner_stores_is_held_until_somebody_has_asked(
        self, partner: Partner, application: Application, monkeypatch: pytest.MonkeyPatch, holds_it: bool
    ) -> None:
        """A copy that goes again while the refusal is on its way; where the channel gives it back, the partner was quicker."""
        heard: list[bool] = []
        hooks = replace(registry._outbound["SGW101"], on_settled=lambda _ref, _at, delivered, _reason: heard.append(delivered))
        monkeypatch.setattr(registry, "_outbound", {"SGW101": hooks})
        message = queue()
        services.dispatch("customs")
        partner.take()
        make_due(message)
        services.dispatch("customs")
        partner.put(technical(message.message_id, result="REJECTED", code="SCHEMA"), "RCV001")
        self._receive_all(partner, 1)
        assert outbound(message).state == OutboundState.REFUSED
        partner.put(technical(message.message_id), "RCV001")
        self._receive_all(partner, 1)
        assert outbound(message).state == OutboundState.REFUSED, "who was told so is not contradicted behind his back"
        held = inbound(state=InboundState.QUARANTINED)
        assert (held.reason_code, held.original_id) == (CONTRADICTS_REFUSAL, message.pk)
        operations.settle(message_id=message.message_id, delivered=holds_it, reason="电话答复", operator=ShellOperator("os:tester"))
        assert outbound(message).state == (OutboundState.DELIVERED if holds_it else OutboundState.REFUSED)
        assert heard == [holds_it]
        assert (inbound(pk=held.pk).state, inbound(pk=held.pk).outcome) == (InboundState.DISCARDED, "电话答复")

    # -- two partners ----------------------------------------------------------------------------

    @pytest.mark.covers("RLY-02")
    def test_second_partner_is_a_row_of_configuration(self, partner: Partner, second: Partner, application: Application) -> None:
        ours = queue(1)
        theirs = queue(1, partner="ccpit")
        for code in ("customs", "ccpit"):
            assert services.dispatch(code) == 1, "the same subject for another partner waits for nobody"
        assert (partner.take(), second.take()) == (of([ours]), of([theirs]))
        assert read_fields(bytes(theirs.content), "receiver_id") == ["ccpit"]
        second.put(technical(theirs.message_id).replace(b">customs<", b">ccpit<"), "RCV001")
        second.put(technical(ours.message_id).replace(b">customs<", b">ccpit<"), "RCV001")
        second.put(package_of_ccpit())
        assert services.receive("customs") == 0
        assert services.receive("ccpit") == 3
        assert outbound(theirs).state == OutboundState.DELIVERED
        assert outbound(ours).state == OutboundState.SENT, "one partner cannot speak for another"
        assert inbound(state=InboundState.QUARANTINED).reason_code == "WRONG_PARTNER"
        assert application.events == ["delivered"]
        assert partner.lying() == second.lying() == 0


def package_of_ccpit() -> bytes:
    """A receipt of customs' kind that the CCPIT sends."""
    return receipt().replace(b">customs<", b">ccpit<")
