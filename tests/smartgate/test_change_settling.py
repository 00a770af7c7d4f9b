"""What operators put right between relay and a 变更 or 删单, and what check_consistency finds of them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from core.workflow import ActionRefused
from relay import services as relay_services
from relay.models import OutboundMessage, OutboundState
from smartgate import services
from smartgate.models import Filing, FilingLine, FilingReceipt, FilingStatus, FilingVersion, Function, Outcome
from smartgate.services import settling
from tests.races import at_once
from tests.relay.commands import typed
from tests.relay.runbook import tries
from tests.smartgate.changes import answer, change, held, now, outcome_of
from tests.smartgate.factories import make_filing
from tests.smartgate.test_settling import contradicted as contradicted_filing
from tests.smartgate.test_settling import found, refused, resend, settle, state_of
from tests.smartgate.wire import DECIDED, put_into_inbox, receipt_xml, receive_receipt, receive_technical_receipt, refuse_by_fail_box

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.covers("SGW-08", "RLY-04")]


def unsent(operator: Any, function: Function = Function.MOD, **changed: Any) -> tuple[Filing, FilingVersion]:
    """A filing with a change that customs' exchange refused."""
    filing = held(operator)
    version = change(operator, filing, function, **changed)
    receive_technical_receipt(version.message_id, "REJECTED")
    assert outcome_of(version) == Outcome.NOT_SENT
    return filing, version


def contradicted(
    operator: Any, event: str = "CHANGE_ACCEPTED", function: Function = Function.MOD, at: str = DECIDED, **changed: Any
) -> tuple[Filing, FilingVersion]:
    """The same, answered by customs all the same."""
    filing, version = unsent(operator, function, **changed)
    answer(filing, version, event, at=at)
    assert (outcome_of(version), now(filing).version) == (Outcome.NOT_SENT, 1)
    return filing, version


def test_what_was_refused_can_be_sent_again_as_it_was(operator: Any) -> None:
    filing, version = unsent(operator)
    assert resend(version)["outcome"] == "queued"  # type: ignore[arg-type]
    assert outcome_of(version) == Outcome.WAITING
    relay_services.dispatch("customs")
    receive_technical_receipt(version.message_id)
    answer(filing, version, "CHANGE_ACCEPTED")
    assert (now(filing).version, now(filing).remark) == (2, "改过")
    assert found() == []


def test_what_was_refused_can_be_asked_anew_by_the_user(operator: Any) -> None:
    filing, version = unsent(operator)
    again = change(operator, filing)
    assert again.number == 3
    assert resend(version)["outcome"] == "forbidden"  # type: ignore[arg-type]
    answer(filing, again, "CHANGE_ACCEPTED")
    assert resend(version)["outcome"] == "forbidden"  # type: ignore[arg-type]
    assert state_of(version) == OutboundState.REFUSED  # type: ignore[arg-type]


def test_what_was_refused_is_not_sent_again_for_a_filing_that_is_closed(operator: Any) -> None:
    filing, version = unsent(operator)
    receive_receipt(filing, "CLOSED")
    assert "不能变更" in resend(version)["text"]  # type: ignore[arg-type]


def test_nor_when_its_vehicle_is_taken(operator: Any, other_operator: Any) -> None:
    _filing, version = unsent(operator, bind_key_info="辽B54321")
    held(other_operator, bind_key_info="辽B54321")
    assert "已有一票未办结" in resend(version)["text"]  # type: ignore[arg-type]
    assert settle(version, "--delivered").json["error"]["code"] == "FORBIDDEN"  # type: ignore[arg-type]


@tries("looking-for-what-does-not-fit/smartgate.change_contradiction")
def test_a_contradiction_holds_everything_up_until_customs_was_asked(operator: Any) -> None:
    filing, version = contradicted(operator)
    with pytest.raises(ActionRefused, match="矛盾"):
        change(operator, filing, remark="再改")
    with pytest.raises(ActionRefused, match="矛盾"):
        services.send_void(actor=operator, filing_id=filing.pk)
    assert "relay_settle" in resend(version)["text"]  # type: ignore[arg-type]
    (finding,) = found()
    assert finding[0] == "smartgate.change_contradiction"
    assert f"relay_settle {version.message_id} --delivered" in finding[1]


