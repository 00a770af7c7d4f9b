"""变更 and 删单 with the card (SGW-08, CARD-05, CARD-07): what is asked and of which version is signed, and kept for each version."""

from typing import Any

import pytest
from django.test import Client
from lxml import etree

from accounts.models import SignatureEvidence, User
from core.workflow import ActionRefused
from relay.models import OutboundMessage
from simulators.customs import signed as customs
from smartgate import services
from smartgate.models import Filing, FilingVersion, Outcome
from tests.accounts.card_holders import bind, card_of, signed
from tests.cards import Authorities, Card
from tests.relay.commands import typed
from tests.smartgate.changes import answer, draft, now
from tests.smartgate.factories import make_filing
from tests.smartgate.pages import entry_post
from tests.smartgate.test_signed_declaration import declare, fresh, sign_info
from tests.smartgate.wire import NS, receive_receipt

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def card(operator: User, cards_required: Authorities) -> Card:
    """The operator's bound card."""
    its = card_of(operator.enterprise, cards_required)
    bind(operator, its)
    return its


@pytest.fixture
def filing(operator: User, card: Card) -> Filing:
    """Declared with the card, and stored by customs."""
    made = declare(operator, make_filing(fresh(operator)), card)
    receive_receipt(made, "STORED")
    return now(made)


def amend(operator: User, filing: Filing, card: Card) -> FilingVersion:
    draft(fresh(operator), filing)
    text = services.amendment_text(actor=fresh(operator), filing=now(filing))
    services.send_amendment(actor=fresh(operator), filing_id=filing.pk, presented=signed(card, text))
    return FilingVersion.unscoped.get(filing=filing, outcome=Outcome.WAITING)


def void(operator: User, filing: Filing, card: Card) -> FilingVersion:
    text = services.void_text(actor=fresh(operator), filing=now(filing))
    services.send_void(actor=fresh(operator), filing_id=filing.pk, presented=signed(card, text))
    return FilingVersion.unscoped.get(filing=filing, outcome=Outcome.WAITING)


@pytest.mark.covers("SGW-08", "CARD-05", "CARD-07")
def test_each_version_is_signed_and_its_evidence_kept(operator: User, card: Card, filing: Filing, tmp_path: Any) -> None:
    answer(filing, amend(operator, filing, card), "CHANGE_ACCEPTED")
    void(operator, filing, card)
    texts = list(SignatureEvidence.unscoped.order_by("version").values_list("version", "text"))
    assert [version for version, _text in texts] == [1, 2, 3]
    (_one, first), (_two, second), (_three, third) = texts
    assert "BaseVersion" not in first
    assert second.split("\n")[1:4] == ["业务功能 Function：MOD 变更申报", "申报版本 Version：2", "针对版本 BaseVersion：1"]
    assert "备注 Remark：改过" in second
    assert "向海关申请变更该票单据" in second.split("\n")[-1]
    assert third.split("\n")[1:4] == ["业务功能 Function：DEL 删单申报", "申报版本 Version：3", "针对版本 BaseVersion：2"]
    assert "向海关申请删除该票单据" in third.split("\n")[-1]

    # Customs finds that each says what its message says.
    for message in OutboundMessage.objects.filter(subject=filing.subject):
        root = etree.fromstring(bytes(message.content))
        assert etree.XMLSchema(file="docs/protocol/SGW101.xsd").validate(root)
        business = root.find(f"{{{NS}}}DataInfo")[0]  # type: ignore[index]
        customs.check(business, sign_info(message))
        base = business.find(f"{{{NS}}}BaseVersion")
        if base is not None:
            base.text = "7"
            with pytest.raises(customs.NotSignedSoError):
                customs.check(business, sign_info(message))

    told = typed("verify_signature", "--filing", filing.trip_no, "--export", str(tmp_path / "evidence"))
    assert told.status == 0
    assert all(f"version {number}," in told.out for number in (1, 2, 3))
    assert len(list((tmp_path / "evidence").iterdir())) == 3


@pytest.mark.covers("CARD-07")
def test_a_signature_for_one_thing_is_none_for_another(operator: User, card: Card, filing: Filing) -> None:
    draft(fresh(operator), filing)
    amendment = services.amendment_text(actor=fresh(operator), filing=now(filing))
    voiding = services.void_text(actor=fresh(operator), filing=now(filing))
    for send, text in ((services.send_amendment, voiding), (services.send_void, amendment)):
        with pytest.raises(ActionRefused):
            send(actor=fresh(operator), filing_id=filing.pk, presented=signed(card, text))
        with pytest.raises(ActionRefused, match="未检测到"):
            send(actor=fresh(operator), filing_id=filing.pk)
    assert not FilingVersion.unscoped.filter(filing=filing, outcome=Outcome.WAITING).exists()
    assert SignatureEvidence.unscoped.count() == 1


def test_a_signature_is_used_up_by_a_rejection(operator: User, card: Card, filing: Filing) -> None:
    draft(fresh(operator), filing)
    first = signed(card, services.amendment_text(actor=fresh(operator), filing=now(filing)))
    services.send_amendment(actor=fresh(operator), filing_id=filing.pk, presented=first)
    answer(filing, FilingVersion.unscoped.get(filing=filing, outcome=Outcome.WAITING), "CHANGE_REJECTED")
    draft(fresh(operator), filing)
    with pytest.raises(ActionRefused):
        services.send_amendment(actor=fresh(operator), filing_id=filing.pk, presented=first)
    assert amend(operator, filing, card).number == 3


def test_a_draft_that_was_changed_under_the_question_is_not_sent(operator: User, card: Card, filing: Filing) -> None:
    draft(fresh(operator), filing)
    presented = signed(card, services.amendment_text(actor=fresh(operator), filing=now(filing)))
    draft(fresh(operator), filing, remark="又改")
    with pytest.raises(ActionRefused):
        services.send_amendment(actor=fresh(operator), filing_id=filing.pk, presented=presented)
    assert SignatureEvidence.unscoped.count() == 1


@pytest.mark.covers("SGW-11")
def test_the_question_cautions_of_what_it_shows(operator: User, card: Card, filing: Filing, operator_client: Client) -> None:
    """What was stored is replaced by what the page sends, and asked about anew: with its own cautions, not those of the draft before."""
    draft(fresh(operator), filing)
    data = entry_post("declare_confirmed", header={"vehicle_weight": "8.6"}, lock_version=now(filing).lock_version)
    page = operator_client.post(f"/smartgate/filings/{filing.pk}/amend/", data)
    assert "车辆重量（千克） VehicleWeight：8.6" in page.context["signing"].text
    assert [caution.code for caution in page.context["cautions"]] == ["like_tonnes"]
