"""批量申报: each filing signed and sent by itself, once, whatever breaks in between (SGW-10, CARD-05, CARD-07)."""

import html
import re
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import SignatureEvidence, User
from accounts.signatures import sources
from relay.models import OutboundMessage
from simulators.cards.keys import KeyType
from smartgate import cautions, services, tasks
from smartgate.batches import services as batches
from smartgate.batches import views
from smartgate.batches.models import Batch, BatchItem
from smartgate.cautions import CautionCode as Code
from smartgate.importing import services as importing
from smartgate.models import Filing, FilingStatus
from tests.accounts.card_holders import bind, card_of, signed
from tests.cards import Authorities, Card
from tests.races import at_once
from tests.smartgate.factories import CONTAINER_LINE, header, line, make_bill, make_filing
from tests.smartgate.workbooks import filing_rows, imported
from tests.smartgate.workbooks import workbook as made

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.covers("SGW-10")]


@pytest.fixture
def card(operator: User, cards_required: Authorities) -> Card:
    """The operator's bound card."""
    its = card_of(operator.enterprise, cards_required, kind=KeyType.P256)
    bind(operator, its)
    return its


def drafts(actor, count):
    return [make_filing(actor, bind_key_info=f"辽B2{number:04d}") for number in range(count)]


def batch_of(actor, filings):
    return batches.from_filings(actor=actor, filing_ids=[filing.pk for filing in filings])


def items_on(page):
    """What the script finds on the page: (item, version of the row, text to sign)."""
    found = re.findall(r'data-item="(\d+)" data-lock-version="(\d+)".*?data-sign-text>(.*?)</pre>', page.content.decode(), re.DOTALL)
    return [(number, version, html.unescape(text)) for number, version, text in found]


def send_all(client, batch, items, card):
    """What the script sends of items that the card has signed."""
    presented = [signed(card, text) for _number, _version, text in items]
    data = {
        "shown": " ".join(f"{number}:{version}" for number, version, _text in items),
        "certificate": presented[0].certificate,
        "signature": [one.signature for one in presented],
    }
    return client.post(f"/smartgate/declare/{batch.pk}/items/", data)


def send(client, batch, item, card, text=None):
    """The same of one item; gives the answer."""
    number, version, shown = item
    return send_all(client, batch, [(number, version, shown if text is None else text)], card)


def told(response):
    """What the answer says of the only item, beside the counts."""
    answer = response.json()
    (of_item,) = answer["items"]
    return {**of_item, "counts": answer["counts"]}


def statuses():
    return list(Filing.unscoped.order_by("pk").values_list("status", flat=True))


@pytest.mark.covers("CARD-05", "CARD-07", "SGW-04")
def test_each_filing_goes_out_under_its_own_signature(operator, operator_client, card):
    batch = batch_of(User.objects.get(pk=operator.pk), drafts(operator, 3))
    page = operator_client.get(f"/smartgate/declare/{batch.pk}/")
    items = items_on(page)
    assert [text for _item, _version, text in items] == [
        services.text_to_sign(actor=User.objects.get(pk=operator.pk), filing=filing) for filing in Filing.unscoped.order_by("pk")
    ]
    for number, item in enumerate(items, start=1):
        answer = told(send(operator_client, batch, item, card))
        assert (answer["declared"], answer["reason"], answer["counts"]["declared"]) == (True, "", number)
    assert statuses() == [FilingStatus.DECLARED] * 3
    assert sorted(SignatureEvidence.unscoped.values_list("text", flat=True)) == sorted(text for _item, _version, text in items)
    assert OutboundMessage.objects.count() == 3
    assert "全部已申报" in operator_client.get(f"/smartgate/declare/{batch.pk}/").content.decode()


def test_one_that_is_refused_says_why_and_holds_up_nobody(operator, operator_client, card):
    filings = drafts(operator, 3)
    # Another filing of the second one's vehicle is under way.
    rival = make_filing(operator, bind_key_info="辽B20001")
    its_batch = batch_of(operator, [rival])
    send(operator_client, its_batch, items_on(operator_client.get(f"/smartgate/declare/{its_batch.pk}/"))[0], card)
    batch = batch_of(operator, filings)
    answers = [told(send(operator_client, batch, item, card)) for item in items_on(operator_client.get(f"/smartgate/declare/{batch.pk}/"))]
    assert [answer["declared"] for answer in answers] == [True, False, True]
    assert "已有一票未办结的申报" in answers[1]["reason"]
    assert answers[2]["counts"] == {"declared": 2, "failed": 1, "waiting": 0}
    again = operator_client.get(f"/smartgate/declare/{batch.pk}/")
    assert "已有一票未办结的申报" in again.content.decode()
    # Put right, the rest goes on by the same page.
    services.save_filing(actor=operator, filing_id=filings[1].pk, header=header(bind_key_info="辽B29999"), lines=[line()])
    (item,) = items_on(operator_client.get(f"/smartgate/declare/{batch.pk}/"))
    assert told(send(operator_client, batch, item, card))["counts"] == {"declared": 3, "failed": 0, "waiting": 0}


