"""申报 with the card (CARD-05, CARD-07, SGW-04): what counts goes out with its evidence, everything else goes nowhere."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.db import connection, transaction
from lxml import etree

from accounts.models import BoundCard, EvidenceKind, RevocationProof, SignatureEvidence, User
from accounts.services import bound_cards
from accounts.services.card_signing import CardRefused, Presented
from accounts.signatures import cards
from accounts.signatures.algorithms import Algorithm
from core.models import AuditEntry
from core.workflow import ActionRefused, ForbiddenTransition
from relay.models import OutboundMessage
from relay.services import dispatch
from simulators.cards.keys import KeyType
from smartgate import services
from smartgate.models import Filing, FilingStatus
from tests.accounts.card_holders import bind, card_of, signed
from tests.accounts.conftest import publish_list
from tests.cards import Authorities, Card, openssl_accepts
from tests.races import SECONDS, at_once, begun, meanwhile, refusals
from tests.smartgate.factories import header, line, make_filing
from tests.smartgate.wire import NS, receive_receipt, receive_technical_receipt

NAMES = {KeyType.SM2: Algorithm.SM2_SM3, KeyType.RSA_2048: Algorithm.RSA_SHA256, KeyType.P256: Algorithm.ECDSA_SHA256}
OTHER_CARD_NO = "2100000000002"
VERIFY = cards.verify


@pytest.fixture
def card(operator: User, cards_required: Authorities) -> Card:
    """The operator's bound card."""
    its = card_of(operator.enterprise, cards_required)
    bind(operator, its)
    return its


def fresh(user: User) -> User:
    """The user as the next request finds him."""
    return User.objects.get(pk=user.pk)


def text_of(actor: User, filing: Filing) -> str:
    """What the page shows him to sign."""
    return services.text_to_sign(actor=actor, filing=Filing.unscoped.get(pk=filing.pk))


def declare(actor: User, filing: Filing, card: Card, **options: Any) -> Filing:
    actor = fresh(actor)
    return services.declare_filing(actor=actor, filing_id=filing.pk, presented=signed(card, text_of(actor, filing)), **options)


def refuse(actor: User, filing: Filing, presented: Presented | None, **options: Any) -> ActionRefused:
    """Declaring is refused, and everything is as it was; gives the refusal."""
    before = Filing.unscoped.filter(pk=filing.pk).values().get()
    sent, kept = OutboundMessage.objects.count(), SignatureEvidence.unscoped.count()
    with pytest.raises(ActionRefused) as refusal:
        services.declare_filing(actor=fresh(actor), filing_id=filing.pk, presented=presented, **options)
    assert Filing.unscoped.filter(pk=filing.pk).values().get() == before
    assert (OutboundMessage.objects.count(), SignatureEvidence.unscoped.count()) == (sent, kept)
    entry = AuditEntry.unscoped.filter(action="smartgate.filing.declare", object_id=str(filing.pk), refused=True).latest("id")
    assert entry.reason == str(refusal.value)[:500]
    return refusal.value


def sign_info(message: OutboundMessage) -> dict[str, str]:
    root = etree.fromstring(bytes(message.content))
    found = root.find(f"{{{NS}}}SignInfo")
    return {} if found is None else {etree.QName(child).localname: child.text or "" for child in found}


