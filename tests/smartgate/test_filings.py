"""What users do with filings through the pages: 暂存, 修改, 申报, 删除, 复制, 查看; and what becomes of it."""

import re
from decimal import Decimal
from uuid import uuid4

import pytest
from lxml import etree

from accounts.rights import RIGHTS, Right, Role
from core.models import AuditEntry
from core.workflow import ActionRefused
from relay import services as relay_services
from relay.models import InboundMessage, OutboundMessage
from smartgate import services
from smartgate.models import Filing, FilingStatus
from tests.conftest import bind_card
from tests.smartgate.factories import CONTAINER_LINE, LINE, header, line, make_filing
from tests.smartgate.pages import NEW, entry_post, problems_of
from tests.smartgate.wire import NS, receive_receipt, receive_technical_receipt, sent_files, texts

pytestmark = pytest.mark.django_db


def declare(client, filing):
    """申报 from the edit page, after the question."""
    data = entry_post("declare_confirmed", lock_version=filing.lock_version)
    return client.post(f"/smartgate/filings/{filing.pk}/edit/", data, follow=True)


def status_of(filing):
    filing.refresh_from_db()
    return filing.status


@pytest.mark.covers("SGW-02")
def test_saving_gives_numbers_time_and_state(operator, operator_client):
    response = operator_client.post(NEW, entry_post("save"), follow=True)
    filing = Filing.unscoped.get()
    assert re.fullmatch(r"20\d\d\d{14}", filing.data_center_no)
    assert re.fullmatch(rf"20\d\d[01]\dU{operator.pk:012d}\d{{13}}", filing.trip_no)
    page = response.content.decode()
    for shown in (
        filing.data_center_no,
        filing.trip_no,
        "暂存成功",
        f"{filing.entered_at:%Y-%m}-",
        operator.enterprise.credit_code,
        "operator1",
    ):
        assert shown in page


@pytest.mark.covers("SGW-02")
def test_the_trip_number_holds_the_bound_card(operator, operator_client):
    bind_card(operator)
    operator_client.post(NEW, entry_post("save"))
    filing = Filing.unscoped.get()
    assert (len(filing.trip_no), filing.trip_no[6:19], filing.operator) == (32, "2100012345678", "2100012345678")


@pytest.mark.covers("SGW-02")
def test_two_filings_never_share_a_number(operator):
    filings = [make_filing(operator, bind_key_info=f"辽B0000{n}") for n in range(5)]
    assert len({filing.trip_no for filing in filings}) == len({filing.data_center_no for filing in filings}) == 5


@pytest.mark.covers("SGW-03")
def test_lines_are_numbered_without_gaps_after_one_is_deleted(operator, operator_client):
    filing = make_filing(operator, lines=[line(voyage_no=f"000{n}") for n in range(3)])
    url = f"/smartgate/filings/{filing.pk}/edit/"
    kept = [{**LINE, "voyage_no": f"000{n}"} for n in range(3)]
    response = operator_client.post(url, entry_post("line_delete", lines=kept, tick="1"))
    assert [row["cells"][4][1] for row in response.context["lines"].table()] == ["0000", "0002"]
    assert filing.lines.count() == 3, "nothing is stored before 暂存"
    operator_client.post(url, entry_post("save", lines=[kept[0], kept[2]], lock_version=1))
    assert list(filing.lines.values_list("line_no", "voyage_no")) == [(1, "0000"), (2, "0002")]


@pytest.mark.covers("SGW-03")
def test_a_line_typed_but_not_saved_is_not_lost_by_saving_the_filing(operator_client):
    operator_client.post(NEW, entry_post("save", lines=[LINE], editor=CONTAINER_LINE))
    assert list(Filing.unscoped.get().lines.values_list("object_type", flat=True)) == ["B", "C"]


