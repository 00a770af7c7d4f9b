"""法人卡授权: who may give it, by what signature, and that no signature counts twice (CARD-06)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import core
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import CardAuthorisation, Enterprise, EvidenceKind, SignatureEvidence, User
from accounts.rights import ApplicationKey
from accounts.services import card_authorisations
from accounts.services.authorisation_text import authorisation_text
from accounts.services.card_authorisations import Draft
from accounts.services.card_signing import CardRefused, Presented
from accounts.signatures import cards, certificates
from simulators.cards import certificates as issuing
from simulators.cards.keys import Key, KeyType
from tests.accounts.card_holders import ID_NO, card_of, holder_of, read, signed
from tests.accounts.conftest import publish_list
from tests.accounts.pages import trail
from tests.accounts.test_bound_cards import at_once
from tests.cards import Authorities, Card

pytestmark = [pytest.mark.django_db, pytest.mark.covers("CARD-06")]
LIBRARY = ApplicationKey.HSCODE_LIBRARY
MARK = "1.3.6.1.4.1.5315.100.5.12"


@pytest.fixture
def company(enterprise):
    """An enterprise whose legal person is known."""
    enterprise.legal_person_id_no = ID_NO
    enterprise.save()
    return enterprise


@pytest.fixture
def legal_card(trusted_cards: Authorities, company) -> Card:
    return card_of(company, trusted_cards, name="王法人")


def marked_card(authorities: Authorities, holder: issuing.Holder, value: str) -> Card:
    """A card whose mark is this."""
    key, authority, now = Key.generate(KeyType.P256), authorities.of(KeyType.P256), timezone.now()
    others = [one for one in issuing.card_extensions(holder, issuing.SIGNING_USES, "http://127.0.0.1:9") if one["extn_id"].dotted != MARK]
    made = issuing.sign_certificate(
        serial=issuing.new_serial(),
        subject=holder.subject(),
        public_key=key.public_info(),
        issuer=authority.certificate.subject,
        issuer_key=authority.key,
        valid_from=now - timedelta(days=1),
        valid_to=now + timedelta(days=100),
        extensions=[*others, issuing.extension(MARK, core.UTF8String(value))],
    )
    return Card(key, made.dump(), authority)


def draft(user: User, **more: Any) -> Draft:
    return card_authorisations.draft(actor=user, application=LIBRARY, **more)


def authorise(user: User, card: Card, paper: Draft | None = None, **more: Any) -> CardAuthorisation:
    """Everything that the page does."""
    paper = paper or draft(user)
    return card_authorisations.authorise(actor=user, application=LIBRARY, token=paper.token, presented=signed(card, paper.text), **more)


def is_authorised(user: User, application: ApplicationKey = LIBRARY) -> bool:
    assert user.enterprise
    return card_authorisations.is_authorised(enterprise=user.enterprise, application=application)


def refused(code: str, job: Callable[[], Any]) -> str:
    """The text of the refusal, which is in the trail and has left nothing else behind."""
    before = (CardAuthorisation.unscoped.count(), SignatureEvidence.unscoped.count())
    with pytest.raises(CardRefused) as caught:
        job()
    assert caught.value.code == code
    assert (CardAuthorisation.unscoped.count(), SignatureEvidence.unscoped.count()) == before
    *_others, entry = trail("accounts.card.authorise")
    assert (entry.refused, entry.reason) == (True, str(caught.value))
    return str(caught.value)


def test_the_legal_persons_card_authorises(trusted_cards, operator, legal_card, other_operator):
    """It is not the operator's own card, and need not be: it has none bound."""
    assert not is_authorised(operator)
    paper = draft(operator)
    authorisation = authorise(operator, legal_card, paper)
    assert is_authorised(operator)
    assert not is_authorised(operator, ApplicationKey.INSPECTION)
    assert not is_authorised(other_operator)
    evidence = authorisation.evidence
    assert (evidence.kind, evidence.signer, evidence.holder_name, evidence.text) == (
        EvidenceKind.AUTHORISATION,
        operator,
        "王法人",
        paper.text,
    )
    again = cards.verify(
        certificate=bytes(evidence.chain[0]), data=evidence.text.encode(), signature=bytes(evidence.signature), at=evidence.signed_at
    )
    assert again.certificate.serial_no == read(legal_card).serial_no
    (entry,) = trail("accounts.card.authorise")
    assert (entry.actor_name, entry.enterprise_id, entry.refused) == ("operator1", operator.enterprise_id, False)
    assert entry.after["document_no"] == evidence.document_no
    assert ID_NO not in str(entry.after)


def test_the_text_says_what_a_person_has_to_know(operator, company):
    paper = draft(operator)
    for word in ("法人卡授权书", company.name, company.credit_code, "规范申报企业专属库", "operator1"):
        assert word in paper.text
    assert ID_NO not in paper.text
    assert draft(operator).text != paper.text, "every one has a number of its own"
    made = timezone.now()
    same = [authorisation_text(enterprise=company, application=LIBRARY, actor=operator, number="SQ1", at=made) for _twice in range(2)]
    assert same[0] == same[1]