@pytest.mark.parametrize(
    ("event", "function", "expected"),
    [
        ("CHANGE_ACCEPTED", Function.MOD, (FilingStatus.STORED, 2, "改过")),
        ("CHANGE_ACCEPTED", Function.DEL, (FilingStatus.VOIDED, 2, "散装大豆")),
    ],
)
def test_customs_has_it_after_all(operator: Any, event: str, function: Function, expected: tuple[str, int, str]) -> None:
    filing, version = contradicted(operator, event, function)
    for _twice in range(2):
        assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
        row = now(filing)
        assert (row.status, row.version, row.remark) == expected
    assert FilingReceipt.unscoped.get(event=event).applied
    assert found() == []


def test_customs_has_it_and_the_filing_is_closed_since(operator: Any) -> None:
    filing, version = contradicted(operator)
    receive_receipt(filing, "CLOSED", at="2026-11-21T10:00:00+08:00")
    assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    # Decided two hours before it closed the filing.
    assert (now(filing).status, now(filing).version, outcome_of(version)) == (FilingStatus.CLOSED, 2, Outcome.ACCEPTED)


@pytest.mark.parametrize(("decided", "counts"), [("09:59", True), ("10:30", False)])
def test_customs_decided_before_it_closed_the_filing_or_between_that_and_the_departure(operator: Any, decided: str, counts: bool) -> None:
    filing, version = contradicted(operator, at=f"2026-11-21T{decided}:00+08:00")
    receive_receipt(filing, "CLOSED", at="2026-11-21T10:00:00+08:00")
    receive_receipt(filing, "DEPARTED", at="2026-11-21T11:00:00+08:00")
    assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    row = now(filing)
    assert (row.status, row.version) == (FilingStatus.DEPARTED, 2 if counts else 1)
    assert outcome_of(version) == (Outcome.ACCEPTED if counts else Outcome.OVERTAKEN)
    kept = FilingReceipt.unscoped.get(event="CHANGE_ACCEPTED")
    assert (kept.applied, "变更已失效" in kept.not_applied_reason) == (counts, not counts)
    assert found() == []


def test_customs_closed_the_filing_in_the_words_of_the_change_before_it_accepted_it(operator: Any) -> None:
    """What was only kept takes effect in customs' own order, and by its own clock."""
    filing, version = contradicted(operator, at="2026-11-21T10:30:00+08:00")
    answer(filing, version, "CLOSED", at="2026-11-21T10:00:00+08:00")
    assert now(filing).status == FilingStatus.STORED
    assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    assert (now(filing).status, now(filing).version, outcome_of(version)) == (FilingStatus.CLOSED, 1, Outcome.OVERTAKEN)


@pytest.mark.parametrize("decided", ["09:00", "10:30"])
def test_what_is_only_put_down_takes_no_vehicle(operator: Any, other_operator: Any, decided: str) -> None:
    """The lorry has passed, and goes again for somebody else."""
    filing, version = contradicted(operator, at=f"2026-11-21T{decided}:00+08:00")
    receive_receipt(filing, "CLOSED", at="2026-11-21T10:00:00+08:00")
    held(other_operator)
    assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    assert outcome_of(version) == (Outcome.ACCEPTED if decided == "09:00" else Outcome.OVERTAKEN)
    assert now(filing).status == FilingStatus.CLOSED
    assert found() == []


def test_a_filing_that_was_given_back_and_declared_anew_is_not_changed_by_what_customs_had(operator: Any) -> None:
    filing, version = contradicted(operator)
    receive_receipt(filing, "REJECTED")
    services.declare_filing(actor=operator, filing_id=filing.pk)
    assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    assert (now(filing).status, now(filing).version, outcome_of(version)) == (FilingStatus.DECLARED, 3, Outcome.OVERTAKEN)


