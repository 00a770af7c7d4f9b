"""申报 with the card, as the pages do it (CARD-05, SGW-04), and what 查看 says of signatures (CARD-07)."""

import html
import io
import re
import zipfile
from typing import Any

import pytest
from django.test import Client

from accounts.models import SignatureEvidence, User
from accounts.services import evidence
from relay.models import OutboundMessage
from simulators.cards.keys import KeyType
from smartgate.models import Filing, FilingStatus
from tests.accounts.card_holders import bind, card_of, signed
from tests.cards import Authorities, Card
from tests.smartgate.factories import make_evidence, make_filing
from tests.smartgate.pages import NEW, entry_post, problems_of
from tests.smartgate.test_filings import status_of

# Whether the card is revoked is asked outside of any transaction.
pytestmark = pytest.mark.django_db(transaction=True)
OTHER_CARD_NO = "2100000000002"


@pytest.fixture
def card(operator: User, cards_required: Authorities) -> Card:
    its = card_of(operator.enterprise, cards_required, kind=KeyType.SM2)
    bind(operator, its)
    return its


def ask(client: Client, url: str = NEW, **options: Any) -> Any:
    """申报 pressed on a page, up to what comes next."""
    return client.post(url, entry_post("declare", **options), follow=True)


def shown_text(page: str) -> str:
    """What the browser hands to the card: the text content of the element."""
    (found,) = re.findall(r'<pre [^>]*id="sign-text"[^>]*>(.*?)</pre>', page, re.DOTALL)
    return html.unescape(found)


def confirm(client: Client, response: Any, card: Card | None, **options: Any) -> Any:
    """确认申报 on the page that asks, with what the card makes of the text shown there."""
    presented = signed(card, shown_text(response.content.decode())) if card else None
    fields = {"certificate": presented.certificate, "signature": presented.signature} if presented else {}
    version = response.context["form"]["lock_version"].value()
    url = response.redirect_chain[-1][0] if response.redirect_chain else response.request["PATH_INFO"]
    return client.post(url, entry_post("declare_confirmed", lock_version=version, **fields, **options), follow=True)


@pytest.mark.covers("SGW-04", "CARD-05")
@pytest.mark.parametrize("begin", ["new", "edit", "copy"])
def test_declaring_stores_shows_what_is_signed_and_sends_it(operator, operator_client, card, begin):
    stored = None if begin == "new" else make_filing(operator, bind_key_info="辽B12345" if begin == "edit" else "辽B54321")
    url = NEW if stored is None else f"/smartgate/filings/{stored.pk}/{begin}/"
    options = {"lock_version": 1} if begin == "edit" else {}
    asked = ask(operator_client, url, **options)
    filing = Filing.unscoped.latest("pk")
    assert asked.redirect_chain == [(f"/smartgate/filings/{filing.pk}/edit/?declare", 302)]
    assert (filing.status, OutboundMessage.objects.count()) == (FilingStatus.DRAFT, 0)
    text = shown_text(asked.content.decode())
    assert f"数据中心统一编码 SeqNo：{filing.data_center_no}" in text.split("\n")

    done = confirm(operator_client, asked, card)
    assert done.redirect_chain == [(f"/smartgate/filings/{filing.pk}/", 302)]
    assert "申报成功" in done.content.decode()
    assert status_of(filing) == FilingStatus.DECLARED
    assert SignatureEvidence.unscoped.get().text == text
    assert OutboundMessage.objects.count() == 1
    assert Filing.unscoped.count() == (2 if begin == "copy" else 1)


def test_asking_twice_stores_once(operator_client, card):
    token = operator_client.get(NEW).context["form"]["entry_token"].value()
    first, second = (ask(operator_client, entry_token=token) for _time in range(2))
    assert first.redirect_chain == second.redirect_chain
    assert Filing.unscoped.count() == 1
    confirm(operator_client, second, card)
    assert operator_client.post(NEW, entry_post("declare", entry_token=token), follow=True).redirect_chain == [
        (f"/smartgate/filings/{Filing.unscoped.get().pk}/", 302)
    ]
    assert OutboundMessage.objects.count() == 1


@pytest.mark.covers("CARD-05")
def test_another_card_is_refused_in_the_manuals_words_and_the_right_one_counts_then(operator, operator_client, card, cards_required):
    other = card_of(operator.enterprise, cards_required, card_no=OTHER_CARD_NO)
    asked = ask(operator_client, header={"remark": "一车两卡"})
    refused = confirm(operator_client, asked, other, header={"remark": "一车两卡"})
    page = refused.content.decode()
    bound = User.objects.get(pk=operator.pk).ic_card_no
    assert re.findall(r'id="entry-refusal" role="alert">(.*?)</p>', page) == [
        f"当前卡号 {OTHER_CARD_NO} 与用户注册信息卡号 {bound} 不一致，无法进行申报"
    ]
    assert refused.redirect_chain == []
    assert refused.context["form"]["remark"].value() == "一车两卡"
    assert status_of(Filing.unscoped.get()) == FilingStatus.DRAFT
    assert not OutboundMessage.objects.exists()
    confirm(operator_client, refused, card, header={"remark": "一车两卡"})
    assert status_of(Filing.unscoped.get()) == FilingStatus.DECLARED


