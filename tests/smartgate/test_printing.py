"""打印: what is on the paper, in the manual's words and order, for every state; who gets it; that scanners read it."""

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from smartgate.forms import FilingForm
from smartgate.models import Filing, FilingStatus
from tests.core.pdf.reading import Printed, read_pdf
from tests.smartgate.factories import CONTAINER_LINE, line, make_filing
from tests.smartgate.test_list import bare_filing

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-09")]


def address(filing: Filing) -> str:
    return reverse("smartgate:print", args=[filing.pk])


def printed(client: Client, filing: Filing) -> Printed:
    response = client.get(address(filing))
    assert response.status_code == 200
    assert response["Content-Type"] == "application/pdf"
    return read_pdf(response.content)


def in_order(text: str, *parts: str) -> bool:
    """Whether the parts stand in the text, one after the other."""
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def test_the_header_in_the_manuals_words_and_order(operator_client: Client, operator: User) -> None:
    filing = make_filing(operator, remark="散装大豆，王𬭎收")
    text = printed(operator_client, filing).text
    # 车牌号已核实 is the enterprise's own affair, of which customs is told nothing.
    others = ("lock_version", "entry_token", "plate_verified")
    shown = [str(field.label) for name, field in FilingForm.base_fields.items() if name not in others]
    assert len(shown) == 18
    values = {
        "数据中心统一编码": filing.data_center_no,
        "车次确认编号": filing.trip_no,
        "关区代码": "0908 连大窑湾",
        "单证状态": "暂存",
        "录入时间": f"{timezone.localtime(filing.entered_at):%Y-%m-%d}",
        "统一社会信用代码": operator.enterprise.credit_code,
        "组织机构代码": operator.enterprise.organisation_code,
        "操作人员": filing.operator,
        "绑定介质类型": "VN 车牌号",
        "绑定介质关键信息": "辽B12345",
        "业务类型": "报关",
        "运输方式": "2 水路",
        "进出口标志": "I 进口",
        "过卡车辆类型": "02 空进重出",
        "车辆重量": "8600 千克",
        "挂车重量": "6200.5 千克",
        "集装箱重量": "0 千克",
        "备注": "散装大豆，王𬭎收",
    }
    head = text[: text.index("表体信息")]
    assert set(values) == set(shown)
    # On the entry page as on paper.
    order = [name for name in shown if name not in ("车次确认编号", "备注")]
    assert in_order(head, *(part for name in order for part in (name, values[name])), "备注", values["备注"])
    assert filing.trip_no in head
    assert operator.enterprise.name in head


def test_every_line_with_everything_in_it(operator_client: Client, operator: User) -> None:
    filing = make_filing(operator, lines=[line(remark="首行备注"), line(**{**CONTAINER_LINE, "bill_type": "", "pickup_weight": None})])
    text = printed(operator_client, filing).text
    body = text[text.index("表体信息（共 2 行") :]
    assert in_order(
        body, "序号", "进出方向", "绑定对象类型", "绑定对象ID", "船名", "航次/货物运输批次", "业务类型", "提单类型", "本次提货重量"
    )
    assert in_order(body, "集装箱号1", "集装箱号2", "安全智能锁号1", "安全智能锁号2")
    assert in_order(body, "I 进口", "B 提单", "COSU123456789", "新海天", "0126W", "报关", "1 一程", "31500", "备注：首行备注")
    assert in_order(body, "C 集装箱", "CSQU3054383", "新海天", "0126W", "报关", "CSQU3054383", "DL000001|", "DL000002")


def test_scanners_and_telephones_read_the_number(operator_client: Client, operator: User) -> None:
    filing = make_filing(operator)
    assert printed(operator_client, filing).codes == {"Code128": filing.trip_no, "QRCode": filing.trip_no}


@pytest.mark.parametrize(
    ("status", "mark", "others"),
    [
        (FilingStatus.DRAFT, "暂存", ["未申报"]),
        (FilingStatus.REJECTED, "退单", ["未生效", "第 1 版申报之后可能又有修改"]),
        (FilingStatus.RELAY_FAILED, "发往内网失败", ["未生效", "第 1 版申报之后可能又有修改"]),
        (FilingStatus.VOIDED, "已删单", ["作废"]),
        (FilingStatus.STORED, "海关入库成功", []),
        (FilingStatus.DECLARED, "申报", []),
        (FilingStatus.DEPARTED, "已口岸离场", []),
    ],
)
def test_each_page_says_what_the_paper_is_worth(
    operator_client: Client, operator: User, status: FilingStatus, mark: str, others: list[str]
) -> None:
    declared = {"version": 0, "declared_at": None, "message_id": None} if status == FilingStatus.DRAFT else {}
    text = printed(operator_client, bare_filing(operator.enterprise, status=status, **declared)).text.replace("\r\n", "")
    assert mark in text
    if not others:
        assert not any(word in text for word in ("未申报", "未生效", "作废", "可能又有修改"))
    for other in others:
        assert all(char in text for char in other)