@pytest.mark.parametrize(("event", "ends"), [("CHANGE_REJECTED", Outcome.REJECTED), ("CHANGE_ACCEPTED", Outcome.OVERTAKEN)])
def test_an_answer_to_what_another_change_has_overtaken_does_not_stop_the_filing(operator: Any, event: str, ends: Outcome) -> None:
    filing, version = unsent(operator)
    answer(filing, change(operator, filing, remark="三"), "CHANGE_ACCEPTED")
    answer(filing, version, event)
    if event == "CHANGE_ACCEPTED":
        with pytest.raises(ActionRefused, match="矛盾"):
            services.send_void(actor=operator, filing_id=filing.pk)
        assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    assert (now(filing).version, now(filing).remark, outcome_of(version)) == (3, "三", ends)
    assert found() == []
    assert change(operator, filing, remark="四").number == 4


def test_one_that_waits_has_to_be_answered_first(operator: Any) -> None:
    filing, version = unsent(operator)
    other = change(operator, filing, remark="三")
    answer(filing, version, "CHANGE_ACCEPTED")
    assert "第 3 版正在等待海关答复" in settle(version, "--delivered").json["error"]["text"]  # type: ignore[arg-type]
    answer(filing, other, "CHANGE_REJECTED", note="海关现持有第 2 版")
    assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    assert (now(filing).version, now(filing).remark) == (2, "改过")


@pytest.mark.parametrize("function", [Function.MOD, Function.DEL])
def test_customs_rejects_what_its_exchange_had_refused_and_both_agree(operator: Any, function: Function) -> None:
    filing, version = unsent(operator, function)
    answer(filing, version, "CHANGE_REJECTED", note="不予变更")
    version.refresh_from_db()
    assert (version.outcome, version.reason, now(filing).version) == (Outcome.REJECTED, "不予变更", 1)
    assert found() == []
    assert change(operator, filing, remark="再改").number == 3


def test_what_customs_rejected_does_not_go_again(operator: Any) -> None:
    """Its exchange never took the first copy: customs could take the second as new."""
    filing, version = unsent(operator, Function.DEL)
    answer(filing, version, "CHANGE_REJECTED", note="不予删单")
    (result,) = typed("relay_resend", "--partner", "customs", "--state", "refused", "--yes", "--json").json["messages"]
    assert (result["outcome"], "已有结果“海关已退回”" in result["text"]) == ("forbidden", True)
    assert state_of(version) == OutboundState.REFUSED  # type: ignore[arg-type]


@pytest.mark.parametrize(("outcome", "queued"), [("WAITING", True), ("OVERTAKEN", False), ("ACCEPTED", False)])
def test_of_changes_that_wait_alone_a_refused_copy_goes_again(operator: Any, outcome: str, queued: bool) -> None:
    filing = held(operator)
    version = change(operator, filing)
    _refused(version)
    if outcome != "WAITING":
        answer(filing, version, "CLOSED" if outcome == "OVERTAKEN" else "CHANGE_ACCEPTED")
    assert outcome_of(version) == Outcome[outcome]
    assert resend(version)["outcome"] == ("queued" if queued else "forbidden")  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [Function.MOD, Function.DEL])
@pytest.mark.parametrize("word", ["--delivered", "--not-delivered"])
def test_customs_accepts_what_it_had_rejected_and_somebody_has_to_ask(operator: Any, word: str, function: Function) -> None:
    filing, version = unsent(operator, function)
    answer(filing, version, "CHANGE_REJECTED")
    answer(filing, version, "CHANGE_ACCEPTED")
    assert (outcome_of(version), now(filing).version) == (Outcome.REJECTED, 1)
    assert "待平台向海关核实" in FilingReceipt.unscoped.get(event="CHANGE_ACCEPTED").not_applied_reason
    with pytest.raises(ActionRefused, match="矛盾"):
        change(operator, filing, remark="再改")
    ((check, to_do),) = found()
    assert (check, f"relay_settle {version.message_id} {word}" in to_do) == ("smartgate.change_contradiction", True)
    assert settle(version, word).status == 0  # type: ignore[arg-type]
    assert found() == []
    has_it = word == "--delivered"
    assert outcome_of(version) == (Outcome.ACCEPTED if has_it else Outcome.REJECTED)
    assert now(filing).version == (2 if has_it else 1)
    assert now(filing).status == (FilingStatus.VOIDED if has_it and function == Function.DEL else FilingStatus.STORED)