@pytest.mark.covers("PRT-07", "SGW-02")
def test_nothing_that_was_typed_is_lost_when_something_is_wrong(operator_client):
    lines = [{**LINE, "voyage_no": "保留的航次"}, {**LINE, "bill_type": ""}]
    response = operator_client.post(NEW, entry_post("save", header={"bind_key_info": "错的车牌", "remark": "保留的备注"}, lines=lines))
    page = response.content.decode()
    for typed in ("错的车牌", "保留的备注", "保留的航次"):
        assert typed in page
    assert {problem.where for problem in response.context["problems"]} == {"绑定介质关键信息", "表体第2行 提单类型"}
    assert not Filing.unscoped.exists()


@pytest.mark.covers("SGW-02")
def test_declaring_asks_first_and_stores_nothing_by_asking(operator_client):
    response = operator_client.post(NEW, entry_post("declare"))
    assert "是否要申报该票单据？" in response.content.decode()
    assert not Filing.unscoped.exists()


@pytest.mark.covers("SGW-02", "SGW-04", "RLY-01", "RLY-05")
def test_declaring_sends_the_message_and_greys_everything(operator, operator_client):
    response = operator_client.post(
        NEW, entry_post("declare_confirmed", lines=[LINE, CONTAINER_LINE, {**LINE, "remark": "第三行"}]), follow=True
    )
    page = response.content.decode()
    assert "申报成功" in page
    assert "<input" not in page.split('id="entry-form"')[-1].split("</form>")[0].replace('<input type="hidden"', "")
    filing = Filing.unscoped.get()
    assert (filing.status, filing.version) == (FilingStatus.DECLARED, 1)
    relay_services.dispatch("customs")
    (sent,) = sent_files()
    assert sent.name == f"SGW101_{filing.message_id}.xml"
    root = etree.fromstring(sent.read_bytes())
    assert etree.XMLSchema(file="docs/protocol/SGW101.xsd").validate(root)
    business = root.find(f".//{{{NS}}}SmartGateFiling")
    head = texts(business.find(f"{{{NS}}}Head"))
    assert head.pop("OpTime").endswith("+08:00")
    assert head == {
        "SeqNo": filing.data_center_no,
        "SureId": filing.trip_no,
        "CustomsMaster": "0908",
        "ContractorCodeScc": operator.enterprise.credit_code,
        "ContractorCode": operator.enterprise.organisation_code,
        "OpUserId": "operator1",
        "BindKeyType": "VN",
        "BindKeyInfo": "辽B12345",
        "RdCode": "1000000000",
        "DeclTrafMode": "2",
        "IEFlag": "I",
        "BayonetRdCode": "02",
        "VehicleWeight": "8600",
        "TrailerWeight": "6200.5",
        "ContaWeight": "0",
        "Remark": "散装大豆",
    }
    items = [texts(item) for item in business.find(f"{{{NS}}}List")]
    assert [item["GNo"] for item in items] == ["1", "2", "3"]
    assert "BillType" not in items[1]
    assert "GoodsWt" not in items[1]
    assert items[1]["EsealId1"] == "DL000001|DL000002"
    assert items[2]["GoodsWt"] == "31500"


@pytest.mark.covers("SGW-01", "RLY-05")
def test_grey_fields_stay_out_of_the_message_whatever_the_browser_sent(operator_client):
    forged = {**CONTAINER_LINE, "vessel_name": "伪造船", "bill_type": "1", "pickup_weight": "5"}
    operator_client.post(NEW, entry_post("declare_confirmed", header={"transport_mode": "4"}, lines=[forged]))
    relay_services.dispatch("customs")
    (sent,) = sent_files()
    (item,) = [texts(item) for item in etree.fromstring(sent.read_bytes()).iter(f"{{{NS}}}Item")]
    assert not {"TransportId", "BillType", "GoodsWt"} & set(item)


@pytest.mark.covers("SGW-02")
def test_a_filing_without_a_line_can_be_saved_but_not_declared(operator_client):
    response = operator_client.post(NEW, entry_post("declare_confirmed", lines=[]))
    assert "至少要有 1 条表体信息" in " ".join(problems_of(response))
    assert not Filing.unscoped.exists()
    assert operator_client.post(NEW, entry_post("save", lines=[])).status_code == 302


