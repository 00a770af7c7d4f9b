"""变更 and 删单 by two at once, and with the process dying in the middle: nothing doubled, nothing lost, nothing half done (SGW-08)."""

from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from relay.models import OutboundMessage
from smartgate import services
from smartgate.messages import Receipt
from smartgate.models import Filing, FilingLine, FilingReceipt, FilingStatus, FilingVersion, Outcome
from tests.races import at_once, refusals
from tests.smartgate.changes import change, draft, held, now
from tests.smartgate.factories import header, line, make_filing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.covers("SGW-08")]


def receipt(filing: Filing, event: str, *, version: int, receipt_no: str) -> Receipt:
    """What customs says, as a handler gets it."""
    return Receipt(filing.data_center_no, filing.trip_no, version, receipt_no, event, timezone.now(), "", "海关说明")


def everything() -> list[Any]:
    return [list(model.unscoped.order_by("pk").values()) for model in (Filing, FilingLine, FilingVersion, FilingReceipt)] + [
        list(OutboundMessage.objects.order_by("pk").values("message_id", "state"))
    ]


def test_one_change_sent_by_two_goes_out_once(operator: Any) -> None:
    filing = held(operator)
    draft(operator, filing)
    results = at_once(*[lambda: services.send_amendment(actor=operator, filing_id=filing.pk)] * 3)
    assert refusals(results) == 2
    assert OutboundMessage.objects.filter(subject=filing.subject).count() == 2
    assert FilingVersion.unscoped.get(filing=filing, outcome=Outcome.WAITING).number == 2


def test_a_change_and_a_void_at_once(operator: Any) -> None:
    filing = held(operator)
    draft(operator, filing)
    results = at_once(
        lambda: services.send_amendment(actor=operator, filing_id=filing.pk),
        lambda: services.send_void(actor=operator, filing_id=filing.pk),
    )
    assert refusals(results) == 1
    sent = FilingVersion.unscoped.get(filing=filing, outcome=Outcome.WAITING)
    # Who was told keeps what he had typed.
    kept = FilingVersion.unscoped.filter(filing=filing, outcome=Outcome.DRAFT)
    assert kept.count() == (sent.function == "DEL")
    assert OutboundMessage.objects.filter(subject=filing.subject).count() == 2


def test_two_write_the_same_draft_and_one_is_told(operator: Any) -> None:
    filing = held(operator)

    def save(remark: str) -> Any:
        return lambda: services.save_amendment(
            actor=operator, filing_id=filing.pk, header=header(remark=remark), lines=[line()], lock_version=filing.lock_version
        )

    results = at_once(save("甲"), save("乙"))
    assert refusals(results) == 1
    assert any(isinstance(result, services.FilingChanged) for result in results)
    assert FilingVersion.unscoped.get(filing=filing, outcome=Outcome.DRAFT).contents["header"]["remark"] in ("甲", "乙")


def test_one_vehicle_changed_to_and_declared_at_once(operator: Any, other_operator: Any) -> None:
    filing = held(operator)
    draft(operator, filing, bind_key_info="辽B54321")
    other = make_filing(other_operator, bind_key_info="辽B54321")
    results = at_once(
        lambda: services.send_amendment(actor=operator, filing_id=filing.pk),
        lambda: services.declare_filing(actor=other_operator, filing_id=other.pk),
    )
    assert refusals(results) == 1
    waits = FilingVersion.unscoped.filter(outcome=Outcome.WAITING, bind_key_info="辽B54321").count()
    assert waits + Filing.unscoped.filter(status=FilingStatus.DECLARED, bind_key_info="辽B54321").count() == 1


def test_one_vehicle_changed_to_by_two_at_once(operator: Any, other_operator: Any) -> None:
    filings = [held(operator), held(other_operator, bind_key_info="辽B11111")]
    for user, filing in zip((operator, other_operator), filings, strict=True):
        draft(user, filing, bind_key_info="辽B54321")
    results = at_once(
        lambda: services.send_amendment(actor=operator, filing_id=filings[0].pk),
        lambda: services.send_amendment(actor=other_operator, filing_id=filings[1].pk),
    )
    assert refusals(results) == 1
    assert FilingVersion.unscoped.filter(outcome=Outcome.WAITING).count() == 1


