"""Two at once, on real PostgreSQL with real transactions: nothing is doubled, nothing half done."""

from unittest import mock

import pytest

from relay.models import OutboundMessage
from smartgate import services
from smartgate.models import Filing, FilingStatus
from tests.races import at_once, refusals
from tests.smartgate.factories import header, line, make_filing

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_filing_declared_twice_at_once_is_sent_once(operator):
    filing = make_filing(operator)
    results = at_once(*[lambda: services.declare_filing(actor=operator, filing_id=filing.pk)] * 4)
    assert refusals(results) == 3
    assert OutboundMessage.objects.count() == 1
    filing.refresh_from_db()
    assert (filing.status, filing.version) == (FilingStatus.DECLARED, 1)


@pytest.mark.covers("SGW-04")
def test_one_vehicle_declared_in_two_filings_at_once(operator, other_operator):
    first, second = make_filing(operator), make_filing(other_operator)
    results = at_once(
        lambda: services.declare_filing(actor=operator, filing_id=first.pk),
        lambda: services.declare_filing(actor=other_operator, filing_id=second.pk),
    )
    assert refusals(results) == 1
    assert OutboundMessage.objects.count() == 1
    assert Filing.unscoped.filter(status=FilingStatus.DECLARED).count() == 1


def test_an_edit_and_a_declaration_at_once_leave_message_and_row_alike(operator):
    filing = make_filing(operator)
    results = at_once(
        lambda: services.save_filing(actor=operator, filing_id=filing.pk, lock_version=1, header=header(remark="改过"), lines=[line()]),
        lambda: services.declare_filing(actor=operator, filing_id=filing.pk, lock_version=1),
    )
    assert refusals(results) == 1
    filing.refresh_from_db()
    sent = [bytes(message.content).decode() for message in OutboundMessage.objects.all()]
    assert all(f"<Remark>{filing.remark}</Remark>" in text for text in sent)
    assert len(sent) == (filing.status == FilingStatus.DECLARED)


@pytest.mark.covers("RLY-01")
@pytest.mark.parametrize("step", ["core.audit.record", "smartgate.services.declaring.queue_message", "smartgate.services.declaring.move"])
def test_whatever_breaks_while_declaring_nothing_half_done_stays(operator, step):
    filing = make_filing(operator)
    before = list(Filing.unscoped.filter(pk=filing.pk).values())
    with mock.patch(step, side_effect=RuntimeError("power cut")), pytest.raises(RuntimeError):
        services.declare_filing(actor=operator, filing_id=filing.pk)
    assert list(Filing.unscoped.filter(pk=filing.pk).values()) == before
    assert not OutboundMessage.objects.exists()
    services.declare_filing(actor=operator, filing_id=filing.pk)
    assert OutboundMessage.objects.count() == 1