@pytest.mark.covers("CARD-05")
def test_nothing_signed_is_no_declaration(operator_client, card):
    """What a browser sends that has no script."""
    asked = ask(operator_client)
    assert "使用IC卡需要浏览器允许运行脚本" in asked.content.decode()
    refused = confirm(operator_client, asked, None)
    assert "未检测到 IC 卡或 Ikey，无法进行申报。请插入与当前账号绑定的卡后重试。" in refused.content.decode()
    assert "entry-question" in refused.content.decode()
    assert status_of(Filing.unscoped.get()) == FilingStatus.DRAFT


@pytest.mark.covers("CARD-05")
def test_without_a_bound_card_the_way_to_it_is_shown_and_the_draft_is_stored(operator_client, cards_required):
    page = ask(operator_client).content.decode()
    assert "当前账号尚未绑定IC卡，无法进行申报。请先在“我的IC卡”中绑卡。" in page
    assert re.search(r'<a [^>]*href="/accounts/cards/"[^>]*>我的IC卡', page)
    assert "单据已暂存，尚不能申报。" in page
    assert "是否要申报" not in page, "nothing is asked that cannot be answered"
    assert "declare_confirmed" not in page
    assert "data-card-panel" not in page
    assert status_of(Filing.unscoped.get()) == FilingStatus.DRAFT


def test_what_is_changed_under_the_question_is_stored_and_shown_anew(operator_client, card):
    asked = ask(operator_client)
    again = confirm(operator_client, asked, card, header={"remark": "改过"})
    assert "内容在显示签名原文之后有改动，已暂存。请核对新的签名原文，再确认申报。" in again.content.decode()
    assert "备注 Remark：改过" in shown_text(again.content.decode())
    assert (status_of(Filing.unscoped.get()), Filing.unscoped.get().remark) == (FilingStatus.DRAFT, "改过")
    done = confirm(operator_client, again, card, header={"remark": "改过"})
    assert "申报成功" in done.content.decode()
    assert "备注 Remark：改过" in SignatureEvidence.unscoped.get().text


def test_what_somebody_else_changed_meanwhile_is_not_declared(operator, administrator, operator_client, card):
    asked = ask(operator_client)
    filing = Filing.unscoped.get()
    Client_of(administrator).post(
        f"/smartgate/filings/{filing.pk}/edit/", entry_post("save", header={"remark": "别人"}, lock_version=filing.lock_version)
    )
    refused = confirm(operator_client, asked, card)
    assert "在您打开之后已被修改" in " ".join(problems_of(refused))
    filing.refresh_from_db()
    assert (filing.status, filing.remark) == (FilingStatus.DRAFT, "别人")
    assert not OutboundMessage.objects.exists()


def Client_of(user: User) -> Client:  # noqa: N802 - reads like the fixtures
    client = Client()
    client.force_login(user)
    return client


def test_a_confirmation_from_a_page_that_showed_no_text_leads_to_the_one_that_does(operator_client, card):
    response = operator_client.post(NEW, entry_post("declare_confirmed"))
    filing = Filing.unscoped.get()
    assert response.headers["Location"] == f"/smartgate/filings/{filing.pk}/edit/?declare"
    assert status_of(filing) == FilingStatus.DRAFT


def test_an_open_filing_of_the_vehicle_closes_the_question(operator, operator_client, card):
    confirm(operator_client, ask(operator_client), card)
    second = confirm(operator_client, ask(operator_client, header={"remark": "又一票"}), card, header={"remark": "又一票"})
    page = second.content.decode()
    assert "单据已暂存，但未能申报：介质“辽B12345”已有一票未办结的申报" in page
    assert "entry-question" not in page


def test_without_the_setting_the_question_is_as_it_was(operator, operator_client, card, settings):
    settings.CARD_REQUIRED = False
    response = ask(operator_client)
    assert response.redirect_chain == []
    assert "entry-question" in response.content.decode()
    assert "data-card-sign" not in response.content.decode()
    assert not Filing.unscoped.exists()
    operator_client.post(NEW, entry_post("declare_confirmed"))
    assert status_of(Filing.unscoped.get()) == FilingStatus.DECLARED
    assert not SignatureEvidence.unscoped.exists()


@pytest.mark.covers("CARD-07")
def test_the_filing_says_who_signed_it_and_hands_out_what_shows_it(operator_client, card):
    confirm(operator_client, ask(operator_client), card)
    filing, kept = Filing.unscoped.get(), SignatureEvidence.unscoped.get()
    page = operator_client.get(f"/smartgate/filings/{filing.pk}/").content.decode()
    section = page.split('id="filing-signatures"')[1].split("</section>")[0]
    for shown in ("operator1", "李操作", kept.card_no, "SM2-with-SM3", kept.certificate_no, "下载签名凭证"):
        assert shown in section
    response = operator_client.get(f"/smartgate/filings/{filing.pk}/signature/1/")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{filing.trip_no}-1.zip"'
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == evidence.files(kept)
        assert archive.read("text.txt").decode() == kept.text


@pytest.mark.covers("CARD-07")
def test_evidence_is_the_enterprises_own(operator, other_client, operator_client):
    filing = make_filing(operator)
    make_evidence(filing)
    url = f"/smartgate/filings/{filing.pk}/signature/1/"
    assert operator_client.get(url).status_code == 200
    assert other_client.get(url).status_code == 404
    assert operator_client.get(f"/smartgate/filings/{filing.pk}/signature/2/").status_code == 404
    other = make_filing(operator, bind_key_info="辽B54321")
    assert operator_client.get(f"/smartgate/filings/{other.pk}/signature/1/").status_code == 404
    assert 'id="filing-signatures"' not in operator_client.get(f"/smartgate/filings/{other.pk}/").content.decode()