def test_what_was_shown_is_what_is_declared(operator, operator_client, card):
    (filing,) = drafts(operator, 1)
    batch = batch_of(operator, [filing])
    (item,) = items_on(operator_client.get(f"/smartgate/declare/{batch.pk}/"))
    services.save_filing(actor=operator, filing_id=filing.pk, header=header(remark="改过", bind_key_info="辽B20000"), lines=[line()])
    answer = told(send(operator_client, batch, item, card))
    assert (answer["declared"], "已被其他用户修改" in answer["reason"]) == (False, True)
    assert not OutboundMessage.objects.exists()


@pytest.mark.covers("CARD-05")
def test_another_card_stops_the_run_and_leaves_every_filing_as_it_was(operator, operator_client, card, cards_required):
    batch = batch_of(operator, drafts(operator, 2))
    stranger = card_of(operator.enterprise, cards_required, card_no="2100000000002")
    first = items_on(operator_client.get(f"/smartgate/declare/{batch.pk}/"))[0]
    response = send(operator_client, batch, first, stranger)
    assert response.status_code == 409
    assert "与用户注册信息卡号 2100000000001 不一致，无法进行申报" in response.json()["error"]
    # So does a signature over another filing's text, and none at all.
    assert send(operator_client, batch, first, card, text="别的内容").status_code == 409
    unsigned = operator_client.post(f"/smartgate/declare/{batch.pk}/items/", {"shown": f"{first[0]}:{first[1]}", "signature": ""})
    assert unsigned.status_code == 409
    assert (statuses(), BatchItem.unscoped.exclude(reason="").count()) == ([FilingStatus.DRAFT] * 2, 0)


def test_a_lost_answer_is_asked_for_again_and_declares_nothing_twice(operator, operator_client, card):
    batch = batch_of(operator, drafts(operator, 1))
    (item,) = items_on(operator_client.get(f"/smartgate/declare/{batch.pk}/"))
    answers = [told(send(operator_client, batch, item, card)) for _ in range(3)]
    assert all(answer == answers[0] for answer in answers)
    assert (answers[0]["declared"], OutboundMessage.objects.count()) == (True, 1)


class TestPortions:
    @pytest.fixture
    def batch(self, operator, card):
        return batch_of(operator, drafts(operator, 4))

    @pytest.fixture
    def items(self, operator_client, batch):
        return items_on(operator_client.get(f"/smartgate/declare/{batch.pk}/"))

    def test_many_in_one_request_each_under_its_own_signature(self, operator_client, batch, items, card):
        answer = send_all(operator_client, batch, items, card).json()
        assert [(one["item"], one["declared"], one["label"]) for one in answer["items"]] == [
            (int(number), True, "申报") for number, _version, _text in items
        ]
        assert (answer["counts"]["declared"], answer["error"]) == (4, "")
        assert {one.version for one in SignatureEvidence.unscoped.all()} == {1}
        assert sorted(SignatureEvidence.unscoped.values_list("text", flat=True)) == sorted(text for *_shown, text in items)

    @pytest.mark.covers("CARD-05")
    def test_whether_the_card_is_revoked_is_asked_once(self, operator_client, batch, items, card, monkeypatch):
        asked = []
        by_list = sources._by_list
        monkeypatch.setattr(sources, "_by_list", lambda *args: asked.append(args) or by_list(*args))
        send_all(operator_client, batch, items[:3], card)
        assert (len(asked), Filing.unscoped.filter(status=FilingStatus.DECLARED).count()) == (1, 3)
        send(operator_client, batch, items[3], card)
        assert len(asked) == 2

    def test_what_the_card_is_refused_for_stops_there_and_tells_of_those_before(self, operator_client, batch, items, card):
        number, version, _text = items[1]
        response = send_all(operator_client, batch, [items[0], (number, version, "别的内容"), *items[2:]], card)
        answer = response.json()
        assert (response.status_code, len(answer["items"]), answer["counts"]["declared"]) == (409, 1, 1)
        assert answer["error"]
        assert statuses() == [FilingStatus.DECLARED, *[FilingStatus.DRAFT] * 3]

    def test_what_there_was_no_time_for_is_left_to_the_next_request(self, operator_client, batch, items, card, monkeypatch):
        monkeypatch.setattr(views, "SIGNED_SECONDS", -1)
        answer = send_all(operator_client, batch, items, card).json()
        assert ([one["item"] for one in answer["items"]], answer["error"]) == ([int(items[0][0])], "")
        again = send_all(operator_client, batch, items[1:], card).json()
        assert again["counts"] == {"declared": 2, "failed": 0, "waiting": 2}

    @pytest.mark.parametrize("data", [{}, {"shown": "x"}, {"shown": "1:1"}, {"shown": "1:1 2:1", "signature": "x"}])
    def test_what_no_page_sends_declares_nothing(self, operator_client, batch, card, data):
        response = operator_client.post(f"/smartgate/declare/{batch.pk}/items/", data)
        assert (response.status_code, response.json()) == (400, {"error": "请刷新页面后重试。"})

    def test_one_of_another_batch_stops_all(self, operator, operator_client, batch, items, card):
        other = batch_of(operator, [make_filing(operator)])
        stranger = (str(other.items.get().pk), "1", "")
        assert send_all(operator_client, batch, [*items, stranger], card).status_code == 404
        assert FilingStatus.DECLARED not in statuses()


