"""The demo's data: cards bound and filings declared by the services that users call, with signatures that count."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import BoundCard, SignatureEvidence, User
from accounts.services import bound_cards
from accounts.services.card_signing import Presented
from accounts.signatures import cards as signatures
from portal import demo
from relay.models import OutboundMessage
from simulators.cards.certificates import Holder
from smartgate.models import Filing, FilingStatus
from tests.cards import Authorities, Card

pytestmark = pytest.mark.django_db(transaction=True)
FEW = 12


@dataclass
class Cards:
    """Signs with a card of each demo account, as make run does; remembers for whom."""

    cards: dict[str, Card]
    asked: list[str]

    def __call__(self, username: str, text: str) -> Presented:
        self.asked.append(username)
        card = self.cards[username]
        return Presented(certificate=card.as_text, signature=base64.b64encode(card.sign(text.encode(), raw=True)).decode())


@pytest.fixture
def sign(settings: Any, tmp_path: Path) -> Iterator[Cards]:
    settings.DEMO_MODE, settings.DEMO_PASSWORD, settings.CARD_REQUIRED, settings.CARD_REVOCATION = True, "Demo12345", True, ["crl"]
    settings.CARD_CRL_DIR = tmp_path / "none"
    authorities = Authorities(tmp_path / "authority")
    with authorities.serving():
        holders = {
            user.username: Holder(user.full_name, user.id_no, firm.name, firm.credit_code[8:17], f"210000000000{number}")
            for number, user in enumerate(demo.USERS)
            if (firm := user.enterprise)
        }
        made = {username: authorities.card(holder=holder) for username, holder in holders.items()}
        settings.CARD_TRUST_ANCHORS = authorities.trust(tmp_path / "anchors")
        yield Cards(made, [])


def seed(**options: Any) -> str:
    said = StringIO()
    call_command("seed_reference", verbosity=0)
    call_command("seed_demo", filings=FEW, stdout=said, **options)
    return said.getvalue()


@pytest.mark.covers("CARD-05", "CARD-07", "OPS-01")
def test_every_declared_filing_is_signed_by_its_declarants_bound_card(sign: Cards) -> None:
    assert f"{FEW} filings made" in seed(sign=sign)
    bound = dict(BoundCard.unscoped.values_list("user__username", "card_no"))
    assert set(bound) == {"demo_operator", "other_operator"}
    declared = Filing.unscoped.exclude(status=FilingStatus.DRAFT)
    assert declared.count() > FEW / 2
    assert OutboundMessage.objects.count() == declared.count()
    for filing in declared.select_related("created_by"):
        evidence = SignatureEvidence.unscoped.get(subject=filing.subject)
        assert evidence.card_no == bound[filing.created_by.username] == filing.operator
        assert filing.bind_key_info in evidence.text
        signatures.verify(
            certificate=bytes(evidence.chain[0]),
            data=evidence.text.encode(),
            signature=bytes(evidence.signature),
            at=evidence.signed_at,
        )
    assert filing.trip_no[6:19] == filing.operator


def test_seeding_again_signs_nothing_and_brings_back_only_a_card_that_is_free(sign: Cards, monkeypatch: pytest.MonkeyPatch) -> None:
    seed(sign=sign)
    sign.asked.clear()
    assert "are there" in seed(sign=sign)
    assert sign.asked == []
    operator, administrator = User.objects.get(username="demo_operator"), User.objects.get(username="demo_admin")
    bound_cards.unbind(actor=operator, user_id=operator.pk, card_no=operator.ic_card_no)
    seed(sign=sign)
    assert BoundCard.unscoped.get(user=operator).card_no == "2100000000001"
    # Somebody tried 解绑, and bound the card to another account of the enterprise.
    bound_cards.unbind(actor=operator, user_id=operator.pk, card_no="2100000000001")
    sign.cards["demo_admin"] = sign.cards["demo_operator"]
    with monkeypatch.context() as patched:
        patched.setattr(demo, "CARD_HOLDERS", ("demo_admin",))
        demo.bind_cards(sign)
    seed(sign=sign)
    assert BoundCard.unscoped.get(card_no="2100000000001").user == administrator
    assert not BoundCard.unscoped.filter(user=operator).exists()


def test_without_cards_all_stay_drafts_and_it_says_why(sign: Cards) -> None:
    assert "all of them drafts: declaring takes a card (CARD_REQUIRED)" in seed()
    assert Filing.unscoped.count() == FEW
    assert not Filing.unscoped.exclude(status=FilingStatus.DRAFT).exists()


def test_without_cards_they_are_declared_where_none_is_required(sign: Cards, settings: Any) -> None:
    settings.CARD_REQUIRED = False
    assert "drafts" not in seed()
    assert Filing.unscoped.exclude(status=FilingStatus.DRAFT).exists()
    assert not SignatureEvidence.unscoped.exists()