def test_the_vehicle_of_what_customs_rejected_and_accepted_is_nobodys(operator: Any, other_operator: Any) -> None:
    filing, version = unsent(operator, bind_key_info="辽B54321")
    answer(filing, version, "CHANGE_REJECTED")
    answer(filing, version, "CHANGE_ACCEPTED")
    with pytest.raises(ActionRefused, match="由其他企业提交"):
        services.declare_filing(actor=other_operator, filing_id=make_filing(other_operator, bind_key_info="辽B54321").pk)
    assert settle(version, "--not-delivered").status == 0  # type: ignore[arg-type]
    held(other_operator, bind_key_info="辽B54321")


@tries("looking-for-what-does-not-fit/smartgate.change_accepted_since")
@pytest.mark.covers("OPS-04")
@pytest.mark.parametrize("holds_it", [True, False])
def test_customs_accepts_what_it_had_rejected_and_its_exchange_had_taken(operator: Any, holds_it: bool) -> None:
    filing = held(operator)
    version = change(operator, filing)
    receive_technical_receipt(version.message_id)
    answer(filing, version, "CHANGE_REJECTED")
    assert found() == []
    answer(filing, version, "CHANGE_ACCEPTED")
    ((check, to_do),) = found()
    assert (check, f"relay_settle {version.message_id} --delivered" in to_do) == ("smartgate.change_accepted_since", True)
    if holds_it:
        assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    else:
        answer(filing, change(operator, filing, remark="再改"), "CHANGE_ACCEPTED")
    assert now(filing).remark == ("改过" if holds_it else "再改")
    assert found() == []


def test_customs_rejects_what_it_had_accepted_and_somebody_has_to_ask(operator: Any) -> None:
    filing, version = contradicted(operator)
    answer(filing, version, "CHANGE_REJECTED", at="2026-11-21T09:00:00+08:00")
    assert outcome_of(version) == Outcome.NOT_SENT
    assert [name for name, _to_do in found()] == ["smartgate.change_contradiction"]
    assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    assert (now(filing).version, outcome_of(version)) == (2, Outcome.ACCEPTED)


