"""What users sign with their cards: every refusal of `examine`, and what `keep` stores and leaves (CARD-05, CARD-07)."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from pytest_django import Settings as PortalSettings

from accounts.models import BoundCard, EvidenceKind, RevocationProof, SignatureEvidence, User
from accounts.services import card_signing, evidence
from accounts.services.card_signing import CardRefused, Presented
from accounts.signatures import stored
from accounts.signatures.cards import Verified
from core.workflow import ActionRefused
from simulators.cards.keys import KeyType
from tests.accounts.signing import TEXT, TRIP_NO
from tests.cards import HOLDER, Authorities, Card
from tests.conftest import bind_card

pytestmark = pytest.mark.django_db
OTHER_NO = "2100000000002"


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    return Authorities(tmp_path / "authorities")


@pytest.fixture(autouse=True)
def trusted(authorities: Authorities, tmp_path: Path, settings: PortalSettings) -> PortalSettings:
    """Cards are demanded; the SM2 authority is trusted; its CRL lies in a directory."""
    settings.CARD_REQUIRED = True
    settings.CARD_TRUST_ANCHORS = authorities.trust(tmp_path / "anchors", KeyType.SM2)
    settings.CARD_REVOCATION = ["crl"]
    settings.CARD_CRL_DIR = authorities.of(KeyType.SM2).home
    return settings


@pytest.fixture
def bound(operator: User) -> BoundCard:
    return bind_card(operator, HOLDER.card_no)


@pytest.fixture
def card(authorities: Authorities) -> Card:
    return authorities.card()


def present(card: Card, text: str = TEXT) -> Presented:
    """As the bridge hands it to the page: base64 of DER, base64 of r‖s."""
    return Presented(card.as_text, base64.b64encode(card.sign(text.encode(), raw=True)).decode())


def refused(actor: User, presented: Presented | None, *, text: str = TEXT, at: datetime | None = None) -> CardRefused:
    with pytest.raises(CardRefused) as found:
        card_signing.examine(actor=actor, text=text, presented=presented, at=at)
    assert not SignatureEvidence.unscoped.exists()
    return found.value


class TestExamine:
    """The actor's own bound card signed just this text."""

    @pytest.mark.covers("CARD-05", "CARD-08")
    @pytest.mark.parametrize("kind", KeyType)
    @pytest.mark.usefixtures("bound")
    def test_the_bound_card(self, operator: User, authorities: Authorities, trusted: PortalSettings, kind: KeyType) -> None:
        card = authorities.card(kind)
        authorities.trust(trusted.CARD_TRUST_ANCHORS, kind)
        trusted.CARD_CRL_DIR = authorities.of(kind).home
        seen = card_signing.examine(actor=operator, text=TEXT, presented=present(card))
        assert seen is not None
        assert (seen.certificate.card_no, seen.data) == (HOLDER.card_no, TEXT.encode())
        assert seen.revocation is not None
        assert not SignatureEvidence.unscoped.exists()

    @pytest.mark.covers("CARD-05")
    def test_no_card(self, operator: User, bound: BoundCard, trusted: PortalSettings) -> None:
        assert refused(operator, None).code == "no_card"
        assert "未检测到 IC 卡或 Ikey" in str(refused(operator, None))
        trusted.CARD_REQUIRED = False
        assert card_signing.examine(actor=operator, text=TEXT, presented=None) is None

    @pytest.mark.covers("CARD-05")
    def test_not_bound(self, operator: User, card: Card) -> None:
        for presented in (None, present(card)):
            found = refused(operator, presented)
            assert (found.code, "我的IC卡" in str(found)) == ("not_bound", True)

    @pytest.mark.covers("CARD-05")
    def test_another_card(self, operator: User, bound: BoundCard, authorities: Authorities) -> None:
        other = authorities.card(holder=replace(HOLDER, card_no=OTHER_NO))
        found = refused(operator, present(other))
        assert str(found) == f"当前卡号 {OTHER_NO} 与用户注册信息卡号 {HOLDER.card_no} 不一致，无法进行申报"
        assert found.code == "another_card"
        assert isinstance(found, ActionRefused)

    @pytest.mark.covers("CARD-05")
    def test_a_card_is_demanded_of_whoever_presents_one(
        self, operator: User, bound: BoundCard, authorities: Authorities, trusted: PortalSettings
    ) -> None:
        """CARD_REQUIRED off lets go without, not with another's."""
        trusted.CARD_REQUIRED = False
        assert refused(operator, present(authorities.card(holder=replace(HOLDER, card_no=OTHER_NO)))).code == "another_card"

    @pytest.mark.parametrize("signature", ["!!", "签名", "AAA", "A" * 5, "\ud800"])
    def test_a_signature_that_is_no_base64(self, operator: User, bound: BoundCard, card: Card, signature: str) -> None:
        assert refused(operator, Presented(card.as_text, signature)).code == "malformed_signature"

    @pytest.mark.parametrize("certificate", ["", "!!", "证书", "AAAA", "A" * 100_000, "\ud800"])
    def test_a_certificate_that_is_none(self, operator: User, bound: BoundCard, card: Card, certificate: str) -> None:
        assert refused(operator, Presented(certificate, present(card).signature)).code == "malformed_certificate"

    def test_over_another_text(self, operator: User, bound: BoundCard, card: Card) -> None:
        for text in (TEXT + " ", TEXT.rstrip(), TEXT.replace("25000", "52000"), TEXT.replace("\n", "\r\n"), ""):
            assert refused(operator, present(card), text=text).code == "wrong_signature"
        assert refused(operator, Presented(card.as_text, "")).code == "wrong_signature"

    def test_another_cards_signature_with_the_bound_ones_certificate(
        self, operator: User, bound: BoundCard, card: Card, authorities: Authorities
    ) -> None:
        """A certificate is no secret."""
        assert refused(operator, Presented(card.as_text, present(authorities.card()).signature)).code == "wrong_signature"

    @pytest.mark.covers("CARD-05")
    def test_expired_and_not_yet_valid(self, operator: User, bound: BoundCard, authorities: Authorities) -> None:
        now = datetime.now(UTC)
        for begin, code in ((now - timedelta(days=400), "expired"), (now + timedelta(days=2), "not_yet_valid")):
            assert refused(operator, present(authorities.card(valid_from=begin))).code == code

    @pytest.mark.covers("CARD-05")
    def test_revoked(self, operator: User, bound: BoundCard, card: Card, trusted: PortalSettings, tmp_path: Path) -> None:
        card.authority.revoke(card.serial, at=datetime.now(UTC) - timedelta(minutes=1))
        assert refused(operator, present(card)).code == "revoked"
        trusted.CARD_CRL_DIR = tmp_path / "absent"
        assert refused(operator, present(card)).code == "revocation_unknown"

    def test_unknown_issuer(self, operator: User, bound: BoundCard, tmp_path: Path) -> None:
        """Same names, same card number."""
        assert refused(operator, present(Authorities(tmp_path / "stranger").card())).code == "unknown_issuer"

    def test_the_envelope_certificate(self, operator: User, bound: BoundCard, authorities: Authorities) -> None:
        assert refused(operator, present(authorities.card(envelope=True))).code == "wrong_key_usage"

    @pytest.mark.django_db(transaction=True)
    def test_never_inside_a_transaction(self, operator: User, bound: BoundCard, card: Card) -> None:
        """Who holds locks must not wait for an authority."""
        with pytest.raises(RuntimeError), transaction.atomic():
            card_signing.examine(actor=operator, text=TEXT, presented=present(card))
        assert card_signing.examine(actor=operator, text=TEXT, presented=present(card))