def test_no_name_adds_a_line(operator, company):
    operator.full_name = "甲\n授权内容：全部"
    assert len(draft(operator).text.splitlines()) == 8


def test_every_application_can_be_authorised(operator):
    for application in ApplicationKey:
        assert str(application.label) in card_authorisations.draft(actor=operator, application=application).text


class TestOnce:
    def test_again_is_no_second_one(self, trusted_cards, operator, administrator, legal_card):
        paper = draft(operator)
        first = authorise(operator, legal_card, paper)
        assert authorise(operator, legal_card, paper) == first
        assert authorise(administrator, legal_card) == first
        assert (CardAuthorisation.unscoped.count(), SignatureEvidence.unscoped.count()) == (1, 1)
        assert len(trail("accounts.card.authorise")) == 1

    def test_a_signature_does_not_bring_back_what_was_ended(self, trusted_cards, operator, administrator, legal_card, company):
        used, unused = draft(operator), draft(operator)
        authorise(operator, legal_card, used)
        assert card_authorisations.end_authorisation(actor=administrator, enterprise=company, application=LIBRARY, reason="法人变更")
        assert not is_authorised(operator)
        assert not card_authorisations.end_authorisation(actor=administrator, enterprise=company, application=LIBRARY)
        (entry,) = trail("accounts.card.end_authorisation")
        assert (entry.actor_name, entry.reason) == ("admin1", "法人变更")
        refused("draft_used", lambda: authorise(operator, legal_card, used))
        refused("draft_used", lambda: authorise(operator, legal_card, unused))
        later = timezone.now() + timedelta(seconds=2)
        authorise(operator, legal_card, draft(operator, at=later), at=later)
        assert is_authorised(operator)
        assert (CardAuthorisation.unscoped.count(), SignatureEvidence.unscoped.count()) == (2, 2)

    def test_who_may_end_it(self, operator, other_operator, staff, legal_card, company):
        authorise(operator, legal_card)
        for stranger in (operator, other_operator):
            with pytest.raises(PermissionError):
                card_authorisations.end_authorisation(actor=stranger, enterprise=company, application=LIBRARY)
        assert is_authorised(operator)
        assert card_authorisations.end_authorisation(actor=staff, enterprise=company, application=LIBRARY)
        assert not is_authorised(operator)

    @pytest.mark.django_db(transaction=True)
    def test_two_at_once(self, trusted_cards, operator, administrator, legal_card):
        papers = [(user, draft(user)) for user in (operator, administrator)]
        results = at_once(*[lambda user=user, paper=paper: authorise(user, legal_card, paper) for user, paper in papers])
        assert results[0] == results[1] == CardAuthorisation.unscoped.get()
        assert SignatureEvidence.unscoped.count() == 1


class TestWhoseCard:
    def test_an_operators_card_is_not_enough(self, trusted_cards, operator, company):
        card = card_of(company, trusted_cards, id_no="210202198506123016", name="李操作")
        assert "李操作" in refused("no_legal_person", lambda: authorise(operator, card))

    def test_the_same_person_in_another_enterprise(self, trusted_cards, operator, company, other_enterprise):
        refused("another_enterprise", lambda: authorise(operator, card_of(other_enterprise, trusted_cards, name="王法人")))

    @pytest.mark.parametrize("missing", ["of the enterprise", "in the certificate"])
    def test_where_nothing_tells_it_is_refused(self, trusted_cards, operator, company, missing):
        card = card_of(company, trusted_cards, id_no=ID_NO if missing == "of the enterprise" else "")
        if missing == "of the enterprise":
            company.legal_person_id_no = ""
            company.save()
        refused("legal_person_unknown", lambda: authorise(User.objects.get(pk=operator.pk), card))

    def test_nobody_without_an_enterprise(self, trusted_cards, staff):
        with pytest.raises(CardRefused, match="企业用户"):
            draft(staff)

    def test_a_legal_person_who_changed_while_the_page_was_open(self, trusted_cards, operator, legal_card, company, monkeypatch):
        """Looked at again under the enterprise's lock."""
        verify = cards.verify

        def verify_and_change(**known: Any) -> Any:
            verified = verify(**known)
            Enterprise.objects.filter(pk=company.pk).update(legal_person_id_no="210202198506123016")
            return verified

        monkeypatch.setattr(cards, "verify", verify_and_change)
        refused("no_legal_person", lambda: authorise(operator, legal_card))