class TestACopyThatIsRefused:
    """Customs works on the change already; another copy of its message ends in FailBox, or is refused (docs/adr/0117)."""

    @pytest.fixture
    def sent_again(self, operator: Any) -> tuple[Filing, FilingVersion]:
        filing = held(operator)
        version = change(operator, filing, bind_key_info="辽B54321")
        receive_technical_receipt(version.message_id)
        _waits(version)
        (finding,) = found()
        assert f"relay_resend {version.message_id} --yes" in finding[1]
        assert resend(version)["outcome"] == "queued"  # type: ignore[arg-type]
        relay_services.dispatch("customs")
        return filing, version

    def refuse(self, version: FilingVersion, how: str) -> None:
        if how == "FAIL_BOX":
            refuse_by_fail_box(version.message_id)  # type: ignore[arg-type]
        else:
            receive_technical_receipt(version.message_id, "REJECTED")  # type: ignore[arg-type]
        assert state_of(version) == OutboundState.REFUSED  # type: ignore[arg-type]

    @pytest.mark.parametrize("how", ["FAIL_BOX", "REJECTED"])
    def test_the_change_waits_still_and_operators_are_told(
        self, operator: Any, other_operator: Any, sent_again: tuple[Filing, FilingVersion], how: str
    ) -> None:
        filing, version = sent_again
        self.refuse(version, how)
        assert outcome_of(version) == Outcome.WAITING
        with pytest.raises(ActionRefused, match="已有一票未办结的申报"):
            services.declare_filing(actor=other_operator, filing_id=make_filing(other_operator, bind_key_info="辽B54321").pk)
        assert [name for name, _to_do in found()] == ["smartgate.change_behind_refusal"]
        answer(filing, version, "CHANGE_ACCEPTED")
        assert (now(filing).version, now(filing).bind_key_info) == (2, "辽B54321")

    @pytest.mark.parametrize("word", ["--delivered", "--not-delivered"])
    def test_an_operator_who_has_asked_decides(self, operator: Any, sent_again: tuple[Filing, FilingVersion], word: str) -> None:
        _filing, version = sent_again
        self.refuse(version, "FAIL_BOX")
        ((_check, to_do),) = found()
        assert f"relay_settle {version.message_id} {word}" in to_do
        assert settle(version, word).status == 0  # type: ignore[arg-type]
        FilingVersion.unscoped.update(asked_at=timezone.now())
        assert found() == []
        assert outcome_of(version) == (Outcome.WAITING if word == "--delivered" else Outcome.NOT_SENT)

    def test_what_goes_again_after_that_can_be_refused(self, operator: Any, sent_again: tuple[Filing, FilingVersion]) -> None:
        _filing, version = sent_again
        assert settle(version, "--not-delivered").status == 0  # type: ignore[arg-type]
        assert resend(version)["outcome"] == "queued"  # type: ignore[arg-type]
        assert outcome_of(version) == Outcome.WAITING
        relay_services.dispatch("customs")
        self.refuse(version, "REJECTED")
        assert outcome_of(version) == Outcome.NOT_SENT


def test_what_customs_said_of_the_filing_by_a_change_that_it_never_had_stops_nothing(operator: Any) -> None:
    """It has taken effect: there is nothing to ask about it."""
    filing = held(operator)
    version = change(operator, filing)
    answer(filing, version, "LOCKED")
    answer(filing, version, "UNLOCKED")
    assert resend(version)["outcome"] == "queued"  # type: ignore[arg-type]
    assert settle(version, "--not-delivered").status == 0  # type: ignore[arg-type]
    assert (outcome_of(version), now(filing).status) == (Outcome.NOT_SENT, FilingStatus.UNLOCKED)
    assert found() == []
    assert change(operator, filing, remark="再改").number == 3