@pytest.mark.parametrize("event", ["CLOSED", "LOCKED", "REJECTED"])
def test_a_change_sent_while_customs_goes_on(operator: Any, event: str) -> None:
    """Either it was too late, or it is overtaken (or waits for a locked filing's answer): never a change that waits for nothing."""
    filing = held(operator)
    draft(operator, filing)
    results = at_once(
        lambda: services.send_amendment(actor=operator, filing_id=filing.pk),
        lambda: services.apply_receipt(
            receipt=receipt(filing, event, version=1, receipt_no="R-1"), message_id=filing.message_id, in_reply_to=filing.message_id
        ),
    )
    assert now(filing).status == FilingStatus[event]
    version = FilingVersion.unscoped.exclude(number=1).get(filing=filing)
    if refusals(results):
        assert version.outcome == Outcome.DRAFT
    else:
        assert version.outcome == (Outcome.WAITING if event == "LOCKED" else Outcome.OVERTAKEN)


def test_two_answers_at_once_and_one_counts(operator: Any) -> None:
    filing = held(operator)
    version = change(operator, filing)

    def say(event: str, number: str) -> Any:
        return lambda: services.apply_receipt(
            receipt=receipt(filing, event, version=2, receipt_no=number), message_id=version.message_id, in_reply_to=version.message_id
        )

    results = at_once(say("CHANGE_ACCEPTED", "R-1"), say("CHANGE_REJECTED", "R-2"))
    assert sorted(results) == ["applied", "kept"]
    version.refresh_from_db()
    row = now(filing)
    assert (version.outcome, row.version, row.remark) in [("accepted", 2, "改过"), ("rejected", 1, "散装大豆")]


@pytest.mark.covers("RLY-01")
@pytest.mark.parametrize("step", ["core.audit.record", "smartgate.services.changing.queue_message", "smartgate.services.changing._touch"])
@pytest.mark.parametrize("send", [services.send_amendment, services.send_void])
def test_dying_while_a_change_is_sent(operator: Any, step: str, send: Any) -> None:
    filing = held(operator)
    draft(operator, filing)
    before = everything()
    with mock.patch(step, side_effect=RuntimeError("power cut")), pytest.raises(RuntimeError):
        send(actor=operator, filing_id=filing.pk)
    assert everything() == before
    send(actor=operator, filing_id=filing.pk)
    assert OutboundMessage.objects.filter(subject=filing.subject).count() == 2


@pytest.mark.covers("RLY-02")
@pytest.mark.parametrize(
    ("event", "step"),
    [
        ("CHANGE_ACCEPTED", "smartgate.services.change_answers.record"),
        ("CHANGE_ACCEPTED", "smartgate.services.versions.end"),
        ("CHANGE_ACCEPTED", "smartgate.models.FilingLine.unscoped.bulk_create"),
        ("CHANGE_REJECTED", "smartgate.services.change_answers.record"),
        ("CLOSED", "smartgate.services.change_answers.overtake"),
    ],
)
def test_dying_while_an_answer_takes_effect(operator: Any, event: str, step: str) -> None:
    filing = held(operator)
    version = change(operator, filing)
    before = everything()
    number = 1 if event == "CLOSED" else 2
    said = receipt(filing, event, version=number, receipt_no="R-1")

    def take_in() -> str:
        return services.apply_receipt(receipt=said, message_id=version.message_id, in_reply_to=None)

    with mock.patch(step, side_effect=RuntimeError("power cut")), pytest.raises(RuntimeError):
        take_in()
    assert everything() == before
    assert (take_in(), take_in()) == ("applied", "repeated")
    version.refresh_from_db()
    assert version.outcome == {"CHANGE_ACCEPTED": "accepted", "CHANGE_REJECTED": "rejected", "CLOSED": "overtaken"}[event]