@pytest.mark.django_db(transaction=True)
class TestAccepted:
    @pytest.mark.covers("SGW-04", "CARD-05", "CARD-07", "CARD-08")
    @pytest.mark.parametrize("kind", KeyType)
    def test_a_signed_filing_goes_out_with_what_was_signed(self, operator, cards_required, kind, tmp_path):
        card = card_of(operator.enterprise, cards_required, kind=kind)
        bind(operator, card)
        filing = make_filing(fresh(operator))
        text = text_of(fresh(operator), filing)
        declared = declare(operator, filing, card)

        assert (declared.status, declared.version) == (FilingStatus.DECLARED, 1)
        message = OutboundMessage.objects.get()
        root = etree.fromstring(bytes(message.content))
        assert etree.XMLSchema(file="docs/protocol/SGW101.xsd").validate(root)
        info = sign_info(message)
        assert info["algorithm"] == NAMES[kind]
        assert info["signed_text"] == text
        assert base64.b64decode(info["certificate"]) == card.certificate
        signature = base64.b64decode(info["signature"])
        assert openssl_accepts(card.certificate, info["signed_text"].encode(), signature, key_type=kind, home=tmp_path)

        evidence = SignatureEvidence.unscoped.get()
        assert (evidence.kind, evidence.subject, evidence.version) == (EvidenceKind.FILING, filing.subject, 1)
        assert (evidence.document_no, evidence.enterprise_id, evidence.signer_id) == (filing.trip_no, filing.enterprise_id, operator.pk)
        assert (evidence.text, evidence.algorithm, evidence.card_no) == (text, NAMES[kind], operator.ic_card_no)
        assert bytes(evidence.signature) == signature
        assert next(bytes(der) for der in evidence.chain) == card.certificate
        assert len(evidence.chain) == 3
        assert evidence.revocation.method == "crl"
        entry = AuditEntry.unscoped.get(action="smartgate.filing.declare", object_id=str(filing.pk))
        assert entry.after["card_no"] == evidence.card_no
        assert entry.after["certificate_no"] == evidence.certificate_no

    def test_the_signature_counts_in_both_forms(self, operator, card):
        filing = make_filing(fresh(operator))
        raw = card.sign(text_of(fresh(operator), filing).encode(), raw=True)
        assert len(raw) == 64
        services.declare_filing(
            actor=fresh(operator), filing_id=filing.pk, presented=Presented(card.as_text, base64.b64encode(raw).decode())
        )
        assert base64.b64decode(sign_info(OutboundMessage.objects.get())["signature"]) == raw

    def test_the_text_names_numbers_version_and_operator(self, operator, card):
        filing = make_filing(fresh(operator))
        lines = text_of(fresh(operator), filing).split("\n")
        assert lines[:2] == ["智能卡口散杂货申报单", "业务功能 Function：ADD 新增申报"]
        assert "申报版本 Version：1" in lines
        assert f"数据中心统一编码 SeqNo：{filing.data_center_no}" in lines
        assert f"车次确认编号 SureId：{filing.trip_no}" in lines
        assert f"操作人员 OpUserId：{fresh(operator).ic_card_no}" in lines

    @pytest.mark.covers("CARD-08")
    def test_a_renewed_certificate_of_the_bound_card_is_taken_down(self, operator, card, cards_required):
        renewed = card_of(operator.enterprise, cards_required, days=800)
        declare(operator, make_filing(fresh(operator)), renewed)
        bound = BoundCard.unscoped.get()
        assert bytes(bound.certificate) == renewed.certificate
        assert AuditEntry.unscoped.filter(action="accounts.card.renew").count() == 1

    def test_without_the_setting_nothing_is_signed(self, operator, settings):
        settings.CARD_REQUIRED = False
        filing = make_filing(operator)
        services.declare_filing(actor=operator, filing_id=filing.pk)
        assert sign_info(OutboundMessage.objects.get()) == {}
        assert not SignatureEvidence.unscoped.exists()

    def test_a_declaration_after_a_refused_one_is_signed_anew(self, operator, card):
        filing = make_filing(fresh(operator))
        declare(operator, filing, card)
        reject(filing)
        declare(operator, filing, card)
        assert list(SignatureEvidence.unscoped.order_by("version").values_list("version", flat=True)) == [1, 2]
        assert RevocationProof.objects.count() == 1


def reject(filing: Filing) -> None:
    """Customs answers with 退单."""
    dispatch("customs")
    filing.refresh_from_db()
    receive_technical_receipt(filing.message_id)
    receive_receipt(filing, "REJECTED", note="重量与舱单不符")
    filing.refresh_from_db()
    assert filing.status == FilingStatus.REJECTED


