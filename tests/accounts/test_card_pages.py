"""我的IC卡, 绑卡, 解绑 as the user sees them, and IC卡 in /admin/ (CARD-03)."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import BoundCard, Registration, ReviewStatus, User
from accounts.services import bound_cards
from tests.accounts.card_holders import CARD_NO, ID_NO, bind, card_of, challenge_for, holder_of, signed
from tests.accounts.pages import client_of, errors_of, trail, tree_of
from tests.cards import Authorities, Card
from tests.conftest import bind_card

pytestmark = [pytest.mark.django_db, pytest.mark.covers("CARD-03")]
CARDS, BIND, CONFIRM, UNBIND = (f"/accounts/cards/{rest}" for rest in ("", "bind/", "bind/confirm/", "unbind/"))
ADMIN = "/admin/accounts/boundcard/"
#: 确定 on the second page, which showed this card.
CONFIRMED = {"answer": "bind", "card": CARD_NO}
COLUMNS = [
    "介质编号",
    "企业中文名称",
    "企业统一社会信用代码",
    "组织机构代码",
    "法人姓名",
    "法人证件类型",
    "法人证件号码",
    "企业地址",
    "证书到期",
]


@pytest.fixture
def firm(enterprise: Any) -> Any:
    enterprise.legal_person_name, enterprise.legal_person_id_no, enterprise.office_address = "王法人", ID_NO, "大连市中山区2号"
    enterprise.save()
    return enterprise


@pytest.fixture
def card(trusted_cards: Authorities, firm: Any) -> Card:
    return card_of(firm, trusted_cards)


def text_of(response: Any) -> str:
    return " ".join("".join(tree_of(response).xpath("//main")[0].itertext()).split())


def challenge(client: Client) -> str:
    value: str = client.post("/accounts/card/challenge/", {"purpose": "bind"}).json()["challenge"]
    return value


def sent(card: Card, value: str, **changes: str) -> dict[str, str]:
    """What the card panel posts."""
    presented = signed(card, value)
    return {"challenge": value, "certificate": presented.certificate, "signature": presented.signature} | changes


def present(client: Client, card: Card) -> Any:
    """The first page: card in, PIN typed."""
    return client.post(BIND, sent(card, challenge(client)))


def said(response: Any, client: Client, path: str = CARDS) -> str:
    """The message that the next page shows."""
    assert (response.status_code, response["Location"]) == (302, path)
    return text_of(client.get(path))


class TestBinding:
    def test_from_the_empty_list_to_the_bound_card(self, operator, operator_client, firm, card):
        empty = operator_client.get(CARDS)
        assert [cell.text_content() for cell in tree_of(empty).xpath("//th[@scope='col']")] == COLUMNS
        assert "无符合查询条件的数据!" in text_of(empty)
        assert tree_of(empty).xpath("//main//a[@href='/accounts/cards/bind/']")[0].text_content().strip() == "绑卡"
        assert not tree_of(empty).xpath("//main//input[@type='checkbox']")
        assert "请先插入IC卡" in text_of(operator_client.get(BIND))
        answer = present(operator_client, card)
        assert (answer.status_code, answer["Location"]) == (302, CONFIRM)
        page = operator_client.get(CONFIRM)
        facts = [(dt.text_content(), dt.getnext().text_content()) for dt in tree_of(page).xpath("//main//dt")]
        assert facts[:8] == [
            ("企业中文名称", firm.name),
            ("统一社会信用代码", firm.credit_code),
            ("组织机构代码", firm.organisation_code),
            ("操作员姓名", "李操作"),
            ("操作员证件类型", "身份证"),
            ("操作员证件号码", "210***********0016"),
            ("企业地址", "大连市中山区2号"),
            ("介质号码", CARD_NO),
        ]
        assert tree_of(page).xpath("//h1")[0].text_content().strip() == "请确认绑卡信息"
        assert ID_NO not in page.content.decode()
        assert card.as_text not in page.content.decode(), "what was proved stays on the server"
        assert not BoundCard.unscoped.exists()
        assert "绑卡成功" in said(operator_client.post(CONFIRM, CONFIRMED), operator_client)
        assert BoundCard.unscoped.get().user == operator
        listed = operator_client.get(CARDS)
        for word in (CARD_NO, firm.name, firm.credit_code, firm.organisation_code, "王法人", "身份证", "大连市中山区2号"):
            assert word in text_of(listed)
        assert ID_NO not in listed.content.decode()
        assert not tree_of(listed).xpath("//main//a[@href='/accounts/cards/bind/']")

    def test_cancelled(self, operator_client, card):
        present(operator_client, card)
        assert "没有绑定任何卡" in said(operator_client.post(CONFIRM, {"answer": "cancel"}), operator_client)
        operator_client.post(CONFIRM, CONFIRMED)
        assert not BoundCard.unscoped.exists()

    def test_a_button_that_nobody_pressed_binds_nothing(self, operator_client, card):
        present(operator_client, card)
        operator_client.post(CONFIRM, {})
        assert not BoundCard.unscoped.exists()

    def test_who_has_a_card_is_sent_back_to_it(self, operator, operator_client, card):
        bind(operator, card)
        assert "请先解绑" in said(operator_client.get(BIND), operator_client)
        assert "无需重复绑定" in errors_of(present(operator_client, card))


class TestConfirmingWithoutACard:
    def test_without_a_proof(self, operator_client):
        assert "没有读到卡" in said(operator_client.get(CONFIRM), operator_client, BIND)
        assert "没有读到卡" in said(operator_client.post(CONFIRM, CONFIRMED), operator_client, BIND)
        assert not BoundCard.unscoped.exists()

    def test_what_the_page_sends_is_no_proof(self, operator_client, card):
        value = challenge(operator_client)
        forged = sent(card, value, user_id="1", proved_at=timezone.now().isoformat()) | CONFIRMED
        operator_client.post(CONFIRM, forged)
        assert not BoundCard.unscoped.exists()

    @pytest.mark.covers("CARD-03")
    def test_another_card_read_in_another_window_since(self, operator_client, card, trusted_cards, firm):
        """What is bound is what the page showed whose 确定 was pressed."""
        present(operator_client, card)
        shown = tree_of(operator_client.get(CONFIRM)).xpath("//input[@name='card']/@value")
        assert shown == [CARD_NO]
        present(operator_client, card_of(firm, trusted_cards, card_no="2100000000002"))
        assert "另一张卡" in said(operator_client.post(CONFIRM, CONFIRMED), operator_client, BIND)
        assert not BoundCard.unscoped.exists()

    def test_a_proof_too_old(self, operator_client, card):
        present(operator_client, card)
        session = operator_client.session
        session["card_proof"] = session["card_proof"] | {"proved_at": (timezone.now() - timedelta(minutes=11)).isoformat()}
        session.save()
        assert "10 分钟" in said(operator_client.get(CONFIRM), operator_client, BIND)
        assert "10 分钟" in said(operator_client.post(CONFIRM, CONFIRMED), operator_client)
        assert not BoundCard.unscoped.exists()

    def test_a_proof_is_used_once(self, operator, operator_client, card):
        present(operator_client, card)
        operator_client.post(CONFIRM, CONFIRMED)
        bound_cards.unbind(actor=operator, user_id=operator.pk, card_no=CARD_NO)
        operator_client.post(CONFIRM, CONFIRMED)
        assert not BoundCard.unscoped.exists()

    def test_another_user_in_the_same_browser(self, operator_client, administrator, card):
        present(operator_client, card)
        kept = operator_client.session["card_proof"]
        other = client_of(administrator)
        session = other.session
        session["card_proof"] = kept
        session.save()
        assert other.get(CONFIRM).status_code == 302
        other.post(CONFIRM, CONFIRMED)
        assert not BoundCard.unscoped.exists()


class TestRefused:
    """The page says why; nothing is bound and no proof is kept."""

    def refused(self, client: Client, response: Any, words: str) -> None:
        assert words in errors_of(response)
        assert "card_proof" not in client.session
        assert not BoundCard.unscoped.filter(user__username="operator1").exists()

    def test_another_enterprises_card(self, operator_client, trusted_cards, other_enterprise):
        self.refused(operator_client, present(operator_client, card_of(other_enterprise, trusted_cards)), "请使用本企业的卡")

    def test_bound_elsewhere(self, administrator, operator_client, card):
        bind(administrator, card)
        self.refused(operator_client, present(operator_client, card), "一张卡只能绑定一个账号")

    def test_lost_to_somebody_quicker(self, administrator, operator_client, card):
        present(operator_client, card)
        bind(administrator, card)
        assert "一张卡只能绑定一个账号" in said(operator_client.post(CONFIRM, CONFIRMED), operator_client)
        assert BoundCard.unscoped.get().user == administrator

    def test_expired_not_yet_valid_and_unknown(self, operator_client, trusted_cards, firm, tmp_path):
        begin = timezone.now() - timedelta(days=30)
        self.refused(operator_client, present(operator_client, card_of(firm, trusted_cards, valid_from=begin, days=29)), "到期")
        later = card_of(firm, trusted_cards, valid_from=timezone.now() + timedelta(days=1))
        self.refused(operator_client, present(operator_client, later), "起生效")
        stranger = Authorities(tmp_path / "strangers").card(holder=holder_of(firm))
        self.refused(operator_client, present(operator_client, stranger), "认可的机构")

    def test_a_replayed_challenge_and_another_sessions(self, operator_client, other_client, card):
        value = challenge(operator_client)
        operator_client.post(BIND, sent(card, value, signature=signed(card, "something else").signature))
        self.refused(operator_client, operator_client.post(BIND, sent(card, value)), "签名已失效")
        self.refused(operator_client, operator_client.post(BIND, sent(card, challenge(other_client))), "签名已失效")
        self.refused(operator_client, operator_client.post(BIND, sent(card, challenge_for())), "签名已失效")

    def test_nothing_signed(self, operator_client, card):
        self.refused(operator_client, operator_client.post(BIND, {}), "没有收到IC卡的签名")
        self.refused(operator_client, operator_client.post(BIND, sent(card, challenge(operator_client), challenge="")), "签名已失效")
        self.refused(operator_client, operator_client.post(BIND, sent(card, "x", certificate="A" * 40_000)), "无法识别")

    def test_users_without_an_enterprise_have_no_such_page(self, staff_client):
        for path in (CARDS, BIND, CONFIRM):
            assert staff_client.get(path).status_code == 403
        assert staff_client.post(BIND, {}).status_code == 403


class TestList:
    def test_the_number_of_registration_is_a_hint_while_nothing_is_bound(self, operator, operator_client, firm, card):
        Registration.objects.create(
            user=operator,
            role=operator.role,
            credit_code=firm.credit_code,
            ic_card_no="8950202110101",
            status=ReviewStatus.APPROVED,
            submitted_at=timezone.now(),
        )
        page = text_of(operator_client.get(CARDS))
        assert "8950202110101" in page
        assert "无符合查询条件的数据!" in page, "stated is not bound"
        bind(operator, card)
        assert "8950202110101" not in text_of(operator_client.get(CARDS))

    @pytest.mark.covers("CARD-08")
    @pytest.mark.parametrize(("days", "word"), [(-1, "已到期"), (29, "即将到期"), (31, "")])
    def test_a_certificate_that_ends(self, operator, operator_client, days, word):
        bind_card(operator)
        BoundCard.unscoped.update(valid_to=timezone.now() + timedelta(days=days))
        (cell,) = tree_of(operator_client.get(CARDS)).xpath("//tbody/tr/td[last()]")
        assert f"{timezone.localtime(BoundCard.unscoped.get().valid_to):%Y-%m-%d}" in cell.text_content()
        assert cell.text_content()[10:].strip() == word

    def test_ones_own_card_only(self, operator, administrator, card):
        bind(administrator, card)
        assert "无符合查询条件的数据!" in text_of(client_of(operator).get(CARDS))

    def test_who_moved_to_another_enterprise_can_still_unbind(self, operator, card, other_enterprise):
        bind(operator, card)
        User.objects.filter(pk=operator.pk).update(enterprise=other_enterprise)
        client = client_of(User.objects.get(pk=operator.pk))
        assert CARD_NO in text_of(client.get(CARDS))
        assert "已解绑" in said(client.post(UNBIND, {"card": CARD_NO}), client)


class TestUnbinding:
    def test_asks_wants_a_tick_and_works_without_a_script(self, operator, operator_client):
        bind_card(operator, CARD_NO)
        (tick,) = tree_of(operator_client.get(CARDS)).xpath("//main//input[@type='checkbox']")
        (form,) = tree_of(operator_client.get(CARDS)).xpath("//main//details//form")
        assert (tick.get("form"), tick.get("name"), tick.get("value")) == (form.get("id"), "card", CARD_NO)
        assert tick.get("required") is not None
        assert tick.get("checked") is None
        assert form.get("action") == UNBIND
        assert "请先勾选" in said(operator_client.post(UNBIND, {}), operator_client)
        assert BoundCard.unscoped.exists()
        assert "已解绑" in said(operator_client.post(UNBIND, {"card": CARD_NO}), operator_client)
        assert not BoundCard.unscoped.exists()
        (entry,) = trail("accounts.card.unbind")
        assert entry.actor_name == "operator1"
        assert "可能已经解绑" in said(operator_client.post(UNBIND, {"card": CARD_NO}), operator_client)

    def test_somebody_elses_card(self, administrator, operator_client):
        bind_card(administrator, CARD_NO)
        assert "没有绑定到当前账号" in said(operator_client.post(UNBIND, {"card": CARD_NO}), operator_client)
        assert BoundCard.unscoped.exists()

    @pytest.mark.parametrize("junk", ["2100000000\x00", "介质", "0" * 5000])
    def test_what_is_no_number(self, operator, operator_client, junk):
        bind_card(operator)
        assert "没有绑定到当前账号" in said(operator_client.post(UNBIND, {"card": junk}), operator_client)
        assert BoundCard.unscoped.filter(user=operator).exists()

    def test_only_by_post(self, operator, operator_client):
        bind_card(operator)
        assert operator_client.get(UNBIND).status_code == 405
        assert BoundCard.unscoped.exists()


class TestStaff:
    def test_find_a_card_by_its_number(self, staff_client, operator, other_operator):
        bind_card(operator, "2100000000001")
        bind_card(other_operator, "2100000000002")
        BoundCard.unscoped.update(holder_id_no=ID_NO)
        found = staff_client.get(ADMIN, {"q": "2100000000002"}).content.decode()
        assert "operator2" in found
        assert "operator1" not in found
        page = staff_client.get(f"{ADMIN}{operator.bound_card.pk}/change/").content.decode()
        assert "210***********0016" in page
        assert ID_NO not in page

    def test_a_lost_card_is_unbound_with_a_reason(self, staff_client, operator):
        bound = bind_card(operator)
        asked = {"action": "unbind", "_selected_action": [bound.pk]}
        assert "请先核实" in staff_client.post(ADMIN, asked).content.decode()
        assert "请填写解绑原因" in staff_client.post(ADMIN, asked | {"confirmed": "1", "reason": " "}).content.decode()
        assert BoundCard.unscoped.exists()
        staff_client.post(ADMIN, asked | {"confirmed": "1", "reason": "用户来电挂失"})
        assert not BoundCard.unscoped.exists()
        (entry,) = trail("accounts.card.unbind")
        assert (entry.actor_name, entry.reason, entry.enterprise_id) == ("staff1", "用户来电挂失", operator.enterprise_id)

    def test_nothing_else_is_changed(self, staff_client, operator):
        bound = bind_card(operator)
        assert staff_client.get(f"{ADMIN}add/").status_code == 403
        assert staff_client.post(f"{ADMIN}{bound.pk}/change/", {"card_no": "2100000000009"}).status_code == 403
        assert staff_client.post(f"{ADMIN}{bound.pk}/delete/", {"post": "yes"}).status_code == 403
        staff_client.post(ADMIN, {"action": "delete_selected", "_selected_action": [bound.pk], "post": "yes"})
        assert BoundCard.unscoped.get().card_no == bound.card_no

    def test_staff_without_the_permission_do_not_unbind(self, staff, staff_client, operator):
        bound = bind_card(operator)
        staff.is_superuser = False
        staff.save()
        staff.user_permissions.add(Permission.objects.get(codename="view_boundcard"))
        assert staff_client.get(ADMIN).status_code == 200
        staff_client.post(ADMIN, {"action": "unbind", "_selected_action": [bound.pk], "confirmed": "1", "reason": "x"})
        assert BoundCard.unscoped.exists()