class TestMarks:
    @pytest.mark.parametrize(
        ("marks", "case"),
        [
            ([f"{MARK}=01"], ("01", True)),
            ([f"{MARK}=01"], ("00", False)),
            ([f"{MARK}=01", f"{MARK}=02"], ("02", True)),
            ([f"{MARK}=01", "1.3.6.1.4.1.5315.100.5.3=01"], ("01", True)),
            ([f"{MARK}=01", "1.3.6.1.4.1.5315.100.5.3=02"], ("01", False)),
            (["1.3.6.1.4.1.5315.100.9.9=01"], ("01", False)),
        ],
    )
    def test_marks_decide_where_there_is_no_number(self, trusted_cards, enterprise, settings, marks, case):
        settings.CARD_LEGAL_PERSON_MARKS = marks
        value, is_his = case
        card = read(marked_card(trusted_cards, holder_of(enterprise, id_no=""), value))
        assert card_authorisations.is_legal_persons(card, enterprise) is is_his

    def test_mark_and_number_must_agree(self, trusted_cards, operator, company, settings):
        settings.CARD_LEGAL_PERSON_MARKS = [f"{MARK}=01"]
        refused("no_legal_person", lambda: authorise(operator, marked_card(trusted_cards, holder_of(company), "00")))
        stranger = marked_card(trusted_cards, holder_of(company, id_no="210202198506123016"), "01")
        refused("no_legal_person", lambda: authorise(operator, stranger))
        assert authorise(operator, marked_card(trusted_cards, holder_of(company), "01"))

    def test_a_number_in_another_writing_is_the_same(self, trusted_cards, company):
        company.legal_person_id_no = "21020219900101001x"
        certificate = replace(read(card_of(company, trusted_cards)), holder_id_no="２１０２０２１９９００１０１００１X ")
        assert card_authorisations.is_legal_persons(certificate, company)

    def test_an_extension_that_is_no_text_says_nothing(self, trusted_cards, company):
        certificate = certificates.load(card_of(company, trusted_cards).certificate)
        assert certificate.private_text(MARK) == "00"
        assert certificate.private_text("2.5.29.15") == "", "key usage"
        assert certificate.private_text("1.2.3.4") == ""
        assert certificate.private_text("nonsense") == ""


class TestBadSignatures:
    def test_over_another_text(self, trusted_cards, operator, legal_card):
        paper, other = draft(operator), draft(operator)
        for text in (other.text, paper.text + " ", paper.text.replace("HSCODE", "x").replace("企业专属库", "其他")):
            refused(
                "wrong_signature",
                lambda text=text: card_authorisations.authorise(
                    actor=operator, application=LIBRARY, token=paper.token, presented=signed(legal_card, text)
                ),
            )

    def test_by_somebody_else_with_the_legal_persons_certificate(self, trusted_cards, operator, legal_card, company):
        paper = draft(operator)
        forged = Presented(legal_card.as_text, signed(card_of(company, trusted_cards), paper.text).signature)
        refused(
            "wrong_signature",
            lambda: card_authorisations.authorise(actor=operator, application=LIBRARY, token=paper.token, presented=forged),
        )

    def test_for_another_application_or_user_or_too_old_or_made_up(self, trusted_cards, operator, administrator, legal_card):
        paper, now = draft(operator), timezone.now()
        presented = signed(legal_card, paper.text)
        cases = [
            {"application": ApplicationKey.INSPECTION},
            {"actor": administrator},
            {"at": now + timedelta(minutes=31)},
            {"at": now - timedelta(minutes=1)},
            {"token": ""},
            {"token": paper.token[:-2]},
            {"token": "中文"},
        ]
        for case in cases:
            asked = {"actor": operator, "application": LIBRARY, "token": paper.token, "presented": presented} | case
            assert "30 分钟" in refused("draft_too_old", lambda asked=asked: card_authorisations.authorise(**asked))

    def test_expired_revoked_and_unknown(self, trusted_cards, operator, company, settings, tmp_path):
        begin = timezone.now() - timedelta(days=30)
        refused("expired", lambda: authorise(operator, card_of(company, trusted_cards, valid_from=begin, days=29)))
        refused(
            "not_yet_valid", lambda: authorise(operator, card_of(company, trusted_cards, valid_from=timezone.now() + timedelta(days=1)))
        )
        refused("unknown_issuer", lambda: authorise(operator, card_of(company, Authorities(tmp_path / "strangers"))))
        card = card_of(company, trusted_cards)
        card.authority.revoke(card.serial)
        publish_list(trusted_cards, settings.CARD_CRL_DIR, KeyType.P256)
        refused("revoked", lambda: authorise(operator, card))

    def test_junk(self, trusted_cards, operator, legal_card):
        paper = draft(operator)
        for presented in (Presented("", ""), Presented(legal_card.as_text, "!"), Presented("x" * 50_000, "AA==")):
            with pytest.raises((CardRefused, ValidationError)) as caught:
                card_authorisations.authorise(actor=operator, application=LIBRARY, token=paper.token, presented=presented)
            assert isinstance(caught.value, CardRefused)