def test_two_tabs_at_once_declare_once_and_both_say_so(operator, operator_client, card):
    batch = batch_of(operator, drafts(operator, 1))
    (item,) = items_on(operator_client.get(f"/smartgate/declare/{batch.pk}/"))
    tabs = [Client() for _ in range(3)]
    for tab in tabs:
        tab.force_login(operator)
    answers = at_once(*[lambda tab=tab: told(send(tab, batch, item, card)) for tab in tabs])
    assert [answer["declared"] for answer in answers] == [True] * 3
    assert OutboundMessage.objects.count() == 1


def test_declared_on_its_own_page_or_deleted_it_is_not_asked_for(operator, operator_client, card):
    first, second, third = drafts(operator, 3)
    batch = batch_of(operator, [first, second, third])
    actor = User.objects.get(pk=operator.pk)
    services.declare_filing(actor=actor, filing_id=first.pk, presented=signed(card, services.text_to_sign(actor=actor, filing=first)))
    items = items_on(operator_client.get(f"/smartgate/declare/{batch.pk}/"))
    assert len(items) == 2
    services.delete_filing(actor=operator, filing_id=second.pk)
    answer = told(send(operator_client, batch, items[0], card))
    assert (answer["declared"], answer["reason"], answer["counts"]) == (False, "单据已被删除。", {"declared": 1, "failed": 0, "waiting": 1})
    assert len(items_on(operator_client.get(f"/smartgate/declare/{batch.pk}/"))) == 1


def test_who_has_no_card_is_told_where_to_bind_one(operator, operator_client, cards_required):
    batch = batch_of(operator, drafts(operator, 1))
    page = operator_client.get(f"/smartgate/declare/{batch.pk}/").content.decode()
    assert "当前账号尚未绑定IC卡" in page
    assert "确认申报" not in page


def test_the_batch_of_a_workbook_is_one(operator, operator_client):
    rows = [row for number in range(3) for row in filing_rows({"bind_key_info": f"辽B3{number:04d}"})]
    one = imported(operator, made(rows))
    assert "请先暂存" in operator_client.post(f"/smartgate/import/{one.pk}/declare/", follow=True).content.decode()
    importing.store(actor=operator, import_id=one.pk)
    importing.work(one.pk)
    addresses = {operator_client.post(f"/smartgate/import/{one.pk}/declare/").headers["Location"] for _ in range(2)}
    assert addresses == {f"/smartgate/declare/{Batch.unscoped.get().pk}/"}
    assert Batch.unscoped.get().items.count() == 3
    # Where no signature is wanted the page needs no script.
    (address,) = addresses
    shown = operator_client.get(address).context["shown"]
    page = operator_client.post(address, {"shown": shown}, follow=True).content.decode()
    assert "全部已申报" in page
    assert statuses() == [FilingStatus.DECLARED] * 3


