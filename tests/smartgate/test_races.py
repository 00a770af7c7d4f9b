"""Two at once, on real PostgreSQL with real transactions: nothing is doubled, nothing half done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from django.test import Client

from accounts.models import SignatureEvidence, User
from core.workflow import ActionRefused, ForbiddenTransition
from relay import services as relay_services
from relay.models import InboundMessage, InboundState, OutboundMessage
from simulators.cards.keys import KeyType
from smartgate import services
from smartgate.models import Filing, FilingReceipt, FilingStatus
from tests.accounts.card_holders import bind, card_of
from tests.cards import Authorities
from tests.races import at_once, meanwhile, refusals
from tests.smartgate.factories import header, line, make_filing
from tests.smartgate.test_signed_pages import confirm
from tests.smartgate.wire import put_into_inbox, receipt_xml, receive_receipt, receive_technical_receipt

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


@pytest.mark.covers("SGW-04", "CARD-05", "CARD-07")
def test_two_browsers_that_sign_the_same_filing_at_once_send_it_once(
    operator: User, administrator: User, operator_client: Client, cards_required: Authorities
) -> None:
    """Two people of the enterprise have it open, each has put in his card and entered his PIN."""
    other_client = Client()
    other_client.force_login(administrator)
    people = []
    for number, (user, client) in enumerate([(operator, operator_client), (administrator, other_client)], start=1):
        card = card_of(
            user.enterprise, cards_required, kind=KeyType.P256, card_no=f"210000000000{number}", id_no=f"21020219900101{number}016"
        )
        bind(user, card)
        people.append((client, card))
    filing = make_filing(operator)
    asked = [(client, card, client.get(f"/smartgate/filings/{filing.pk}/edit/?declare", follow=True)) for client, card in people]
    pages = at_once(*[lambda who=who: confirm(who[0], who[2], who[1]) for who in asked])
    assert sorted("申报成功" in page.content.decode() for page in pages) == [False, True]
    assert [page.status_code for page in pages] == [200, 200]
    filing.refresh_from_db()
    assert (filing.status, filing.version) == (FilingStatus.DECLARED, 1)
    evidence = SignatureEvidence.unscoped.get()
    assert evidence.card_no == filing.operator
    assert f"<OpUserId>{filing.operator}</OpUserId>" in bytes(OutboundMessage.objects.get().content).decode()


# -- an answer of customs comes while the enterprise is at the filing ---------------------------------


def refused_by_the_exchange(actor: User) -> Filing:
    """发往内网失败, and the answer that comes says that customs has it after all."""
    filing = services.declare_filing(actor=actor, filing_id=make_filing(actor).pk)
    relay_services.dispatch("customs")
    receive_technical_receipt(filing.message_id, "REJECTED")
    return Filing.unscoped.get(pk=filing.pk)


def relayed(actor: User) -> Filing:
    """发往内网成功, and the answer that comes sends it back."""
    filing = services.declare_filing(actor=actor, filing_id=make_filing(actor).pk)
    relay_services.dispatch("customs")
    receive_technical_receipt(filing.message_id)
    return Filing.unscoped.get(pk=filing.pk)


def save(actor: User, filing: Filing) -> Any:
    return services.save_filing(actor=actor, filing_id=filing.pk, header=header(remark="改过"), lines=[line()])


def declare(actor: User, filing: Filing) -> Any:
    return services.declare_filing(actor=actor, filing_id=filing.pk)


def delete(actor: User, filing: Filing) -> Any:
    return services.delete_filing(actor=actor, filing_id=filing.pk)


@dataclass(frozen=True)
class Meeting:
    """What comes of an action of the enterprise and an answer that meet at one filing."""

    begin: Callable[[User], Filing]
    event: str
    action: Callable[[User, Filing], Any]
    answer_first: bool
    refusal: type[Exception] | None
    status: FilingStatus
    version: int
    applied: bool


MEETINGS = [
    Meeting(refused_by_the_exchange, "STORED", save, True, None, FilingStatus.RELAY_FAILED, 1, False),
    Meeting(refused_by_the_exchange, "STORED", save, False, None, FilingStatus.RELAY_FAILED, 1, False),
    Meeting(refused_by_the_exchange, "STORED", declare, True, ActionRefused, FilingStatus.RELAY_FAILED, 1, False),
    Meeting(refused_by_the_exchange, "STORED", declare, False, None, FilingStatus.DECLARED, 2, False),
    Meeting(refused_by_the_exchange, "STORED", delete, True, ActionRefused, FilingStatus.RELAY_FAILED, 1, False),
    Meeting(refused_by_the_exchange, "STORED", delete, False, None, FilingStatus.RELAY_FAILED, 1, False),
    Meeting(relayed, "REJECTED", save, True, None, FilingStatus.REJECTED, 1, True),
    Meeting(relayed, "REJECTED", save, False, ForbiddenTransition, FilingStatus.REJECTED, 1, True),
    Meeting(relayed, "REJECTED", declare, True, ForbiddenTransition, FilingStatus.REJECTED, 1, True),
    Meeting(relayed, "REJECTED", delete, True, None, FilingStatus.REJECTED, 1, True),
    Meeting(relayed, "REJECTED", delete, False, ForbiddenTransition, FilingStatus.REJECTED, 1, True),
]
#: Where an action holds the filing's lock and has not written yet.
HELD = {
    save: "smartgate.services.filings.snapshot",
    declare: "smartgate.services.declaring.check_not_with_customs",
    delete: "smartgate.states.require",
}


@pytest.mark.covers("RLY-01")
@pytest.mark.parametrize(
    "meeting",
    MEETINGS,
    ids=lambda one: f"{one.event}-{one.action.__name__}-{'answer' if one.answer_first else one.action.__name__}-first",
)
def test_an_answer_and_an_action_of_the_enterprise_take_their_turns(operator: User, meeting: Meeting) -> None:
    filing = meeting.begin(operator)
    answer = put_into_inbox("SGW102", receipt_xml(filing, meeting.event), in_reply_to=filing.message_id)

    def act() -> Any:
        try:
            return meeting.action(operator, filing)
        except ActionRefused as refusal:
            return refusal

    def receive() -> int:
        return relay_services.receive("customs")

    if meeting.answer_first:
        with meanwhile("smartgate.services.answers._why_without_effect", act) as outcomes:
            receive()
        outcome = outcomes[0]
    else:
        with meanwhile(HELD[meeting.action], receive):
            outcome = act()
    assert (type(outcome) if isinstance(outcome, Exception) else None) is meeting.refusal
    filing.refresh_from_db()
    assert (filing.status, filing.version) == (meeting.status, meeting.version)
    assert (filing.remark == "改过") == (meeting.action is save and meeting.refusal is None)
    assert (filing.deleted_at is not None) == (meeting.action is delete and meeting.refusal is None)
    kept = FilingReceipt.unscoped.get()
    assert (kept.event, kept.version, kept.applied) == (meeting.event, 1, meeting.applied)
    assert InboundMessage.objects.get(message_id=answer).state == InboundState.HANDLED
    assert OutboundMessage.objects.filter(message_type="SGW101").count() == meeting.version


@pytest.mark.covers("RLY-01")
@pytest.mark.parametrize("answer_first", [True, False])
def test_an_answer_that_comes_while_its_filing_is_declared_again_counts_for_the_version_it_names(
    operator: User, answer_first: bool
) -> None:
    """退单 is there already, and a late word about the same version comes."""
    filing = relayed(operator)
    receive_receipt(filing, "REJECTED")
    put_into_inbox("SGW102", receipt_xml(filing, "STORED"), in_reply_to=filing.message_id)

    def receive() -> int:
        return relay_services.receive("customs")

    if answer_first:
        with meanwhile("smartgate.services.answers._why_without_effect", lambda: declare(operator, filing)):
            receive()
    else:
        with meanwhile(HELD[declare], receive):
            declare(operator, filing)
    filing.refresh_from_db()
    assert (filing.status, filing.version) == (FilingStatus.DECLARED, 2)
    assert not FilingReceipt.unscoped.get(event="STORED").applied