@pytest.mark.covers("SGW-05", "RLY-01", "RLY-03")
def test_the_way_of_a_filing_from_the_page_to_customs_and_back(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    assert status_of(filing) == FilingStatus.DECLARED
    relay_services.dispatch("customs")
    receive_technical_receipt(filing.message_id)
    assert status_of(filing) == FilingStatus.RELAYED
    receive_receipt(filing, "STORED", note="入库成功")
    assert status_of(filing) == FilingStatus.STORED
    page = operator_client.get(f"/smartgate/filings/{filing.pk}/").content.decode()
    assert "海关入库成功" in page
    assert "海关审核通过" not in page, "that is the query's word"
    actions = AuditEntry.unscoped.filter(object_id=str(filing.pk)).order_by("id").values_list("action", flat=True)
    assert list(actions) == [f"smartgate.filing.{name}" for name in ("create", "declare", "relayed", "stored")]


@pytest.mark.covers("SGW-05")
def test_an_answer_that_overtakes_the_technical_receipt_proves_the_delivery(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    receive_receipt(filing, "STORED")
    assert status_of(filing) == FilingStatus.STORED
    receive_technical_receipt(filing.message_id)
    assert status_of(filing) == FilingStatus.STORED
    assert [receipt.applied for receipt in filing.receipts.all()] == [True]


@pytest.mark.covers("SGW-05")
def test_a_message_refused_by_the_exchange_comes_back_and_can_be_declared_again(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    first = filing.message_id
    receive_technical_receipt(first, "REJECTED", note="报文不可读")
    assert status_of(filing) == FilingStatus.RELAY_FAILED
    assert "报文不可读" in operator_client.get(f"/smartgate/filings/{filing.pk}/").content.decode()
    declare(operator_client, filing)
    assert status_of(filing) == FilingStatus.DECLARED
    assert (filing.version, filing.message_id != first) == (2, True)


@pytest.mark.covers("SGW-05")
def test_a_late_answer_to_an_earlier_declaration_changes_nothing(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    first = filing.message_id
    receive_receipt(filing, "REJECTED", note="重量不符")
    assert status_of(filing) == FilingStatus.REJECTED
    declare(operator_client, filing)
    filing.refresh_from_db()
    receive_receipt(filing, "STORED", version=1, in_reply_to=first)
    assert status_of(filing) == FilingStatus.DECLARED
    page = operator_client.get(f"/smartgate/filings/{filing.pk}/receipts/").content.decode()
    assert "该回执针对第 1 次申报，单据当前为第 2 次申报" in page


@pytest.mark.covers("SGW-05", "RLY-03")
def test_a_repeated_receipt_changes_nothing(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    for event in ("STORED", "LOCKED"):
        receive_receipt(filing, event, receipt_no=f"R-{event}")
    receive_receipt(filing, "STORED", receipt_no="R-STORED")
    assert status_of(filing) == FilingStatus.LOCKED
    assert filing.receipts.count() == 2


@pytest.mark.covers("SGW-07")
def test_receipts_are_shown_whether_they_moved_the_filing_or_not(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    receive_receipt(filing, "UNLOCKED", receipt_no="R-1", note="提前到达")
    receive_receipt(filing, "STORED", receipt_no="R-2")
    page = operator_client.get(f"/smartgate/filings/{filing.pk}/receipts/").content.decode()
    for shown in ("R-1", "提前到达", "解除锁定", "未生效", "该回执不改变状态", "R-2", "海关入库成功", "已生效"):
        assert shown in page


@pytest.mark.covers("SGW-07")
def test_deleting_a_draft(operator, operator_client):
    filing = make_filing(operator)
    assert "删除成功" in operator_client.post(f"/smartgate/filings/{filing.pk}/delete/", follow=True).content.decode()
    for url in ("", "edit/", "receipts/", "status/"):
        assert operator_client.get(f"/smartgate/filings/{filing.pk}/{url}").status_code == 404
    assert operator_client.post(f"/smartgate/filings/{filing.pk}/delete/").status_code == 404
    entry = AuditEntry.unscoped.get(action="smartgate.filing.delete")
    assert entry.before["lines"][0]["object_id"] == "COSU123456789"


@pytest.mark.covers("SGW-07")
def test_a_deleted_filing_leaves_no_opened_page(operator, operator_client):
    filing, other = make_filing(operator), make_filing(operator, bind_key_info="辽B54321")
    for one in (filing, other):
        for path in ("", "edit/"):
            operator_client.get(f"/smartgate/filings/{one.pk}/{path}")
    page = operator_client.post(f"/smartgate/filings/{filing.pk}/delete/", follow=True).content.decode()
    assert f'href="/smartgate/filings/{filing.pk}/' not in page
    assert f'href="/smartgate/filings/{other.pk}/edit/"' in page
    assert f'<meta name="saved-draft" content="/smartgate/filings/{filing.pk}/edit/">' in page


@pytest.mark.covers("SGW-07")
def test_nor_does_any_other_page_of_it_but_its_copy(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    receive_receipt(filing, "REJECTED")
    pages = [f"/smartgate/filings/{filing.pk}/{path}" for path in ("receipts/", "versions/1/", "copy/")]
    for page in pages:
        assert operator_client.get(page).status_code == 200
    shown = operator_client.post(f"/smartgate/filings/{filing.pk}/delete/", follow=True).content.decode()
    assert [page for page in pages if f'href="{page}"' in shown] == pages[-1:]
    assert f'<meta name="saved-draft" content="{pages[-1]}">' not in shown


@pytest.mark.covers("SGW-02")
def test_what_was_typed_into_the_copy_of_a_deleted_filing_is_stored(operator, operator_client):
    source = make_filing(operator, remark="独有的备注", lines=[line(), line(voyage_no="0999E")])
    url = f"/smartgate/filings/{source.pk}/copy/"
    operator_client.get(url)
    operator_client.post(f"/smartgate/filings/{source.pk}/delete/")
    page = operator_client.get(url).content.decode()
    assert ("被复制的单据已删除" in page, "0999E" in page, "独有的备注" in page) == (True, False, False)
    response = operator_client.post(url, entry_post("save", header={"bind_key_info": "辽B54321"}))
    copy = Filing.unscoped.latest("id")
    assert (response.status_code, copy.pk != source.pk, copy.bind_key_info) == (302, True, "辽B54321")


@pytest.mark.covers("SGW-02")
def test_a_strangers_deleted_filing_is_not_there_to_copy_either(operator, other_client):
    filing = make_filing(operator)
    services.delete_filing(actor=operator, filing_id=filing.pk)
    url = f"/smartgate/filings/{filing.pk}/copy/"
    assert (other_client.get(url).status_code, other_client.post(url, entry_post("save")).status_code) == (404, 404)


@pytest.mark.covers("SGW-07")
def test_deleting_is_never_done_by_following_a_link(operator, operator_client):
    filing = make_filing(operator)
    assert operator_client.get(f"/smartgate/filings/{filing.pk}/delete/").status_code == 405
    filing.refresh_from_db()
    assert filing.deleted_at is None


@pytest.mark.covers("SGW-02")
def test_copying_starts_a_new_filing_with_the_same_contents(operator, operator_client):
    source = make_filing(operator, lines=[line(), line(voyage_no="0999E")])
    page = operator_client.get(f"/smartgate/filings/{source.pk}/copy/").content.decode()
    assert source.trip_no not in page
    assert "0999E" in page
    operator_client.post(f"/smartgate/filings/{source.pk}/copy/", entry_post("save", header={"bind_key_info": "辽B54321"}))
    copy = Filing.unscoped.latest("id")
    assert copy.pk != source.pk
    assert copy.trip_no != source.trip_no
    assert copy.bind_key_info == "辽B54321"


@pytest.mark.parametrize("url", ["", "edit/", "copy/", "receipts/", "status/"])
def test_a_strangers_filing_is_not_there(operator, other_client, url):
    filing = make_filing(operator)
    assert other_client.get(f"/smartgate/filings/{filing.pk}/{url}").status_code == 404
    assert other_client.post(f"/smartgate/filings/{filing.pk}/{url}", entry_post("save")).status_code in (404, 405)
    assert other_client.post(f"/smartgate/filings/{filing.pk}/delete/").status_code == 404
    filing.refresh_from_db()
    assert (filing.deleted_at, filing.lock_version) == (None, 1)


@pytest.mark.covers("PRT-07")
def test_the_second_of_two_editors_is_told_and_loses_nothing(operator, operator_client):
    filing = make_filing(operator)
    url = f"/smartgate/filings/{filing.pk}/edit/"
    assert operator_client.post(url, entry_post("save", header={"remark": "第一人"}, lock_version=1)).status_code == 302
    response = operator_client.post(url, entry_post("save", header={"remark": "第二人"}, lock_version=1))
    assert "在您打开之后已被修改" in " ".join(problems_of(response))
    assert "第二人" in response.content.decode()
    filing.refresh_from_db()
    assert filing.remark == "第一人"


def test_an_edit_is_audited_with_what_changed_only(operator, operator_client):
    filing = make_filing(operator)
    operator_client.post(f"/smartgate/filings/{filing.pk}/edit/", entry_post("save", header={"vehicle_weight": "9000"}, lock_version=1))
    entry = AuditEntry.unscoped.get(action="smartgate.filing.edit")
    assert (entry.before, entry.after) == ({"vehicle_weight": "8600.000"}, {"vehicle_weight": "9000"})
    assert entry.ip == "127.0.0.1"
    assert entry.request_id


@pytest.mark.covers("SGW-04")
def test_one_open_filing_per_vehicle(operator, operator_client, other_operator):
    open_one = make_filing(other_operator)
    services.declare_filing(actor=other_operator, filing_id=open_one.pk)
    filing = make_filing(operator)
    page = declare(operator_client, filing).content.decode()
    assert "介质“辽B12345”已有一票未办结的申报" in page
    assert "单据已暂存，但未能申报" in page
    assert status_of(filing) == FilingStatus.DRAFT
    assert OutboundMessage.objects.count() == 1
    assert AuditEntry.unscoped.filter(action="smartgate.filing.declare", refused=True, object_id=str(filing.pk)).exists()


def test_rules_are_asked_once_more_when_declaring(operator, operator_client):
    filing = make_filing(operator)
    Filing.unscoped.filter(pk=filing.pk).update(customs_code="9999", bind_key_info="错")
    filing.lines.update(bill_type="", container_no_1="ZIMU1234567")
    with pytest.raises(services.FilingInvalid) as refusal:
        services.declare_filing(actor=operator, filing_id=filing.pk)
    assert refusal.value.errors == [
        "车牌号“错”不正确：应为省份简称加字母和 5 位（新能源 6 位）字母或数字，不含字母 I、O。",
        "关区代码“9999”不在有效的关区代码表中，请重新选择。",
        "表体第 1 行：提单类型必填。",
        "表体第 1 行：集装箱号“ZIMU1234567”不正确：应为 4 位字母加 7 位数字，且末位校验码相符。",
    ]


def test_a_service_never_stores_a_grey_field(operator):
    filing = services.save_filing(
        actor=operator, header=header(transport_mode="5"), lines=[line(object_type="VN", object_id="辽B54321", pickup_weight=Decimal(1))]
    )
    stored = filing.lines.get()
    assert (stored.vessel_name, stored.bill_type, stored.pickup_weight) == ("", "", None)


def test_a_user_without_an_enterprise_cannot_enter_filings(staff):
    with pytest.raises(services.ActionRefused, match="不属于任何企业"):
        make_filing(staff)


@pytest.mark.covers("SGW-05")
def test_the_page_brings_itself_up_to_date(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    url = f"/smartgate/filings/{filing.pk}/status/"
    waiting = operator_client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert f'hx-get="{url}?version=1"' in waiting
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    receive_receipt(filing, "STORED")
    done = operator_client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "hx-get" not in done, "nothing more to wait for"
    assert done.count("海关入库成功") == 3, "the state, the grey field, the history"
    assert 'id="id_status" hx-swap-oob' in done


def test_the_part_opened_by_hand_is_the_page(operator, operator_client, other_client):
    filing = make_filing(operator)
    url = f"/smartgate/filings/{filing.pk}/status/"
    assert operator_client.get(url)["Location"] == f"/smartgate/filings/{filing.pk}/"
    assert other_client.get(url).status_code == 404


def test_saving_without_a_change_leaves_no_entry_in_the_trail(operator, operator_client):
    filing = make_filing(operator)
    operator_client.post(f"/smartgate/filings/{filing.pk}/edit/", entry_post("save", lock_version=1))
    assert not AuditEntry.unscoped.filter(action="smartgate.filing.edit").exists()


@pytest.mark.covers("SGW-01")
def test_a_bill_number_is_stored_as_it_was_typed(operator_client):
    operator_client.post(NEW, entry_post("save", lines=[{**LINE, "object_id": "cosu123.45/a"}]))
    assert Filing.unscoped.get().lines.get().object_id == "COSU123.45/A"


@pytest.mark.covers("SGW-02")
def test_a_new_filing_sent_twice_is_stored_once(operator_client):
    token = operator_client.get(NEW).context["form"]["entry_token"].value()
    locations = {operator_client.post(NEW, entry_post("save", entry_token=token))["Location"] for _time in range(2)}
    assert locations == {f"/smartgate/filings/{Filing.unscoped.get().pk}/edit/"}


@pytest.mark.covers("SGW-02", "PRT-07")
@pytest.mark.parametrize("before", ["save", "declare_confirmed", "delete"])
def test_a_copied_window_with_another_vehicle_makes_another_filing(operator_client, before):
    token = operator_client.get(NEW).context["form"]["entry_token"].value()
    operator_client.post(NEW, entry_post("save" if before == "delete" else before, entry_token=token))
    first = Filing.unscoped.get()
    if before == "delete":
        operator_client.post(f"/smartgate/filings/{first.pk}/delete/")
    operator_client.post(NEW, entry_post("save", header={"bind_key_info": "辽B54321"}, entry_token=token))
    first.refresh_from_db()
    assert first.bind_key_info == "辽B12345"
    assert Filing.unscoped.latest("id").bind_key_info == "辽B54321"
    assert Filing.unscoped.count() == 2


def test_an_old_page_sent_again_does_not_undo_what_a_colleague_did(operator, operator_client):
    token = operator_client.get(NEW).context["form"]["entry_token"].value()
    operator_client.post(NEW, entry_post("save", entry_token=token))
    filing = Filing.unscoped.get()
    services.save_filing(actor=operator, filing_id=filing.pk, header=header(remark="同事的备注"), lines=[line()])
    operator_client.post(NEW, entry_post("save", entry_token=token))
    filing.refresh_from_db()
    assert filing.remark == "同事的备注"


@pytest.mark.parametrize("action", ["save", "declare_confirmed"])
def test_a_second_click_on_the_edit_page_is_no_failure(operator, operator_client, action):
    filing = make_filing(operator)
    data = entry_post(action, header={"remark": "改一次"}, lock_version=1)
    url = f"/smartgate/filings/{filing.pk}/edit/"
    first, second = (operator_client.post(url, data) for _click in range(2))
    assert (first.status_code, second.status_code, second["Location"]) == (302, 302, first["Location"])
    assert OutboundMessage.objects.count() == (action != "save")


@pytest.mark.covers("PRT-07")
def test_after_a_conflict_the_next_save_is_deliberate(operator, operator_client):
    filing = make_filing(operator)
    url = f"/smartgate/filings/{filing.pk}/edit/"
    operator_client.post(url, entry_post("save", header={"remark": "第一人"}, lock_version=1))
    response = operator_client.post(url, entry_post("save", header={"remark": "第二人"}, lock_version=1))
    assert response.context["form"]["lock_version"].value() == "2"
    operator_client.post(url, entry_post("save", header={"remark": "第二人"}, lock_version=2))
    filing.refresh_from_db()
    assert filing.remark == "第二人"


@pytest.mark.covers("SGW-05")
def test_a_rejection_after_a_refusal_stands_in_nobodys_way(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    receive_technical_receipt(filing.message_id, "REJECTED")
    receive_receipt(filing, "REJECTED")
    filing.refresh_from_db()
    declare(operator_client, filing)
    assert status_of(filing) == FilingStatus.DECLARED


def test_a_copy_cannot_double_what_customs_may_hold(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    receive_technical_receipt(filing.message_id, "REJECTED")
    receive_receipt(filing, "STORED")
    with pytest.raises(ActionRefused, match=filing.trip_no):
        services.declare_filing(actor=operator, filing_id=make_filing(operator).pk)


@pytest.mark.covers("RLY-01")
def test_a_failure_while_declaring_leaves_one_draft_however_often_it_is_tried(operator_client, monkeypatch):
    operator_client.raise_request_exception = False
    token = operator_client.get(NEW).context["form"]["entry_token"].value()
    with monkeypatch.context() as patch:
        patch.setattr("smartgate.services.declaring.queue_message", lambda **_message: 1 / 0)
        for _try in range(2):
            assert operator_client.post(NEW, entry_post("declare_confirmed", entry_token=token)).status_code == 500
    assert Filing.unscoped.get().status == FilingStatus.DRAFT
    operator_client.post(NEW, entry_post("declare_confirmed", entry_token=token))
    assert Filing.unscoped.get().status == FilingStatus.DECLARED
    assert OutboundMessage.objects.count() == 1


def test_the_mark_of_an_entry_is_its_users_own(operator, other_operator):
    token = uuid4()
    mine = services.save_filing(actor=operator, header=header(), lines=[line()], entry_token=token)
    theirs = services.save_filing(actor=other_operator, header=header(), lines=[line()], entry_token=token)
    assert mine.pk != theirs.pk


@pytest.mark.covers("SGW-01")
def test_the_operator_named_to_customs_is_the_one_who_declares(operator, administrator, client):
    filing = make_filing(operator)
    client.force_login(administrator)
    declare(client, filing)
    filing.refresh_from_db()
    assert filing.operator == "admin1"
    assert b"<OpUserId>admin1</OpUserId>" in bytes(OutboundMessage.objects.get().content)


@pytest.mark.covers("ACC-13")
def test_declaring_needs_its_own_right(operator, operator_client, monkeypatch):
    monkeypatch.setitem(RIGHTS, Role.OPERATOR, RIGHTS[Role.OPERATOR] - {Right.SMARTGATE_DECLARE})
    filing = make_filing(operator)
    page = operator_client.get(f"/smartgate/filings/{filing.pk}/edit/").content.decode()
    assert 'value="declare" disabled' in page
    assert operator_client.post(f"/smartgate/filings/{filing.pk}/edit/", entry_post("declare_confirmed", lock_version=1)).status_code == 403
    assert status_of(filing) == FilingStatus.DRAFT


def test_what_a_colleague_has_just_changed_is_not_deleted(operator, operator_client):
    filing = make_filing(operator)
    services.save_filing(actor=operator, filing_id=filing.pk, header=header(remark="刚改过"), lines=[line()])
    page = operator_client.post(f"/smartgate/filings/{filing.pk}/delete/?lock_version=1", follow=True).content.decode()
    assert "未删除" in page
    filing.refresh_from_db()
    assert filing.deleted_at is None


def test_a_page_that_does_not_say_which_version_it_shows_overwrites_nothing(operator, operator_client):
    filing = make_filing(operator)
    response = operator_client.post(f"/smartgate/filings/{filing.pk}/edit/", entry_post("save", header={"remark": "覆盖"}))
    assert "在您打开之后已被修改" in " ".join(problems_of(response))


@pytest.mark.covers("SGW-05")
def test_an_answer_that_contradicts_the_refusal_keeps_the_filing_from_being_doubled_or_deleted(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    receive_technical_receipt(filing.message_id, "REJECTED")
    receive_receipt(filing, "STORED")
    assert status_of(filing) == FilingStatus.RELAY_FAILED
    assert "为避免重复申报" in declare(operator_client, filing).content.decode()
    assert "海关可能持有该票，不能删除" in operator_client.post(f"/smartgate/filings/{filing.pk}/delete/", follow=True).content.decode()
    filing.refresh_from_db()
    assert (filing.status, filing.deleted_at) == (FilingStatus.RELAY_FAILED, None)
    assert OutboundMessage.objects.filter(message_type="SGW101").count() == 1


@pytest.mark.covers("RLY-03")
def test_two_different_receipts_under_one_number_are_set_aside(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    filing.refresh_from_db()
    receive_receipt(filing, "STORED", receipt_no="R-1")
    receive_receipt(filing, "CLOSED", receipt_no="R-1")
    assert status_of(filing) == FilingStatus.STORED
    assert InboundMessage.objects.get(state="quarantined").reason_code == "RECEIPT_NO_REUSED"


def test_a_refusal_is_told_in_the_users_language(operator, operator_client):
    filing = make_filing(operator)
    declare(operator_client, filing)
    relay_services.dispatch("customs")
    (sent,) = sent_files()
    refused = sent.parent.parent / "FailBox" / sent.name
    refused.parent.mkdir(exist_ok=True)
    sent.rename(refused)
    relay_services.collect_returned("customs")
    assert status_of(filing) == FilingStatus.RELAY_FAILED
    page = operator_client.get(f"/smartgate/filings/{filing.pk}/").content.decode()
    assert "发往内网失败：海关端未能接收报文（FAIL_BOX）。请核对后重新申报" in page
    assert "partner" not in page


@pytest.mark.covers("SGW-02")
@pytest.mark.parametrize("action", ["save", "declare_confirmed"])
def test_a_new_filing_declared_and_sent_again_leads_to_the_one_that_was_declared(operator_client, action):
    token = operator_client.get(NEW).context["form"]["entry_token"].value()
    operator_client.post(NEW, entry_post("declare_confirmed", entry_token=token))
    response = operator_client.post(NEW, entry_post(action, entry_token=token), follow=True)
    assert response.redirect_chain == [(f"/smartgate/filings/{Filing.unscoped.get().pk}/", 302)]
    assert "该票单据已申报，请勿重复提交" in response.content.decode()
    assert OutboundMessage.objects.count() == 1


@pytest.mark.covers("SGW-02", "SGW-04")
@pytest.mark.parametrize("page", ["new", "edit", "edit and change"])
@pytest.mark.parametrize("came_back", ["rejected", "refused"])
def test_a_declaration_sent_again_after_it_came_back_waits_until_that_was_read(operator, operator_client, page, came_back):
    """The answer to 申报 was lost, and the browser sends the same once more when customs has said no to it meanwhile."""
    if page == "new":
        url, data = NEW, entry_post("declare_confirmed", entry_token=operator_client.get(NEW).context["form"]["entry_token"].value())
    else:
        url = f"/smartgate/filings/{make_filing(operator).pk}/edit/"
        data = entry_post("declare_confirmed", header={"remark": "改过"} if "change" in page else {}, lock_version=1)
    operator_client.post(url, data)
    filing = Filing.unscoped.get()
    if came_back == "rejected":
        receive_technical_receipt(filing.message_id)
        receive_receipt(filing, "REJECTED", note="重量与舱单不符")
    else:
        receive_technical_receipt(filing.message_id, "REJECTED", note="报文格式不符")
    again = operator_client.post(url, data, follow=True)
    assert again.redirect_chain == [(f"/smartgate/filings/{filing.pk}/", 302)]
    shown = again.content.decode()
    assert "您提交的页面不是该票单据的最新情况" in shown
    assert ("重量与舱单不符" if came_back == "rejected" else "报文格式不符") in shown
    assert (status_of(filing), OutboundMessage.objects.filter(message_type="SGW101").count()) == (came_back_as(came_back), 1)

    edit = f"/smartgate/filings/{filing.pk}/edit/"
    version = operator_client.get(edit).context["form"]["lock_version"].value()
    operator_client.post(edit, entry_post("declare_confirmed", header={"remark": filing.remark}, lock_version=version))
    assert status_of(filing) == FilingStatus.DECLARED, "who has read it may declare the same once more"
    assert OutboundMessage.objects.filter(message_type="SGW101").count() == 2


def came_back_as(how):
    return FilingStatus.REJECTED if how == "rejected" else FilingStatus.RELAY_FAILED
