"""What operators put right between relay and a 变更 or 删单, and what check_consistency finds of them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.workflow import ActionRefused
from relay import services as relay_services
from relay.models import OutboundMessage, OutboundState
from smartgate import services
from smartgate.models import Filing, FilingLine, FilingReceipt, FilingStatus, FilingVersion, Function, Outcome
from tests.relay.commands import typed
from tests.relay.runbook import tries
from tests.smartgate.changes import answer, change, held, now, outcome_of
from tests.smartgate.test_settling import found, resend, settle, state_of
from tests.smartgate.wire import put_into_inbox, receipt_xml, receive_receipt, receive_technical_receipt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.covers("SGW-08", "RLY-04")]


def unsent(operator: Any, function: Function = Function.MOD, **changed: Any) -> tuple[Filing, FilingVersion]:
    """A filing with a change that customs' exchange refused."""
    filing = held(operator)
    version = change(operator, filing, function, **changed)
    receive_technical_receipt(version.message_id, "REJECTED")
    assert outcome_of(version) == Outcome.NOT_SENT
    return filing, version


def contradicted(operator: Any, event: str = "CHANGE_ACCEPTED", function: Function = Function.MOD) -> tuple[Filing, FilingVersion]:
    """The same, answered by customs all the same."""
    filing, version = unsent(operator, function)
    answer(filing, version, event)
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
        ("CHANGE_REJECTED", Function.MOD, (FilingStatus.STORED, 1, "散装大豆")),
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