Keep = Callable[..., SignatureEvidence]


class TestKeep:
    """Evidence commits with what it is evidence of."""

    @pytest.fixture
    def seen(self, operator: User, bound: BoundCard, card: Card) -> Verified:
        found = card_signing.examine(actor=operator, text=TEXT, presented=present(card))
        assert found is not None
        return found

    @pytest.fixture
    def keep(self, operator: User, seen: Verified) -> Keep:
        def kept(**changes: Any) -> SignatureEvidence:
            facts: dict[str, Any] = {"verified": seen, "actor": operator, "enterprise_id": operator.enterprise_id}
            facts |= {"kind": EvidenceKind.FILING, "subject": "smartgate.filing.7", "document_no": TRIP_NO, "version": 1}
            return card_signing.keep(**(facts | changes))

        return kept

    @pytest.mark.covers("CARD-07")
    def test_all_that_shows_it(self, keep: Keep, seen: Verified, operator: User) -> None:
        kept = SignatureEvidence.unscoped.get(pk=keep().pk)
        assert (kept.text, bytes(kept.signature), kept.signed_at) == (TEXT, seen.signature, seen.at)
        assert [bytes(one) for one in kept.chain] == [one.der for one in seen.chain]
        assert seen.revocation is not None
        assert bytes(kept.revocation.der) == seen.revocation.der
        assert (kept.signer, kept.enterprise, kept.algorithm) == (operator, operator.enterprise, "SM2-with-SM3")
        ((_row, facts),) = evidence.facts(evidence.of_document(TRIP_NO))
        assert stored.verify(facts).certificate.card_no == HOLDER.card_no

    def test_once_for_each_version(self, keep: Keep) -> None:
        keep()
        with pytest.raises(IntegrityError), transaction.atomic():
            keep()
        keep(version=2)
        keep(subject="smartgate.filing.8")
        assert SignatureEvidence.unscoped.count() == 3

    def test_a_list_is_kept_once(self, keep: Keep, seen: Verified) -> None:
        keep()
        keep(version=2)
        assert RevocationProof.objects.count() == 1
        assert seen.revocation is not None
        keep(version=3, verified=replace(seen, revocation=replace(seen.revocation, der=b"another")))
        assert RevocationProof.objects.count() == 2
        assert keep(version=4, verified=replace(seen, revocation=None)).revocation is None

    @pytest.mark.django_db(transaction=True)
    def test_rolled_back_it_leaves_nothing(self, keep: Keep) -> None:
        def refused_declaration() -> None:
            with transaction.atomic():
                keep()
                raise ActionRefused("不可以")

        with pytest.raises(ActionRefused):
            refused_declaration()
        assert not SignatureEvidence.unscoped.exists()
        assert not RevocationProof.objects.exists()

    @pytest.mark.parametrize("document_no", ["", "202311210000000012026000000002"])
    def test_the_text_names_its_document(self, keep: Keep, document_no: str) -> None:
        with pytest.raises(ValueError, match="does not name"):
            keep(document_no=document_no)


def test_what_is_presented_is_not_printed() -> None:
    assert "c2VjcmV0" not in repr(Presented("certificate", "c2VjcmV0"))