def stored_workbook(operator, count):
    rows = [row for number in range(count) for row in filing_rows({"bind_key_info": f"辽B3{number:04d}"})]
    one = imported(operator, made(rows))
    importing.store(actor=operator, import_id=one.pk)
    importing.work(one.pk)
    return one


def test_what_was_declared_before_the_batch_is_not_in_it(operator, operator_client):
    one = stored_workbook(operator, 2)
    first, second = Filing.unscoped.order_by("pk")
    services.declare_filing(actor=operator, filing_id=first.pk)
    address = operator_client.post(f"/smartgate/import/{one.pk}/declare/").headers["Location"]
    assert [item.filing_id for item in Batch.unscoped.get().items.all()] == [second.pk]
    shown = operator_client.get(address).context["shown"]
    assert "全部已申报" in operator_client.post(address, {"shown": shown}, follow=True).content.decode()


def test_a_workbook_with_nothing_left_to_declare_says_so(operator, operator_client):
    one = stored_workbook(operator, 1)
    services.declare_filing(actor=operator, filing_id=Filing.unscoped.get().pk)
    page = operator_client.post(f"/smartgate/import/{one.pk}/declare/", follow=True).content.decode()
    assert "该文件的单据都已申报或删除" in page
    assert not Batch.unscoped.exists()


def test_unsigned_too_what_was_shown_is_what_is_declared(operator, operator_client):
    changed, same = drafts(operator, 2)
    batch = batch_of(operator, [changed, same])
    address = f"/smartgate/declare/{batch.pk}/"
    shown = operator_client.get(address).context["shown"]
    services.save_filing(actor=operator, filing_id=changed.pk, header=header(remark="改过", bind_key_info="辽B20000"), lines=[line()])
    page = operator_client.post(address, {"shown": f"{shown} x:1 7: {'9' * 30}:1"}, follow=True)
    assert statuses() == [FilingStatus.DRAFT, FilingStatus.DECLARED]
    assert "已被其他用户修改" in page.content.decode()
    # Nothing shown, nothing declared; shown as it is now, it is.
    operator_client.post(address)
    assert statuses() == [FilingStatus.DRAFT, FilingStatus.DECLARED]
    operator_client.post(address, {"shown": page.context["shown"]})
    assert statuses() == [FilingStatus.DECLARED] * 2


def test_those_refused_come_last(operator, operator_client):
    filings = drafts(operator, 3)
    batch = batch_of(operator, filings)
    batch.items.filter(filing=filings[0]).update(reason="已有一票未办结的申报")
    left = operator_client.get(f"/smartgate/declare/{batch.pk}/").context["left"]
    assert [item.filing_id for item, *_told in left] == [filings[1].pk, filings[2].pk, filings[0].pk]


def test_a_page_of_many_asks_the_database_no_more_than_one_of_few(operator, operator_client, django_assert_max_num_queries):
    make_bill(operator, total_weight=Decimal(1))
    make_filing(operator, bind_key_info="辽A00001", lines=[services.LineEntry(**CONTAINER_LINE)], container_weight=Decimal(2200))
    Filing.unscoped.update(status=FilingStatus.STORED, version=1, message_id=uuid4(), declared_at=timezone.now())
    lines = [line(), services.LineEntry(**CONTAINER_LINE)]
    many = [make_filing(operator, bind_key_info=f"辽B2{number:04d}", lines=lines, container_weight=Decimal(2200)) for number in range(60)]
    batch = batch_of(operator, many)
    with django_assert_max_num_queries(30):
        page = operator_client.get(f"/smartgate/declare/{batch.pk}/")
    assert [{caution.code for caution in told} for _item, told, _text in page.context["left"]] == [
        {Code.BILL_WEIGHT, Code.CONTAINER_OPEN}
    ] * 60