@pytest.mark.django_db(transaction=True)
class TestRefused:
    @pytest.mark.covers("CARD-05")
    def test_another_card(self, operator, card, cards_required):
        other = card_of(operator.enterprise, cards_required, card_no=OTHER_CARD_NO)
        filing = make_filing(fresh(operator))
        refusal = refuse(operator, filing, signed(other, text_of(fresh(operator), filing)))
        assert str(refusal) == f"当前卡号 {OTHER_CARD_NO} 与用户注册信息卡号 {fresh(operator).ic_card_no} 不一致，无法进行申报"

    @pytest.mark.covers("CARD-05")
    def test_no_card(self, operator, card):
        refusal = refuse(operator, make_filing(fresh(operator)), None)
        assert str(refusal) == "未检测到 IC 卡或 Ikey，无法进行申报。请插入与当前账号绑定的卡后重试。"

    @pytest.mark.covers("CARD-05")
    @pytest.mark.parametrize("in_reader", [True, False])
    def test_no_bound_card(self, operator, cards_required, in_reader):
        filing = make_filing(operator)
        presented = signed(card_of(operator.enterprise, cards_required), text_of(operator, filing)) if in_reader else None
        assert str(refuse(operator, filing, presented)) == "当前账号尚未绑定IC卡，无法进行申报。请先在“我的IC卡”中绑卡。"

    def test_a_signature_of_another_key(self, operator, card, cards_required):
        """The right certificate beside a signature that its key never made."""
        filing = make_filing(fresh(operator))
        forged = signed(card_of(operator.enterprise, cards_required), text_of(fresh(operator), filing))
        assert code_of(refuse(operator, filing, replace(forged, certificate=card.as_text))) == "wrong_signature"

    @pytest.mark.parametrize("signature", ["", "no base64!", base64.b64encode(b"nonsense").decode()])
    def test_what_is_no_signature(self, operator, card, signature):
        refusal = refuse(operator, make_filing(fresh(operator)), Presented(card.as_text, signature))
        assert code_of(refusal) in ("malformed_signature", "wrong_signature")

    def test_what_is_no_certificate(self, operator, card):
        filing = make_filing(fresh(operator))
        presented = replace(signed(card, text_of(fresh(operator), filing)), certificate="QUJD")
        assert code_of(refuse(operator, filing, presented)) == "malformed_certificate"

    @pytest.mark.covers("CARD-07")
    def test_a_signature_over_another_filing(self, operator, card):
        mine, other = make_filing(fresh(operator)), make_filing(fresh(operator), bind_key_info="辽B54321")
        assert code_of(refuse(operator, mine, signed(card, text_of(fresh(operator), other)))) == "wrong_signature"

    @pytest.mark.covers("CARD-07")
    def test_a_signature_made_before_a_refusal_is_of_no_use_again(self, operator, card):
        filing = make_filing(fresh(operator))
        first = signed(card, text_of(fresh(operator), filing))
        services.declare_filing(actor=fresh(operator), filing_id=filing.pk, presented=first)
        reject(filing)
        assert code_of(refuse(operator, filing, first)) == "wrong_signature"

    def test_what_was_changed_after_it_was_shown(self, operator, card):
        filing = make_filing(fresh(operator))
        presented = signed(card, text_of(fresh(operator), filing))
        services.save_filing(actor=fresh(operator), filing_id=filing.pk, lock_version=1, header=header(remark="改过"), lines=[line()])
        assert isinstance(refuse(operator, filing, presented, lock_version=1), services.FilingChanged)
        assert code_of(refuse(operator, filing, presented)) == "wrong_signature"

    def test_what_was_changed_while_it_was_examined(self, operator, card):
        """Between the examination and the lock: the row says something else than what was signed."""
        filing = make_filing(fresh(operator))
        presented = signed(card, text_of(fresh(operator), filing))

        def examine_slowly(**options: Any) -> cards.Verified:
            verified = VERIFY(**options)
            Filing.unscoped.filter(pk=filing.pk).update(remark="改过")
            return verified

        with (
            mock.patch.object(cards, "verify", examine_slowly),
            pytest.raises(services.FilingChanged, match="在签名期间已被修改"),
        ):
            services.declare_filing(actor=fresh(operator), filing_id=filing.pk, presented=presented)
        assert not OutboundMessage.objects.exists()
        assert not SignatureEvidence.unscoped.exists()

    @pytest.mark.covers("CARD-04")
    def test_the_card_of_the_enterprise_that_the_user_has_left(self, operator, card, other_enterprise):
        """Staff moved the account: its card speaks for the enterprise that the certificate names, and for no other."""
        User.objects.filter(pk=operator.pk).update(enterprise=other_enterprise)
        filing = make_filing(fresh(operator))
        refusal = refuse(operator, filing, signed(card, text_of(fresh(operator), filing)))
        assert code_of(refusal) == "another_holder"

    def test_a_card_unbound_while_it_was_examined(self, operator, card):
        filing = make_filing(fresh(operator))
        presented = signed(card, text_of(fresh(operator), filing))

        def examine_slowly(**options: Any) -> cards.Verified:
            verified = VERIFY(**options)
            assert bound_cards.unbind(actor=operator, user_id=operator.pk, card_no=verified.certificate.card_no)
            return verified

        with (
            mock.patch.object(cards, "verify", examine_slowly),
            pytest.raises(CardRefused, match="在签名期间已解绑"),
        ):
            services.declare_filing(actor=fresh(operator), filing_id=filing.pk, presented=presented)
        assert not OutboundMessage.objects.exists()

    def test_a_number_that_now_is_somebody_elses(self, operator, card, cards_required):
        again = card_of(operator.enterprise, cards_required, name="王操作", id_no="210202199001010024")
        filing = make_filing(fresh(operator))
        assert code_of(refuse(operator, filing, signed(again, text_of(fresh(operator), filing)))) == "another_holder"

    def test_an_expired_certificate(self, operator, card, cards_required):
        old = card_of(operator.enterprise, cards_required, valid_from=datetime.now(UTC) - timedelta(days=400), days=365)
        filing = make_filing(fresh(operator))
        assert code_of(refuse(operator, filing, signed(old, text_of(fresh(operator), filing)))) == "expired"

    def test_a_revoked_certificate(self, operator, card, cards_required, settings):
        card.authority.revoke(card.serial)
        publish_list(cards_required, settings.CARD_CRL_DIR, KeyType.P256)
        filing = make_filing(fresh(operator))
        assert code_of(refuse(operator, filing, signed(card, text_of(fresh(operator), filing)))) == "revoked"

    def test_an_unknown_issuer(self, operator, card, tmp_path):
        stranger = card_of(operator.enterprise, Authorities(tmp_path / "stranger"))
        filing = make_filing(fresh(operator))
        assert code_of(refuse(operator, filing, signed(stranger, text_of(fresh(operator), filing)))) == "unknown_issuer"

    def test_what_is_with_customs_already_is_said_before_the_card_is_spoken_of(self, operator, card):
        filing = make_filing(fresh(operator))
        declare(operator, filing, card)
        assert isinstance(refuse(operator, filing, None), ForbiddenTransition)

    def test_another_enterprises_filing_is_not_there(self, operator, other_operator, card):
        filing = make_filing(other_operator)
        with pytest.raises(Filing.DoesNotExist):
            services.declare_filing(actor=fresh(operator), filing_id=filing.pk, presented=signed(card, "…"))