def test_which_version_when_and_by_whom(operator_client: Client, operator: User) -> None:
    filing = bare_filing(operator.enterprise, status=FilingStatus.STORED, version=3)
    before = timezone.localtime()
    text = printed(operator_client, filing).text
    assert in_order(text, "申报版本", "第 3 版", "申报时间", "2026-11-20 12:00:00")
    assert any(f"打印时间：{before + timedelta(seconds=late):%Y-%m-%d %H:%M:%S}" in text for late in range(30))
    assert f"打印人：{operator.full_name}" in text


def test_a_thousand_lines_on_numbered_pages_in_bounded_time(operator_client: Client, operator: User) -> None:
    filing = make_filing(operator, lines=[line(object_id=f"COSU{number:09d}", remark="备注" * (number % 7)) for number in range(1000)])
    operator_client.get(address(filing))  # The process reads its font once.
    began = time.process_time()
    content = operator_client.get(address(filing)).content
    # Ten times what it takes: a bound for what grows with the square of the lines, no measurement.
    assert time.process_time() - began < 8
    assert len(content) < 1_000_000
    pages = read_pdf(content)
    found = [word for word in pages.text.split() if word.startswith("COSU")]
    assert found == [f"COSU{number:09d}" for number in range(1000)]
    total = len(pages.texts)
    for number, text in enumerate(pages.texts, start=1):
        assert f"第 {number} 页\u3000共 {total} 页" in text
        assert "安全智能锁号1" in text
        assert filing.trip_no in text


def test_remarks_of_line_breaks_alone_do_not_run_off_the_paper(operator_client: Client, operator: User) -> None:
    broken = "\r\n".join(f"{number:03}" for number in range(190)) + "\tend"
    pages = printed(operator_client, make_filing(operator, remark=broken, lines=[line(remark=broken), line(remark="末行备注")]))
    assert "U+" not in pages.text
    for number in range(190):
        assert len(re.findall(rf"(?<!\d){number:03}(?!\d)", pages.text)) >= 2
    assert "末行备注" in pages.texts[-1]
    assert 6 < len(pages.texts) < 20


def test_a_line_full_of_text_is_printed_whole(operator_client: Client, operator: User) -> None:
    filing = make_filing(operator, remark="表" * 1000, lines=[line(remark="体" * 1000, vessel_name="船" * 64)])
    text = printed(operator_client, filing).text
    assert (text.count("表"), text.count("体"), text.count("船")) == (1000 + 1, 1000 + 1, 64 + 1)


def test_codes_that_no_table_has_any_more_are_printed_as_they_are(operator_client: Client, operator: User) -> None:
    assert "0999" in printed(operator_client, bare_filing(operator.enterprise, customs_code="0999")).text


def test_it_is_named_by_its_number_and_kept_by_nobody(operator_client: Client, operator: User) -> None:
    filing = make_filing(operator)
    response = operator_client.get(address(filing))
    assert response["Content-Disposition"] == f'inline; filename="{filing.trip_no}.pdf"'
    assert "no-store" in response["Cache-Control"]


def test_a_strangers_and_a_deleted_filing_are_not_printed(
    client: Client, operator_client: Client, operator: User, other_operator: User
) -> None:
    filing = make_filing(operator)
    client.force_login(other_operator)
    assert client.get(address(filing)).status_code == 404
    gone = bare_filing(operator.enterprise, deleted_at=timezone.now())
    client.force_login(operator)
    assert client.get(address(gone)).status_code == 404


def test_without_its_font_the_page_says_so(operator_client: Client, operator: User, settings: Any) -> None:
    settings.PRINT_FONTS = ["/nowhere/font.ttf"]
    filing = make_filing(operator)
    response = operator_client.get(address(filing), follow=True)
    assert response.redirect_chain == [(reverse("smartgate:detail", args=[filing.pk]), 302)]
    assert "打印所需的字体文件缺失" in response.content.decode()


def test_list_and_page_lead_to_it(operator_client: Client, operator: User) -> None:
    for status in FilingStatus:
        declared = {"version": 0, "declared_at": None, "message_id": None} if status == FilingStatus.DRAFT else {}
        filing = bare_filing(operator.enterprise, status=status, **declared)
        for page in (reverse("smartgate:list"), reverse("smartgate:detail", args=[filing.pk])):
            assert f'href="{address(filing)}"' in operator_client.get(page).content.decode(), (status, page)
