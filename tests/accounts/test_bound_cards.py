"""Binding cards: whose a card is, what is refused, who wins when two are quick, renewed certificates (CARD-03, CARD-04)."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import BoundCard, CardPurpose, User
from accounts.rights import Role
from accounts.services import bound_cards, card_challenges
from accounts.services.card_signing import CardRefused, Presented
from core.workflow import ActionRefused
from simulators.cards.keys import KeyType
from tests.accounts.card_holders import BROWSER, CARD_NO, ID_NO, bind, card_of, challenge_for, prove, read, signed
from tests.accounts.conftest import publish_list
from tests.accounts.pages import trail
from tests.cards import Authorities
from tests.conftest import make_user

pytestmark = pytest.mark.django_db


def refused(code: str, job: Callable[[], Any]) -> str:
    """The text of the refusal, which must be this one, be in the trail, and have bound nothing."""
    bound, told = BoundCard.unscoped.count(), len(trail("accounts.card.bind"))
    with pytest.raises(CardRefused) as caught:
        job()
    assert caught.value.code == code
    *_before, entry = trail("accounts.card.bind")
    assert (entry.refused, entry.reason) == (True, str(caught.value))
    assert len(trail("accounts.card.bind")) == told + 1
    assert BoundCard.unscoped.count() == bound
    return str(caught.value)


@pytest.mark.covers("CARD-03", "CARD-08")
@pytest.mark.parametrize("kind", [KeyType.SM2, KeyType.P256])
def test_a_card_is_bound_by_what_its_certificate_says(trusted_cards: Authorities, operator, kind):
    card = card_of(operator.enterprise, trusted_cards, kind=kind)
    proof = prove(operator, card)
    assert not BoundCard.unscoped.exists(), "nothing is bound before the user has agreed"
    bound = bound_cards.bind(actor=operator, proof=proof)
    said = read(card)
    bound.refresh_from_db()
    assert (bound.user, bound.enterprise, bound.card_no) == (operator, operator.enterprise, CARD_NO)
    assert (bytes(bound.certificate), bound.certificate_no) == (card.certificate, said.serial_no)
    assert (bound.holder_name, bound.holder_id_no, bound.masked_holder_id_no) == ("李操作", ID_NO, "210***********0016")
    assert (bound.valid_from, bound.valid_to) == (said.valid_from, said.valid_to)
    assert bound.key_name == {KeyType.SM2: "SM2", KeyType.P256: "P-256"}[kind]
    assert User.objects.get(pk=operator.pk).ic_card_no == CARD_NO
    (entry,) = trail("accounts.card.bind")
    assert (entry.actor_name, entry.enterprise_id, entry.after["card_no"]) == ("operator1", operator.enterprise_id, CARD_NO)
    assert ID_NO not in str(entry.after)


class TestWhoseItIs:
    """CARD-04: the certificate names the enterprise, by its code, or by its name where it has no code."""

    @pytest.mark.covers("CARD-04")
    def test_the_code_decides_where_there_is_one(self, trusted_cards, enterprise, other_enterprise):
        renamed = read(card_of(enterprise, trusted_cards, enterprise_name="改名以前的公司"))
        assert bound_cards.names_enterprise(renamed, enterprise)
        namesake = read(card_of(enterprise, trusted_cards, organisation_code=other_enterprise.organisation_code))
        assert not bound_cards.names_enterprise(namesake, enterprise)

    @pytest.mark.covers("CARD-04")
    def test_a_code_may_be_written_with_a_dash(self, trusted_cards, enterprise):
        code = enterprise.organisation_code
        certificate = replace(read(card_of(enterprise, trusted_cards)), organisation_code=f" {code[:8]}-{code[8:].lower()}")
        assert bound_cards.names_enterprise(certificate, enterprise)

    @pytest.mark.covers("CARD-04")
    @pytest.mark.parametrize(
        ("on_card", "registered", "same"),
        [
            ("大连（测试）货运有限公司", "大连(测试)货运有限公司", True),
            ("大连 测试货运有限公司", "大连测试货运有限公司", True),
            ("大连测试货运有限公司", "大连测试货运有限公司营口分公司", False),
            ("", "大连测试货运有限公司", False),
            ("", "", False),
        ],
    )
    def test_without_a_code_the_name_decides(self, trusted_cards, enterprise, on_card, registered, same):
        certificate = replace(read(card_of(enterprise, trusted_cards)), enterprise_name=on_card, organisation_code="")
        enterprise.name = registered
        assert bound_cards.names_enterprise(certificate, enterprise) is same

    @pytest.mark.covers("CARD-04")
    def test_a_card_of_another_enterprise(self, trusted_cards, operator, other_enterprise):
        text = refused("another_enterprise", lambda: prove(operator, card_of(other_enterprise, trusted_cards)))
        assert other_enterprise.name in text
        assert operator.enterprise.name in text

    @pytest.mark.covers("CARD-04")
    def test_an_account_that_changed_the_enterprise_meanwhile(self, trusted_cards, operator, other_enterprise):
        proof = prove(operator, card_of(operator.enterprise, trusted_cards))
        User.objects.filter(pk=operator.pk).update(enterprise=other_enterprise)
        refused("another_enterprise", lambda: bound_cards.bind(actor=operator, proof=proof))

    def test_only_users_of_enterprises(self, trusted_cards, enterprise, staff):
        refused("no_enterprise", lambda: prove(staff, card_of(enterprise, trusted_cards)))
        guest = make_user("guest1", Role.CUSTOMS, enterprise)
        refused("no_enterprise", lambda: prove(guest, card_of(enterprise, trusted_cards)))


class TestOneCardOneAccount:
    @pytest.mark.covers("CARD-04")
    def test_bound_elsewhere(self, trusted_cards, operator, administrator):
        card = card_of(operator.enterprise, trusted_cards)
        late = prove(administrator, card)
        bind(operator, card)
        assert CARD_NO in refused("bound_elsewhere", lambda: prove(administrator, card))
        assert "一张卡只能绑定一个账号" in refused("bound_elsewhere", lambda: bound_cards.bind(actor=administrator, proof=late))

    @pytest.mark.covers("CARD-04")
    def test_bound_elsewhere_in_another_enterprise(self, trusted_cards, operator, other_operator):
        """A card that was given on: its old account still has it."""
        bind(operator, card_of(operator.enterprise, trusted_cards))
        refused("bound_elsewhere", lambda: prove(other_operator, card_of(other_operator.enterprise, trusted_cards)))

    @pytest.mark.covers("CARD-04")
    def test_a_second_card(self, trusted_cards, operator):
        first = card_of(operator.enterprise, trusted_cards)
        second = card_of(operator.enterprise, trusted_cards, card_no="2100000000002")
        late = prove(operator, second)
        bind(operator, first)
        assert "请先解绑" in refused("has_another_card", lambda: prove(operator, second))
        refused("has_another_card", lambda: bound_cards.bind(actor=operator, proof=late))
        refused("bound_already", lambda: prove(operator, first))

    @pytest.mark.covers("CARD-03")
    def test_unbound_and_bound_elsewhere(self, trusted_cards, operator, administrator):
        card = card_of(operator.enterprise, trusted_cards)
        bind(operator, card)
        assert bound_cards.unbind(actor=operator, user_id=operator.pk, card_no=CARD_NO)
        assert not bound_cards.unbind(actor=operator, user_id=operator.pk, card_no=CARD_NO)
        (entry,) = trail("accounts.card.unbind")
        assert (entry.actor_name, entry.before["card_no"], entry.before["user"]) == ("operator1", CARD_NO, "operator1")
        assert bind(administrator, card).user == administrator

    def test_what_is_unbound_is_what_was_shown(self, trusted_cards, operator):
        bind(operator, card_of(operator.enterprise, trusted_cards))
        assert not bound_cards.unbind(actor=operator, user_id=operator.pk, card_no="2100000000002")
        assert BoundCard.unscoped.get().card_no == CARD_NO

    def test_nobody_unbinds_anothers_card_but_staff(self, trusted_cards, operator, administrator, staff):
        bind(operator, card_of(operator.enterprise, trusted_cards))
        with pytest.raises(PermissionError):
            bound_cards.unbind(actor=administrator, user_id=operator.pk, card_no=CARD_NO)
        assert bound_cards.unbind(actor=staff, user_id=operator.pk, card_no=CARD_NO, reason="挂失")
        (entry,) = trail("accounts.card.unbind")
        assert (entry.actor_name, entry.enterprise_id, entry.reason) == ("staff1", operator.enterprise_id, "挂失")


class TestBadCards:
    """What is wrong with the card itself, in both halves."""

    @pytest.mark.covers("CARD-03")
    def test_expired_and_not_yet_valid(self, trusted_cards, operator):
        begin = timezone.now() - timedelta(days=30)
        refused("expired", lambda: prove(operator, card_of(operator.enterprise, trusted_cards, valid_from=begin, days=29)))
        later = timezone.now() + timedelta(days=1)
        refused("not_yet_valid", lambda: prove(operator, card_of(operator.enterprise, trusted_cards, valid_from=later)))

    def test_one_that_ends_while_the_user_thinks(self, trusted_cards, operator):
        now = timezone.now()
        card = card_of(operator.enterprise, trusted_cards, valid_from=now - timedelta(days=1), days=1 + 5 / 24 / 60)
        proof = prove(operator, card, at=now)
        refused("expired", lambda: bound_cards.bind(actor=operator, proof=proof, at=now + timedelta(minutes=6)))

    @pytest.mark.covers("CARD-03")
    def test_revoked(self, trusted_cards, operator, settings):
        card = card_of(operator.enterprise, trusted_cards)
        proof = prove(operator, card)
        card.authority.revoke(card.serial)
        publish_list(trusted_cards, settings.CARD_CRL_DIR, KeyType.P256)
        refused("revoked", lambda: bound_cards.bind(actor=operator, proof=proof))
        refused("revoked", lambda: prove(operator, card))

    def test_nobody_can_say_whether_it_is_revoked(self, trusted_cards, operator, settings):
        (settings.CARD_CRL_DIR / "p256.crl").unlink(missing_ok=True)
        for path in settings.CARD_CRL_DIR.iterdir():
            path.unlink()
        refused("revocation_unknown", lambda: prove(operator, card_of(operator.enterprise, trusted_cards)))

    @pytest.mark.covers("CARD-03")
    def test_an_unknown_issuer(self, trusted_cards, operator, tmp_path):
        stranger = Authorities(tmp_path / "strangers")
        refused("unknown_issuer", lambda: prove(operator, card_of(operator.enterprise, stranger)))

    def test_a_signature_over_something_else_or_by_another_card(self, trusted_cards, operator):
        card = card_of(operator.enterprise, trusted_cards)
        for presented in (
            signed(card, challenge_for()),
            Presented(card.as_text, signed(card_of(operator.enterprise, trusted_cards), "").signature),
        ):
            refused("wrong_signature", lambda presented=presented: present(operator, challenge_for(), presented))

    @pytest.mark.parametrize("junk", ["", "x", "中文", "A" * 40_000, "\0"])
    def test_junk(self, trusted_cards, operator, junk):
        card = card_of(operator.enterprise, trusted_cards)
        good = challenge_for()
        refused("malformed_certificate", lambda: present(operator, good, Presented(junk, signed(card, good).signature)))
        good = challenge_for()
        code = "malformed_signature" if junk in ("x", "中文", "\0") else "wrong_signature"
        refused(code, lambda: present(operator, good, Presented(card.as_text, junk)))
        refused("challenge", lambda: present(operator, junk, signed(card, junk)))


def present(user: User, challenge: str, presented: Presented, *, browser: str = BROWSER) -> bound_cards.Proof:
    return bound_cards.prove(actor=user, challenge=challenge, bound_to=browser, presented=presented)


class TestChallenges:
    @pytest.mark.covers("CARD-03")
    def test_a_challenge_has_one_try(self, trusted_cards, operator):
        card = card_of(operator.enterprise, trusted_cards)
        challenge = challenge_for()
        present(operator, challenge, signed(card, challenge))
        refused("challenge", lambda: present(operator, challenge, signed(card, challenge)))
        spoilt = challenge_for()
        refused("wrong_signature", lambda: present(operator, spoilt, signed(card, "something else")))
        refused("challenge", lambda: present(operator, spoilt, signed(card, spoilt)))

    @pytest.mark.covers("CARD-03")
    def test_of_another_session_or_for_logging_in_or_too_old(self, trusted_cards, operator):
        card = card_of(operator.enterprise, trusted_cards)
        theirs = challenge_for("session-2")
        refused("challenge", lambda: present(operator, theirs, signed(card, theirs)))
        login = challenge_for(purpose=CardPurpose.LOGIN)
        refused("challenge", lambda: present(operator, login, signed(card, login)))
        old = card_challenges.issue(purpose=CardPurpose.BIND, bound_to=BROWSER, at=timezone.now() - timedelta(minutes=3))
        refused("challenge", lambda: present(operator, old, signed(card, old)))


class TestProofs:
    """What is kept between the two pages."""

    def test_ten_minutes(self, trusted_cards, operator):
        card = card_of(operator.enterprise, trusted_cards)
        proof = prove(operator, card)
        for late in (timedelta(minutes=10, seconds=1), timedelta(seconds=-1)):
            text = refused("proof_too_old", lambda late=late: bound_cards.bind(actor=operator, proof=proof, at=proof.proved_at + late))
            assert "重新插卡" in text
        assert bound_cards.bind(actor=operator, proof=proof, at=proof.proved_at + timedelta(minutes=10))

    def test_for_one_user(self, trusted_cards, operator, administrator):
        proof = prove(operator, card_of(operator.enterprise, trusted_cards))
        refused("proof_too_old", lambda: bound_cards.bind(actor=administrator, proof=proof))

    def test_a_forged_one_binds_nothing(self, trusted_cards, operator):
        """Even who could write into the session would need the card."""
        proof = prove(operator, card_of(operator.enterprise, trusted_cards))
        other = card_of(operator.enterprise, trusted_cards, card_no="2100000000002")
        refused("wrong_signature", lambda: bound_cards.bind(actor=operator, proof=replace(proof, certificate=other.as_text)))
        refused("wrong_signature", lambda: bound_cards.bind(actor=operator, proof=replace(proof, challenge="0" * 64)))

    def test_it_survives_the_session(self, trusted_cards, operator):
        proof = prove(operator, card_of(operator.enterprise, trusted_cards))
        assert bound_cards.Proof.from_json(proof.as_json()) == proof
        assert proof.signature not in repr(proof)


class TestRenewal:
    @pytest.mark.covers("CARD-08")
    def test_a_renewed_certificate_takes_the_old_ones_place(self, trusted_cards, operator):
        bound = bind(operator, card_of(operator.enterprise, trusted_cards, days=20))
        BoundCard.unscoped.update(end_warned_at=timezone.now())
        old_to = bound.valid_to
        renewed = read(card_of(operator.enterprise, trusted_cards, days=700))
        assert bound_cards.renew(bound, renewed)
        bound.refresh_from_db()
        assert (bound.certificate_no, bytes(bound.certificate)) == (renewed.serial_no, renewed.der)
        assert (bound.valid_to, bound.end_warned_at) == (renewed.valid_to, None)
        (entry,) = trail("accounts.card.renew")
        assert entry.before["valid_to"] == old_to.isoformat()
        assert entry.after == {"certificate_no": renewed.serial_no, "valid_to": renewed.valid_to.isoformat()}
        assert not bound_cards.renew(bound, renewed), "once"

    @pytest.mark.covers("CARD-08")
    def test_never_by_one_that_ends_earlier_or_is_of_something_else(self, trusted_cards, operator, other_enterprise):
        bound = bind(operator, card_of(operator.enterprise, trusted_cards, days=100))
        for changes in (
            {"days": 99},
            {"days": 700, "card_no": "2100000000002"},
            {"days": 700, "organisation_code": other_enterprise.organisation_code},
            {"days": 700, "id_no": "210202199001010999"},
            {"days": 700, "id_no": "", "name": "王另人"},
        ):
            assert not bound_cards.renew(bound, read(card_of(operator.enterprise, trusted_cards, **changes))), changes
        bound.refresh_from_db()
        assert bound.certificate_no == BoundCard.unscoped.get().certificate_no
        assert not trail("accounts.card.renew")

    def test_one_that_was_unbound_meanwhile(self, trusted_cards, operator):
        bound = bind(operator, card_of(operator.enterprise, trusted_cards))
        bound_cards.unbind(actor=operator, user_id=operator.pk, card_no=CARD_NO)
        assert not bound_cards.renew(bound, read(card_of(operator.enterprise, trusted_cards, days=700)))


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs in threads that start together; their results, or the refusals they raised."""
    barrier = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return job()
        except ActionRefused as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