def code_of(refusal: ActionRefused) -> str:
    assert isinstance(refusal, CardRefused)
    return refusal.code


@pytest.mark.django_db(transaction=True)
class TestTogetherOrNotAtAll:
    @pytest.mark.covers("CARD-07", "RLY-01")
    @pytest.mark.parametrize(
        "step",
        [
            "core.audit.record",
            "smartgate.services.declaring.queue_message",
            "smartgate.services.declaring.move",
            "accounts.services.card_signing.keep",
        ],
    )
    def test_whatever_breaks_nothing_half_done_stays(self, operator, card, step):
        filing = make_filing(fresh(operator))
        before = list(Filing.unscoped.filter(pk=filing.pk).values())
        with mock.patch(step, side_effect=RuntimeError("power cut")), pytest.raises(RuntimeError):
            declare(operator, filing, card)
        assert list(Filing.unscoped.filter(pk=filing.pk).values()) == before
        assert not OutboundMessage.objects.exists()
        assert not SignatureEvidence.unscoped.exists()
        declare(operator, filing, card)
        assert OutboundMessage.objects.count() == SignatureEvidence.unscoped.count() == 1

    def test_the_network_is_asked_outside_of_the_transaction(self, operator, card):
        asked = []

        def examine(**options: Any) -> cards.Verified:
            asked.append(connection.in_atomic_block)
            return VERIFY(**options)

        with mock.patch.object(cards, "verify", examine):
            declare(operator, make_filing(fresh(operator)), card)
        assert asked == [False]

    @pytest.mark.covers("SGW-04")
    def test_one_signature_used_four_times_at_once_declares_once(self, operator, card):
        filing = make_filing(fresh(operator))
        presented = signed(card, text_of(fresh(operator), filing))
        results = at_once(
            *[lambda: services.declare_filing(actor=fresh(operator), filing_id=filing.pk, presented=presented) for _number in range(4)]
        )
        assert refusals(results) == 3
        assert OutboundMessage.objects.count() == SignatureEvidence.unscoped.count() == 1
        filing.refresh_from_db()
        assert (filing.status, filing.version) == (FilingStatus.DECLARED, 1)

    def test_an_edit_at_the_same_time_leaves_evidence_message_and_row_alike(self, operator, card):
        filing = make_filing(fresh(operator))
        presented = signed(card, text_of(fresh(operator), filing))
        results = at_once(
            lambda: services.save_filing(
                actor=fresh(operator), filing_id=filing.pk, lock_version=1, header=header(remark="改过"), lines=[line()]
            ),
            lambda: services.declare_filing(actor=fresh(operator), filing_id=filing.pk, lock_version=1, presented=presented),
        )
        assert refusals(results) == 1
        filing.refresh_from_db()
        is_declared = filing.status == FilingStatus.DECLARED
        assert OutboundMessage.objects.count() == SignatureEvidence.unscoped.count() == is_declared
        assert filing.remark == ("散装大豆" if is_declared else "改过")

    def test_unbinding_at_the_same_time_comes_before_or_after(self, operator, card):
        filing = make_filing(fresh(operator))
        presented = signed(card, text_of(fresh(operator), filing))
        results = at_once(
            lambda: bound_cards.unbind(actor=operator, user_id=operator.pk, card_no=fresh(operator).ic_card_no),
            lambda: services.declare_filing(actor=fresh(operator), filing_id=filing.pk, presented=presented),
        )
        assert results[0] is True
        assert OutboundMessage.objects.count() == SignatureEvidence.unscoped.count() == 1 - refusals(results)

    def test_unbinding_while_the_evidence_is_stored_waits_and_blocks_nobody(self, operator, card):
        """Evidence names its signer, a row that 解绑 has locked by then: neither may wait for the other for ever."""
        filing = make_filing(fresh(operator))
        presented = signed(card, text_of(fresh(operator), filing))
        card_no = fresh(operator).ic_card_no
        unbind = partial(bound_cards.unbind, actor=operator, user_id=operator.pk, card_no=card_no)
        with meanwhile("accounts.services.card_signing.keep", unbind) as unbound:
            services.declare_filing(actor=fresh(operator), filing_id=filing.pk, presented=presented)
        assert unbound == [True]
        assert OutboundMessage.objects.count() == SignatureEvidence.unscoped.count() == 1
        assert not BoundCard.unscoped.exists()

    def test_declaring_while_the_card_is_unbound_waits_and_is_refused(self, operator, card):
        filing = make_filing(fresh(operator))
        presented = signed(card, text_of(fresh(operator), filing))
        with transaction.atomic():
            assert bound_cards.unbind(actor=operator, user_id=operator.pk, card_no=fresh(operator).ic_card_no)
            declaring = begun(lambda: services.declare_filing(actor=fresh(operator), filing_id=filing.pk, presented=presented))
            assert not declaring.done(), "it waits for who was first"
        assert isinstance(declaring.result(SECONDS), CardRefused)
        assert not OutboundMessage.objects.exists()
        assert not SignatureEvidence.unscoped.exists()