class TestVehiclesOfAContradiction:
    """Whoever declares the vehicle has customs hold two for it, and nobody can settle the first any more (docs/adr/0117)."""

    @pytest.mark.parametrize("by_exchange", [True, False])
    def test_the_vehicle_of_a_change_is_nobodys(self, operator: Any, other_operator: Any, by_exchange: bool) -> None:
        filing, version = unsent(operator, bind_key_info="辽B54321")
        if by_exchange:
            receive_technical_receipt(version.message_id)
        else:
            answer(filing, version, "CHANGE_ACCEPTED")
        for user, text in ((operator, filing.trip_no), (other_operator, "由其他企业提交")):
            with pytest.raises(ActionRefused, match=text):
                services.declare_filing(actor=user, filing_id=make_filing(user, bind_key_info="辽B54321").pk)
        third = held(other_operator, bind_key_info="辽B11111")
        with pytest.raises(ActionRefused, match="由其他企业提交") as refusal:
            change(other_operator, third, bind_key_info="辽B54321")
        assert filing.trip_no not in str(refusal.value)
        assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
        if by_exchange:
            answer(filing, version, "CHANGE_ACCEPTED")
        assert now(filing).bind_key_info == "辽B54321"

    @pytest.mark.parametrize("of_a_change", [True, False])
    def test_settled_and_declared_by_a_stranger_at_once(self, operator: Any, other_operator: Any, of_a_change: bool) -> None:
        """Before, customs may hold it; afterwards it does: the stranger is told either way, and what customs holds is settled."""
        if of_a_change:
            filing, version = contradicted(operator, bind_key_info="辽B54321")
            message_id, plate = version.message_id, "辽B54321"
        else:
            filing = contradicted_filing(operator)
            message_id, plate = filing.message_id, "辽B12345"
        other = make_filing(other_operator, bind_key_info=plate)

        def settled() -> None:
            with transaction.atomic():
                settling.settle(subject=filing.subject, message_id=message_id, delivered=True, at=timezone.now(), reason="海关王科")

        results = at_once(settled, lambda: services.declare_filing(actor=other_operator, filing_id=other.pk))
        assert [isinstance(result, ActionRefused) for result in results] == [False, True]
        assert (now(filing).status, now(filing).bind_key_info) == (FilingStatus.STORED, plate)

    def test_it_is_free_when_customs_has_it_not(self, operator: Any, other_operator: Any) -> None:
        _filing, version = contradicted(operator, bind_key_info="辽B54321")
        settle(version, "--not-delivered")  # type: ignore[arg-type]
        held(other_operator, bind_key_info="辽B54321")

    @pytest.mark.parametrize("event", ["CLOSED", "REJECTED"])
    def test_it_is_free_when_customs_is_through_with_the_filing(self, operator: Any, other_operator: Any, event: str) -> None:
        filing, _version = contradicted(operator, bind_key_info="辽B54321")
        receive_receipt(filing, event)
        held(other_operator, bind_key_info="辽B54321")

    def test_nor_does_what_was_refused_go_again_to_it(self, operator: Any, other_operator: Any) -> None:
        refused_filing = refused(other_operator, bind_key_info="辽B54321")
        moving = held(other_operator, bind_key_info="辽B11111")
        refused_change = change(other_operator, moving, bind_key_info="辽B54321")
        receive_technical_receipt(refused_change.message_id, "REJECTED")
        contradicted(operator, bind_key_info="辽B54321")
        for one in (refused_filing, refused_change):
            result = resend(one)  # type: ignore[arg-type]
            assert (result["outcome"], "由其他企业提交" in result["text"]) == ("forbidden", True)

    @pytest.mark.parametrize("function", [Function.MOD, Function.DEL])
    def test_what_keeps_its_vehicle_goes_again_all_the_same(self, operator: Any, other_operator: Any, function: Function) -> None:
        first = refused(other_operator)
        filing, version = unsent(operator, function)
        receive_receipt(first, "STORED")
        assert resend(version)["outcome"] == "queued"  # type: ignore[arg-type]
        assert (now(filing).status, outcome_of(version)) == (FilingStatus.STORED, Outcome.WAITING)


def test_customs_has_it_not(operator: Any) -> None:
    filing, version = contradicted(operator)
    assert settle(version, "--not-delivered").status == 0  # type: ignore[arg-type]
    assert FilingReceipt.unscoped.get(event="CHANGE_ACCEPTED").disowned
    assert found() == []
    assert change(operator, filing, remark="再改").number == 3


def test_customs_exchange_stored_a_change_that_it_had_refused(operator: Any) -> None:
    filing, version = unsent(operator)
    receive_technical_receipt(version.message_id)
    with pytest.raises(ActionRefused, match="矛盾"):
        services.send_void(actor=operator, filing_id=filing.pk)
    ((check, to_do),) = found()
    assert (check, f"relay_settle {version.message_id} --delivered" in to_do) == ("smartgate.change_contradiction", True)
    assert settle(version, "--delivered").status == 0  # type: ignore[arg-type]
    assert found() == []
    answer(filing, version, "CHANGE_ACCEPTED")
    assert now(filing).version == 2


def test_an_operator_ends_a_change_that_customs_will_not_take(operator: Any) -> None:
    filing = held(operator)
    version = change(operator, filing)
    assert settle(version, "--not-delivered").status == 0  # type: ignore[arg-type]
    assert outcome_of(version) == Outcome.NOT_SENT
    assert now(filing).status == FilingStatus.STORED


