"""The query page of filings passes the contract of all query pages, and speaks the manual's words."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import ClassVar
from uuid import uuid4

import pytest
from lxml import html

from accounts.models import Enterprise, User
from reference import queries
from smartgate.models import BusinessType, Filing, FilingStatus
from tests.core.listing.contract import FilterExample, ListContract
from tests.core.pdf.reading import read_pdf
from tests.smartgate.factories import HEADER, make_filing
from tests.smartgate.wire import receive_receipt

_numbers = count(1)
MOMENT = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def bare_filing(enterprise: Enterprise, **values: object) -> Filing:
    """A row with chosen values, made without a service: the list is what is tested."""
    number = next(_numbers)
    user = User.objects.filter(enterprise=enterprise).first() or User.objects.create_user(
        f"maker{number}", password="x", full_name="x", role="operator", enterprise=enterprise
    )
    defaults = {
        **HEADER,
        "bind_key_info": f"辽B{number:05d}",
        "enterprise": enterprise,
        "created_by": user,
        "data_center_no": f"2026{number:014d}",
        "trip_no": f"202611U{user.pk:012d}{number:013d}",
        "entered_at": MOMENT + timedelta(seconds=number),
        "status_at": MOMENT,
        "credit_code": enterprise.credit_code,
        "organisation_code": enterprise.organisation_code,
        "operator": user.username,
        "version": 1,
        "message_id": "00000000-0000-4000-8000-000000000001",
        "declared_at": MOMENT,
    }
    return Filing.unscoped.create(**{**defaults, **values})


def _other_business(kind: BusinessType) -> BusinessType:
    return BusinessType.DECLARATION if kind != BusinessType.DECLARATION else BusinessType.TRANSIT


def _other(status: FilingStatus) -> FilingStatus:
    return FilingStatus.DRAFT if status != FilingStatus.DRAFT else FilingStatus.CLOSED


@pytest.mark.covers("SGW-06", "PRT-06")
class TestFilingList(ListContract):
    url_name = "smartgate:list"
    filter_examples: ClassVar = [
        FilterExample({"trip_no": "202611u000000000001 9999999999999"}, {"trip_no": "202611U0000000000019999999999999"}, {}),
        *(FilterExample({"status": status.value}, {"status": status.value}, {"status": _other(status)}) for status in FilingStatus),
        FilterExample({"bind_key_type": "BC"}, {"bind_key_type": "BC"}, {"bind_key_type": "VN"}),
        FilterExample({"bind_key_info": "辽b·12345"}, {"bind_key_info": "辽B12345"}, {"bind_key_info": "辽B54321"}),
        FilterExample({"bind_key_info": "Abc-1"}, {"bind_key_type": "BC", "bind_key_info": "Abc-1"}, {"bind_key_info": "辽B54321"}),
        *(
            FilterExample({"business_type": kind.value}, {"business_type": kind.value}, {"business_type": _other_business(kind)})
            for kind in BusinessType
        ),
        FilterExample({"customs_code": "0940"}, {"customs_code": "0940"}, {"customs_code": "0908"}),
        FilterExample({"ie_flag": "E"}, {"ie_flag": "E"}, {"ie_flag": "I"}),
        # The day is Shanghai's: 16:00 UTC is midnight there.
        FilterExample({"entered_at_from": "2026-11-21"}, {"entered_at": MIDNIGHT}, {"entered_at": MIDNIGHT - SECOND}),
        FilterExample({"entered_at_to": "2026-11-20"}, {"entered_at": MIDNIGHT - SECOND}, {"entered_at": MIDNIGHT}),
    ]
    wrong_filters: ClassVar = [
        {"status": "nonsense"},
        {"customs_code": "9999"},
        {"business_type": "1111111111"},
        {"entered_at_from": "昨天"},
        {"entered_at_from": "2026-11-21", "entered_at_to": "2026-11-20"},
    ]
    sort_values: ClassVar = {"entered_at": [MOMENT, MOMENT, MOMENT + SECOND, MOMENT - SECOND]}

    @pytest.fixture(autouse=True)
    def _tables_are_not_asked_for_news(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """That query comes every few seconds; it would make counting queries a matter of luck."""
        monkeypatch.setattr(queries, "CHECK_SECONDS", float("inf"))

    def make_row(self, enterprise: Enterprise, **values: object) -> Filing:
        return bare_filing(enterprise, **values)


@pytest.mark.django_db
@pytest.mark.covers("SGW-06")
def test_the_stored_state_is_called_approved_here(operator, operator_client):
    bare_filing(operator.enterprise, status=FilingStatus.STORED)
    page = operator_client.get("/smartgate/filings/").content.decode()
    assert "海关审核通过" in page
    assert "海关入库成功" not in page


@pytest.mark.django_db
def test_deleted_filings_are_not_listed(operator, operator_client):
    bare_filing(operator.enterprise, deleted_at=MOMENT, bind_key_info="辽B77777")
    assert "辽B77777" not in operator_client.get("/smartgate/filings/").content.decode()


@pytest.mark.django_db
@pytest.mark.covers("SGW-06")
def test_the_conditions_are_the_manuals_word_for_word(operator_client):
    """M4 §3.2.1; 已删单 is the portal's own state (SGW-05)."""
    form = html.fromstring(operator_client.get("/smartgate/filings/").content.decode()).get_element_by_id("listing-filters")
    labels = [label.text_content().strip() for label in form.xpath(".//label | .//legend")]
    assert labels == [
        "车次确认编号",
        "单据状态",
        "绑定介质类型",
        "绑定介质关键信息",
        "业务类型",
        "关区代码",
        "进出口标志",
        "录入时间",
    ]
    options = {select.name: [option.text for option in select] for select in form.xpath(".//select")}
    # fmt: off
    assert options["status"] == [
        "全部", "暂存", "申报", "发往内网成功", "发往内网失败", "海关审核通过", "退单", "已办结", "已锁定", "解除锁定", "人工办结",
        "已口岸离场", "已删单",
    ]
    assert options["bind_key_type"] == ["全部", "VN 车牌号", "VE 电子车牌号", "IC IC卡", "BC 条形码"]
    assert options["business_type"] == [
        "全部", "报关", "转关", "查验分流", "分拨分流", "空箱", "空车", "集中查验", "多式联运", "报关+查验分流", "多式联运+报关",
    ]
    # fmt: on
    assert options["ie_flag"] == ["全部", "I-进口", "E-出口"]
    assert len(options["customs_code"]) == 1 + 46
    assert [button.text_content().strip() for button in form.xpath(".//button | .//div[@class='listing-buttons']/a")] == ["查询", "重置"]
    [reset] = form.xpath(".//a[normalize-space()='重置']")
    assert (reset.get("href"), reset.get("class")) == ("?", "btn btn-primary"), "蓝色按钮"
    [days] = form.xpath(".//div[@class='listing-days']")
    assert [word.text for word in days.xpath("./span")] == ["从", "至"]