@pytest.mark.django_db(transaction=True)
class TestRaces:
    @pytest.mark.covers("CARD-04")
    def test_nobody_looks_while_another_is_about_to_bind(self, trusted_cards, operator, administrator, monkeypatch):
        """Two who both had found the card free would meet at the barrier; who has to wait for the other never gets there."""
        card = card_of(operator.enterprise, trusted_cards)
        proofs = [(user, prove(user, card)) for user in (operator, administrator)]
        meeting, look = Barrier(2), bound_cards._require_bindable

        def look_and_meet(*known: Any) -> Any:
            found = look(*known)
            with suppress(BrokenBarrierError):
                meeting.wait(timeout=1)
            return found

        monkeypatch.setattr(bound_cards, "_require_bindable", look_and_meet)
        results = at_once(*[lambda user=user, proof=proof: bound_cards.bind(actor=user, proof=proof) for user, proof in proofs])
        assert sum(isinstance(result, BoundCard) for result in results) == 1
        assert [result.code for result in results if isinstance(result, CardRefused)] == ["bound_elsewhere"]

    @pytest.mark.covers("CARD-04")
    def test_two_accounts_and_one_card(self, trusted_cards, operator, administrator):
        card = card_of(operator.enterprise, trusted_cards)
        proofs = [(user, prove(user, card)) for user in (operator, administrator) for _again in range(2)]
        results = at_once(*[lambda user=user, proof=proof: bound_cards.bind(actor=user, proof=proof) for user, proof in proofs])
        (winner,) = [result for result in results if isinstance(result, BoundCard)]
        assert BoundCard.unscoped.get() == winner
        assert {result.code for result in results if isinstance(result, CardRefused)} == {"bound_elsewhere", "bound_already"}

    @pytest.mark.covers("CARD-04")
    def test_one_account_and_two_cards(self, trusted_cards, operator):
        cards = [card_of(operator.enterprise, trusted_cards, card_no=f"210000000000{number}") for number in range(4)]
        proofs = [prove(operator, card) for card in cards]
        results = at_once(*[lambda proof=proof: bound_cards.bind(actor=operator, proof=proof) for proof in proofs])
        (winner,) = [result for result in results if isinstance(result, BoundCard)]
        assert BoundCard.unscoped.get() == winner
        refusals = [result for result in results if isinstance(result, CardRefused)]
        assert [refusal.code for refusal in refusals] == ["has_another_card"] * 3
        assert all(winner.card_no in str(refusal) for refusal in refusals)

    def test_not_inside_a_transaction(self, trusted_cards, operator):
        """Revocation is asked of the network."""
        card = card_of(operator.enterprise, trusted_cards)
        proof = prove(operator, card)
        with transaction.atomic(), pytest.raises(RuntimeError):
            prove(operator, card)
        with transaction.atomic(), pytest.raises(RuntimeError):
            bound_cards.bind(actor=operator, proof=proof)

    def test_what_breaks_leaves_nothing_half_done(self, trusted_cards, operator, monkeypatch):
        proof = prove(operator, card_of(operator.enterprise, trusted_cards))
        with monkeypatch.context() as broken:
            broken.setattr("accounts.services.bound_cards.audit.record", lambda **_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                bound_cards.bind(actor=operator, proof=proof)
        assert not BoundCard.unscoped.exists()
        assert bound_cards.bind(actor=operator, proof=proof)


def test_base64_with_line_ends_is_what_bridges_send(trusted_cards, operator):
    card = card_of(operator.enterprise, trusted_cards)
    challenge = challenge_for()
    presented = Presented(
        base64.encodebytes(card.certificate).decode(), base64.encodebytes(card.sign(challenge.encode(), raw=True)).decode()
    )
    assert present(operator, challenge, presented)