def test_nothing_is_found_of_a_change_under_way(operator: Any) -> None:
    filing = held(operator)
    change(operator, filing)
    assert found() == []
    answer(filing, FilingVersion.unscoped.get(number=2), "CHANGE_ACCEPTED")
    answer(filing, change(operator, filing, Function.DEL), "CHANGE_ACCEPTED")
    assert found() == []


def _waits(version: FilingVersion) -> None:
    OutboundMessage.objects.filter(message_id=version.message_id).update(state=OutboundState.DELIVERED, finished_at=timezone.now())
    FilingVersion.unscoped.filter(pk=version.pk).update(asked_at=timezone.now() - timedelta(hours=25))


def _refused(version: FilingVersion) -> None:
    OutboundMessage.objects.filter(message_id=version.message_id).update(state=OutboundState.REFUSED, finished_at=timezone.now())


def _accepted_alone(version: FilingVersion) -> None:
    FilingVersion.unscoped.filter(pk=version.pk).update(outcome=Outcome.ACCEPTED)
    OutboundMessage.objects.filter(message_id=version.message_id).update(state=OutboundState.DELIVERED, finished_at=timezone.now())


def _other_header(version: FilingVersion) -> None:
    Filing.unscoped.filter(pk=version.filing_id).update(vehicle_weight="1.5")


def _other_lines(version: FilingVersion) -> None:
    FilingLine.unscoped.filter(filing_id=version.filing_id).update(seal_no_1="DL000009")


def _other_contents(version: FilingVersion) -> None:
    contents = {**version.contents, "lines": [{**version.contents["lines"][0], "pickup_weight": "1"}]}
    FilingVersion.unscoped.filter(pk=version.pk).update(contents=contents)


def _other_base(version: FilingVersion) -> None:
    FilingVersion.unscoped.filter(pk=version.pk).update(base=9)


@tries(
    "looking-for-what-does-not-fit/smartgate.change_waits",
    "looking-for-what-does-not-fit/smartgate.change_behind_refusal",
    "looking-for-what-does-not-fit/smartgate.change_not_taken_over",
    "looking-for-what-does-not-fit/smartgate.version_contents",
    "looking-for-what-does-not-fit/smartgate.version_message",
)
@pytest.mark.covers("OPS-04")
@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (_waits, "smartgate.change_waits"),
        (_refused, "smartgate.change_behind_refusal"),
        (_accepted_alone, "smartgate.change_not_taken_over"),
        (_other_header, "smartgate.version_contents"),
        (_other_lines, "smartgate.version_contents"),
        (_other_contents, "smartgate.version_message"),
        (_other_base, "smartgate.version_message"),
    ],
)
def test_each_check_finds_what_it_is_for(operator: Any, spoil: Callable[[FilingVersion], None], check: str) -> None:
    filing = held(operator, remark="<&> \"'\n二行", trailer_weight="0.125")
    version = change(operator, filing, remark="]]> & 三行\n四行")
    assert found() == []
    spoil(version)
    assert [name for name, _to_do in found()] == [check]


def test_a_refusal_that_was_not_told_is_mended(operator: Any) -> None:
    version = change(operator, held(operator))
    _refused(version)
    assert settle(version, "--not-delivered").status == 0  # type: ignore[arg-type]
    assert outcome_of(version) == Outcome.NOT_SENT
    assert found() == []


def test_an_answer_in_quarantine(operator: Any) -> None:
    filing = held(operator)
    version = change(operator, filing)
    answer(filing, version, "LOCKED", receipt_no="R-1")
    put_into_inbox("SGW102", receipt_xml(filing, "CHANGE_ACCEPTED", version=2, receipt_no="R-1"), in_reply_to=version.message_id)
    relay_services.receive("customs")
    assert [name for name, _to_do in found()] == ["smartgate.answer_set_aside"]
    assert typed("check_consistency", "--only", "smartgate.superseded").status == 0