@pytest.mark.django_db
@pytest.mark.covers("SGW-07")
@pytest.mark.parametrize(
    ("status", "actions"),
    [
        (FilingStatus.REJECTED, ["查看", "修改", "删除", "查看回执", "打印"]),
        (FilingStatus.STORED, ["查看", "删单", "查看回执", "变更", "打印"]),
    ],
)
def test_actions_stand_in_the_manuals_order(operator, operator_client, status, actions):
    filing = make_filing(operator)
    receive_receipt(filing, "LOCKED", version=9)
    Filing.unscoped.update(status=status, version=1, message_id=uuid4(), declared_at=filing.entered_at)
    page = html.fromstring(operator_client.get("/smartgate/filings/").content.decode())
    [cell] = page.xpath("//td[contains(@class, 'listing-actions')]")
    assert [one.text_content().strip() for one in cell.xpath(".//a | .//summary")] == actions


@pytest.mark.django_db
@pytest.mark.covers("SGW-06")
def test_the_list_is_printed_under_its_conditions(operator, operator_client):
    bare_filing(operator.enterprise, bind_key_info="辽B11111", ie_flag="E")
    bare_filing(operator.enterprise, bind_key_info="辽B22222", ie_flag="I")
    params = {"ie_flag": "E", "entered_at_from": "2026-11-01", "export": "pdf"}
    response = operator_client.get("/smartgate/filings/", params)
    assert response["Content-Disposition"].startswith("inline; filename*=utf-8''")
    paper = read_pdf(response.content)
    assert "智能卡口散杂货申报单清单" in paper.text
    assert "进出口标志：E-出口；录入时间：2026-11-01 至" in paper.text
    assert "录入时间从新到旧" in paper.text
    assert "辽B11111" in paper.text
    assert "辽B22222" not in paper.text
    assert all(width > height for width, height in paper.sizes)
