"""变更, 删单, 放弃变更, 版本对比 and what 查看 and the list say of them (SGW-07, SGW-08)."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.models import AuditEntry
from smartgate import services
from smartgate.models import Filing, FilingStatus, FilingVersion, Function, Outcome
from tests.smartgate.changes import answer, change, draft, held, now
from tests.smartgate.factories import LINE, make_filing
from tests.smartgate.pages import entry_post, problems_of
from tests.smartgate.test_states import put_into
from tests.smartgate.wire import receive_receipt

pytestmark = pytest.mark.django_db
MAY = {FilingStatus.STORED, FilingStatus.UNLOCKED}


def address(filing: Filing, *rest: str) -> str:
    return "/".join([f"/smartgate/filings/{filing.pk}", *rest, ""])


def text(response: Any) -> str:
    """The page that a request ended on."""
    assert response.status_code == 200
    return str(response.content.decode())


def post(client: Client, filing: Filing, action: str, lock_version: int | None = None, **header: Any) -> Any:
    """A button of the entry page of 变更."""
    data = entry_post(action, header=header, lock_version=now(filing).lock_version if lock_version is None else lock_version)
    return client.post(address(filing, "amend"), data, follow=True)


@pytest.mark.covers("SGW-07")
@pytest.mark.parametrize("status", FilingStatus)
def test_offered_by_list_and_view_where_the_state_allows(operator: Any, operator_client: Client, status: FilingStatus) -> None:
    filing = put_into(make_filing(operator), status)
    for page in (address(filing), "/smartgate/filings/"):
        shown = text(operator_client.get(page))
        for action in ("amend", "void"):
            assert (f'href="{address(filing, action)}"' in shown) == (status in MAY)
    for action in ("amend", "void"):
        response = operator_client.get(address(filing, action))
        assert (response.status_code, response.headers.get("Location")) == ((200, None) if status in MAY else (302, address(filing)))


@pytest.mark.covers("SGW-07")
@pytest.mark.parametrize("status", sorted(set(FilingStatus) - MAY))
@pytest.mark.parametrize("action", ["amend", "void"])
def test_what_the_state_forbids_is_refused_and_audited(operator: Any, operator_client: Client, status: FilingStatus, action: str) -> None:
    filing = put_into(make_filing(operator), status)
    if action == "amend":
        shown = text(post(operator_client, filing, "declare_confirmed", remark="改过"))
        assert "改过" in shown, "what was typed is there still"
    else:
        data = {"action": "declare_confirmed", "lock_version": str(filing.lock_version)}
        shown = text(operator_client.post(address(filing, "void"), data, follow=True))
    assert f"当前状态为“{filing.get_status_display()}”，不能{'变更' if action == 'amend' else '删单'}" in shown
    assert AuditEntry.unscoped.filter(object_id=str(filing.pk), refused=True).count() == 1
    assert not FilingVersion.unscoped.exclude(function=Function.ADD).exists()


@pytest.mark.covers("SGW-08")
def test_amended_by_the_page(operator: Any, operator_client: Client) -> None:
    filing = held(operator)
    page = text(operator_client.get(address(filing, "amend")))
    assert "变更海关持有的第 1 版" in page
    assert 'value="辽B12345"' in page

    page = text(post(operator_client, filing, "save", remark="请改走二号通道"))
    assert "变更内容已暂存，尚未申报" in page
    assert "以下是暂存的变更内容" in page
    assert "请改走二号通道" in page
    assert "请改走二号通道" not in text(operator_client.get(address(filing))).split('id="filing-history"')[0]

    page = text(post(operator_client, filing, "declare", remark="请改走二号通道"))
    assert "是否要申报该票单据的变更？" in page
    page = text(post(operator_client, filing, "declare_confirmed", remark="请改走二号通道"))
    assert "变更已发往海关" in page
    assert "第 2 版（变更）：待海关答复" in page
    assert "海关答复前，仍以第 1 版为准" in page
    assert now(filing).remark == "散装大豆"
    # Not the strip of opened pages, which has 变更 still.
    listed = text(operator_client.get("/smartgate/filings/")).split("<main")[1]
    assert address(filing, "amend") not in listed
    assert address(filing, "void") not in listed

    answer(filing, FilingVersion.unscoped.get(number=2), "CHANGE_ACCEPTED")
    page = text(operator_client.get(address(filing))).split("<main")[1]
    assert "请改走二号通道" in page
    assert "海关已接受" in page
    assert address(filing, "amend") in page


def test_sent_twice_by_two_clicks_is_one_change(operator: Any, operator_client: Client) -> None:
    filing = held(operator)
    lock = filing.lock_version
    post(operator_client, filing, "declare_confirmed", lock, remark="改过")
    page = text(post(operator_client, filing, "declare_confirmed", lock, remark="改过"))
    assert "请勿重复提交" in page
    assert FilingVersion.unscoped.filter(function=Function.MOD).count() == 1


@pytest.mark.covers("SGW-08")
def test_the_second_of_two_is_told_and_loses_nothing(operator: Any, administrator: Any, operator_client: Client) -> None:
    filing = held(operator)
    lock = filing.lock_version
    draft(administrator, filing, remark="管理员改")
    response = post(operator_client, filing, "save", lock, remark="操作员改")
    assert "已有变动" in problems_of(response)[0]
    assert "操作员改" in text(response)
    assert FilingVersion.unscoped.get(outcome=Outcome.DRAFT).contents["header"]["remark"] == "管理员改"
    services.send_amendment(actor=administrator, filing_id=filing.pk)
    response = post(operator_client, filing, "declare_confirmed", remark="操作员改")
    assert "正在等待海关答复" in text(response)
    assert FilingVersion.unscoped.get(outcome=Outcome.DRAFT).contents["header"]["remark"] == "操作员改"
    assert "有一份暂存的变更内容" in text(operator_client.get(address(filing)))


def test_a_plate_that_is_taken_keeps_what_was_typed(operator: Any, other_operator: Any, operator_client: Client) -> None:
    held(other_operator, bind_key_info="辽B54321")
    filing = held(operator)
    page = text(post(operator_client, filing, "declare_confirmed", bind_key_info="辽B54321"))
    assert "单据已暂存，但未能申报：介质“辽B54321”已有一票未办结的申报" in page
    assert 'value="辽B54321"' in page


def test_what_is_wrong_is_said_and_nothing_stored(operator: Any, operator_client: Client) -> None:
    filing = held(operator)
    assert problems_of(post(operator_client, filing, "save", vehicle_weight="")) == ["此项必填。"]
    assert not FilingVersion.unscoped.filter(outcome=Outcome.DRAFT).exists()


def test_a_draft_is_discarded_after_a_question(operator: Any, operator_client: Client) -> None:
    filing = held(operator)
    assert operator_client.get(address(filing, "amend", "discard")).headers["Location"] == address(filing)
    draft(operator, filing)
    assert address(filing, "amend", "discard") in text(operator_client.get(address(filing, "amend")))
    assert "放弃后不能恢复" in text(operator_client.get(address(filing, "amend", "discard")))
    assert FilingVersion.unscoped.filter(outcome=Outcome.DRAFT).exists()
    assert "已放弃变更" in text(operator_client.post(address(filing, "amend", "discard"), follow=True))
    assert not FilingVersion.unscoped.filter(outcome=Outcome.DRAFT).exists()


def test_a_draft_of_a_filing_that_is_closed_can_only_be_discarded(operator: Any, operator_client: Client) -> None:
    filing = held(operator)
    draft(operator, filing)
    receive_receipt(filing, "CLOSED")
    page = text(operator_client.get(address(filing)))
    assert "有一份暂存的变更内容" in page
    assert "继续变更" not in page
    assert "已放弃变更" in text(operator_client.post(address(filing, "amend", "discard"), follow=True))


def test_a_draft_against_an_older_version_says_so(operator: Any, operator_client: Client) -> None:
    filing = held(operator)
    version = change(operator, filing)
    draft(operator, filing, remark="再改")
    answer(filing, version, "CHANGE_ACCEPTED")
    assert "对照第 1 版暂存的，海关现持有第 2 版" in text(operator_client.get(address(filing, "amend")))


@pytest.mark.covers("SGW-08", "SGW-07")
def test_voided_by_the_page(operator: Any, operator_client: Client) -> None:
    filing = held(operator)
    page = text(operator_client.get(address(filing, "void")))
    assert "请海关删除以下单据（第 1 版）" in page
    assert "<input" not in page.split('id="entry-lines"')[1].split("</section>")[0], "everything is grey"
    assert page.count("disabled") == 3, "only 申报 can be pressed (M4 §3.2.2.4)"
    data = {"action": "declare", "lock_version": str(filing.lock_version)}
    page = text(operator_client.post(address(filing, "void"), data))
    assert "是否确认申报该数据？海关接受后该票作废，不能恢复。" in page
    assert not FilingVersion.unscoped.filter(function=Function.DEL).exists()
    page = text(operator_client.post(address(filing, "void"), {**data, "action": "declare_confirmed"}, follow=True))
    assert "删单已发往海关" in page
    assert "第 2 版（删单）：待海关答复" in page
    assert now(filing).status == FilingStatus.STORED
    answer(filing, FilingVersion.unscoped.get(number=2), "CHANGE_ACCEPTED")
    assert "已删单" in text(operator_client.get(address(filing)))


def test_what_changed_since_the_page_was_shown_is_not_voided(operator: Any, operator_client: Client) -> None:
    filing = held(operator)
    answer(filing, change(operator, filing), "CHANGE_ACCEPTED")
    for lock in (str(filing.lock_version), ""):
        page = text(operator_client.post(address(filing, "void"), {"action": "declare_confirmed", "lock_version": lock}, follow=True))
        assert "已有变动" in page
    assert not FilingVersion.unscoped.filter(function=Function.DEL).exists()


@pytest.mark.parametrize("function", [Function.MOD, Function.DEL])
def test_why_nothing_came_of_it_is_shown(operator: Any, operator_client: Client, function: Function) -> None:
    filing = held(operator)
    answer(filing, change(operator, filing, function), "CHANGE_REJECTED", note="车辆已到达卡口，不予变更")
    page = text(operator_client.get(address(filing)))
    assert f"第 2 版（{function.label}）：海关已退回" in page
    assert "车辆已到达卡口，不予变更" in page
    assert "单据保持第 1 版不变" in page


class TestComparison:
    @pytest.mark.covers("SGW-08")
    def test_side_by_side(self, operator: Any, operator_client: Client) -> None:
        filing = held(operator)
        services.save_amendment(
            actor=operator,
            filing_id=filing.pk,
            header=services.FilingHeader(**{**services.header_values(filing), "customs_code": "0900"}),
            lines=[services.LineEntry(**{**LINE, "pickup_weight": 8}), services.LineEntry(**{**LINE, "object_id": "COSU2"})],  # type: ignore[arg-type]
        )
        services.send_amendment(actor=operator, filing_id=filing.pk)
        response = operator_client.get(address(filing, "versions", "2"))
        page = text(response)
        assert "共 " in page
        header, first, second = response.context["parts"]
        assert [(one.label, one.old, one.new) for one in header.fields if one.is_changed] == [
            ("关区代码", "0908 连大窑湾", "0900 大连海关")
        ]
        assert [(one.label, one.old, one.new) for one in first.fields if one.is_changed] == [("本次提货重量", "31500", "8")]
        assert (first.mark, second.mark) == ("", "新增")
        assert page.count("已改") > 2
        answer(filing, FilingVersion.unscoped.get(number=2), "CHANGE_REJECTED", note="不予变更", receipt_no="HG-1")
        page = text(operator_client.get(address(filing, "versions", "2")))
        assert "HG-1" in page
        assert "不予变更" in page

    def test_a_line_in_between_leaves_the_others_alone(self, operator: Any, operator_client: Client) -> None:
        lines = [services.LineEntry(**{**LINE, "object_id": f"COSU{number}"}) for number in range(3)]  # type: ignore[arg-type]
        filing = services.declare_filing(actor=operator, filing_id=make_filing(operator, lines=lines).pk)
        receive_receipt(filing, "STORED")
        services.save_amendment(
            actor=operator, filing_id=filing.pk, header=services.FilingHeader(**services.header_values(filing)), lines=[lines[0], lines[2]]
        )
        services.send_amendment(actor=operator, filing_id=filing.pk)
        parts = operator_client.get(address(filing, "versions", "2")).context["parts"]
        assert [(part.title, part.mark, part.changed > 0) for part in parts] == [
            ("表头信息", "", False),
            ("表体第 1 行", "", False),
            ("表体第 2 行", "删除", True),
            ("表体第 2 行", "", False),
        ]

    def test_the_first_is_compared_with_nothing_and_a_void_changes_nothing(self, operator: Any, operator_client: Client) -> None:
        filing = held(operator)
        change(operator, filing, Function.DEL)
        assert "已改" not in text(operator_client.get(address(filing, "versions", "1")))
        page = text(operator_client.get(address(filing, "versions", "2")))
        assert "以下是请海关删除的单据" in page

    def test_nobody_elses_and_no_draft(self, operator: Any, operator_client: Client, other_client: Client) -> None:
        filing = held(operator)
        draft(operator, filing)
        assert operator_client.get(address(filing, "versions", "2")).status_code == 404
        assert operator_client.get(address(filing, "versions", "99999999999999999999")).status_code == 404
        for rest in (("versions", "1"), ("amend",), ("amend", "discard"), ("void",)):
            assert other_client.get(address(filing, *rest)).status_code == 404
        for rest in (("amend",), ("amend", "discard"), ("void",)):
            assert other_client.post(address(filing, *rest), {"action": "declare_confirmed"}).status_code == 404
        assert FilingVersion.unscoped.filter(outcome=Outcome.DRAFT).exists()


def test_the_page_asks_again_and_leads_to_the_new_contents(operator: Any, operator_client: Client) -> None:
    filing = held(operator)
    assert "hx-get" not in text(operator_client.get(address(filing))).split('id="filing-status"')[1].split(">")[0]
    version = change(operator, filing)
    assert f'hx-get="{address(filing, "status")}?version=1"' in text(operator_client.get(address(filing)))
    answer(filing, version, "CHANGE_ACCEPTED")
    part = text(operator_client.get(f"{address(filing, 'status')}?version=1", headers={"HX-Request": "true"}))
    assert "单据内容已更新" in part
    assert "单据内容已更新" not in text(operator_client.get(address(filing)))


@pytest.mark.parametrize("rest", [(), ("amend",), ("void",)])
def test_pages_that_show_no_version_fetch_the_contents_of_none(operator: Any, operator_client: Client, rest: tuple[str, ...]) -> None:
    filing = held(operator)
    answer(filing, change(operator, filing), "CHANGE_ACCEPTED")
    with CaptureQueriesContext(connection) as asked:
        text(operator_client.get(address(filing, *rest)))
    sent = [query["sql"] for query in asked if '"smartgate_filingversion"."contents"' in query["sql"] and "'draft'" not in query["sql"]]
    assert [sql for sql in sent if "'waiting'" not in sql] == []