@pytest.mark.covers("SGW-11")
class TestCautions:
    def shown(self, operator, operator_client, filings):
        return operator_client.get(f"/smartgate/declare/{batch_of(operator, filings).pk}/")

    def test_each_filing_tells_its_own_above_what_is_signed(self, operator, operator_client):
        doubtful, ordinary = make_filing(operator, vehicle_weight=Decimal("8.6")), make_filing(operator, bind_key_info="辽A00001")
        response = self.shown(operator, operator_client, [doubtful, ordinary])
        page = response.content.decode()
        assert "申报前检查：1 票有提醒" in page
        first, second = page.split("data-item=")[1:]
        assert first.index("像是按吨填写的") < first.index("data-sign-text")
        assert "像是按吨填写的" not in second

    def test_they_are_those_of_each_filings_own_page(self, operator, other_operator, operator_client):
        """The bill is one that the filings of the batch share, and the open ones are those of others: nobody counts against himself."""
        make_bill(operator, total_weight=Decimal(60_000))
        box = services.LineEntry(**CONTAINER_LINE)
        theirs = make_filing(other_operator, bind_key_info="辽A00002", lines=[box], container_weight=Decimal(2200))
        services.declare_filing(actor=other_operator, filing_id=theirs.pk)
        filings = [
            make_filing(operator, bind_key_info="辽A00002"),
            make_filing(operator, bind_key_info="辽A00003", lines=[line(pickup_weight=Decimal(20_000), voyage_no="0127W"), line(), box]),
            make_filing(operator, bind_key_info="辽A00004", lines=[line(object_id="OTHER1")]),
            make_filing(operator, bind_key_info="辽A00005", lines=[line(object_id="OTHER1", voyage_no="9")]),
        ]
        left = self.shown(operator, operator_client, filings).context["left"]
        told = [found for _item, found, _text in left]
        assert told == [cautions.of_filing(operator, filing, list(filing.lines.all())) for filing in filings]
        assert all(told)

    def test_a_vehicle_twice_in_one_batch_is_told_beforehand(self, operator, operator_client):
        filings = [make_filing(operator), make_filing(operator, bind_key_info="辽A00001"), make_filing(operator)]
        left = self.shown(operator, operator_client, filings).context["left"]
        assert [[caution.code for caution in told] for _item, told, _text in left] == [[], [], [Code.OPEN_VEHICLE]]


def test_ticked_filings_that_may_not_be_declared_are_left_out(operator, other_operator, operator_client):
    mine, sent, theirs = make_filing(operator, bind_key_info="辽B40001"), make_filing(operator), make_filing(other_operator)
    services.declare_filing(actor=operator, filing_id=sent.pk)
    page = operator_client.get("/smartgate/declare/").content.decode()
    assert (f'value="{mine.pk}"' in page, f'value="{sent.pk}"' in page, f'value="{theirs.pk}"' in page) == (True, False, False)
    operator_client.post("/smartgate/declare/", {"filing": [sent.pk, theirs.pk, mine.pk, "x", "9" * 30]})
    assert [item.filing_id for item in Batch.unscoped.get().items.all()] == [mine.pk]
    nothing = operator_client.post("/smartgate/declare/", {"filing": [theirs.pk]}, follow=True).content.decode()
    assert "请先勾选要申报的单据" in nothing
    assert Batch.unscoped.count() == 1


def test_without_a_script_one_button_takes_all_that_are_listed(operator, other_operator, operator_client):
    theirs, mine = make_filing(other_operator), drafts(operator, 3)
    page = operator_client.get("/smartgate/declare/").content.decode()
    (listed,) = re.findall(r'<noscript><button [^>]*name="listed" value="([\d ]+)"', page)
    assert "核对列出的全部 3 票" in page
    make_filing(operator, bind_key_info="辽B49999")
    operator_client.post("/smartgate/declare/", {"listed": f"{listed}{theirs.pk} x"})
    assert {item.filing_id for item in Batch.unscoped.get().items.all()} == {filing.pk for filing in mine}


def test_another_enterprises_batch_is_not_there(operator, other_client):
    batch = batch_of(operator, drafts(operator, 1))
    item = batch.items.get()
    assert other_client.get(f"/smartgate/declare/{batch.pk}/").status_code == 404
    assert other_client.post(f"/smartgate/declare/{batch.pk}/items/", {"shown": f"{item.pk}:1", "signature": "x"}).status_code == 404
    theirs = batch_of(User.objects.get(username="operator2"), drafts(User.objects.get(username="operator2"), 1))
    # Nor through a batch of one's own.
    assert other_client.post(f"/smartgate/declare/{theirs.pk}/items/", {"shown": f"{item.pk}:1", "signature": "x"}).status_code == 404


def test_old_batches_go_and_their_filings_stay(operator):
    batch_of(operator, drafts(operator, 2))
    Batch.unscoped.update(created_at=timezone.now() - timedelta(days=8))
    tasks.forget_imports()
    assert (Batch.unscoped.count(), BatchItem.unscoped.count(), Filing.unscoped.count()) == (0, 0, 2)
