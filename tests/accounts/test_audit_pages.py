"""审计记录: the list and its conditions, one entry with before and after, who sees which, the files."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from lxml import html

from accounts.models import Enterprise, User
from accounts.rights import ApplicationKey, Role
from core import audit
from core.models import AuditEntry
from smartgate.models import Filing
from tests.conftest import make_user
from tests.core.listing.audit_list import MOMENT, make_entry
from tests.core.listing.contract import FilterExample, ListContract
from tests.smartgate.factories import make_filing

LIST = "/accounts/audit/"


class AuditContract(ListContract):
    """What both lists keep."""

    url_name = "accounts:audit"
    filter_examples = [
        # 16:30 UTC is half past midnight of the next day in Dalian.
        FilterExample({"at_from": "2026-11-21"}, hit={"at": MOMENT}, miss={"at": MOMENT - timedelta(minutes=31)}),
        FilterExample({"at_to": "2026-11-20"}, hit={"at": MOMENT - timedelta(minutes=31)}, miss={"at": MOMENT}),
        FilterExample({"actor_name": "zhang3"}, hit={"actor_name": "zhang3"}, miss={"actor_name": "zhang33"}),
        FilterExample(
            {"action": "smartgate.filing.edit"}, hit={"action": "smartgate.filing.edit"}, miss={"action": "smartgate.filing.create"}
        ),
        FilterExample({"outcome": "refused"}, hit={"refused": True}, miss={"refused": False}),
        FilterExample({"outcome": "done"}, hit={"refused": False}, miss={"refused": True}),
        FilterExample({"object_type": "smartgate.filing"}, hit={"object_type": "smartgate.filing"}, miss={"object_type": "accounts.user"}),
        FilterExample({"object_label": "L2100"}, hit={"object_label": "L2100"}, miss={"object_label": "L21001"}),
        FilterExample({"ip": "192.0.2.7"}, hit={"ip": "192.0.2.7"}, miss={"ip": "192.0.2.77"}),
    ]
    wrong_filters = [
        {"at_from": "yesterday"},
        {"at_from": "2026-11-21", "at_to": "2026-11-20"},
        {"action": "drop.table.users"},
        {"outcome": "maybe"},
        {"object_type": "nonsense"},
        {"actor_name": "x" * 151},
        {"object_label": "x" * 201},
        {"ip": "x" * 65},
    ]
    sort_values = {"at": [MOMENT, MOMENT + timedelta(microseconds=1), MOMENT + timedelta(microseconds=2)]}

    def make_row(self, enterprise: Enterprise, **values: Any) -> AuditEntry:
        return make_entry(enterprise, **values)


@pytest.mark.covers("ACC-15")
class TestAuditList(AuditContract):
    """The enterprise's administrator: `operator` of the contract is whoever has the right."""

    @pytest.fixture
    def operator(self, enterprise: Enterprise) -> User:
        return make_user("boss1", Role.ENTERPRISE_ADMINISTRATOR, enterprise)

    @pytest.fixture
    def other_operator(self, other_enterprise: Enterprise) -> User:
        return make_user("boss2", Role.ENTERPRISE_ADMINISTRATOR, other_enterprise)


@pytest.mark.covers("ACC-15")
class TestStaffAuditList(AuditContract):
    """Staff read all, with the enterprise as condition and column."""

    filter_examples = [
        *AuditContract.filter_examples,
        FilterExample({"enterprise": "大连测试国际货运代理有限公司"}, hit={}, miss={"enterprise_id": None}),
    ]

    @pytest.fixture
    def operator(self, staff: User) -> User:
        return staff

    @pytest.fixture
    def other_operator(self, other_enterprise: Enterprise) -> User:
        return make_user("boss2", Role.ENTERPRISE_ADMINISTRATOR, other_enterprise)

    @pytest.fixture
    def administrator(self) -> User:
        return make_user("staff2", Role.PLATFORM_STAFF, is_staff=True)


pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client: Client, administrator: User) -> Client:
    """The administrator's browser."""
    client.force_login(administrator)
    return client


def tree(response: Any) -> Any:
    assert response.status_code == 200
    return html.fromstring(response.content.decode())


def rows(response: Any) -> list[str]:
    return [" ".join(row.text_content().split()) for row in tree(response).xpath("//tbody/tr")]


@pytest.mark.covers("ACC-15")
def test_what_a_user_does_is_read_by_his_administrator(boss: Client, operator: User, enterprise: Enterprise) -> None:
    filing = make_filing(operator)
    audit.record(
        action="smartgate.filing.edit",
        obj=filing,
        actor=operator,
        enterprise_id=enterprise.pk,
        before={"remark": "", "customs_code": "0908", "status": "draft"},
        after={"remark": "<b>新</b>", "customs_code": "0908", "status": "declared"},
    )
    (row,) = [row for row in rows(boss.get(LIST)) if "修改卡口申报单" in row]
    assert "operator1" in row
    assert filing.trip_no in row
    assert "智能卡口散杂货申报单" in row
    (link,) = set(tree(boss.get(LIST, {"action": "smartgate.filing.edit"})).xpath("//td[@class='listing-actions']//a/@href"))
    page = tree(boss.get(link))
    cells = {row[0].text_content(): [" ".join(cell.text_content().split()) for cell in row[1:]] for row in page.xpath("//tbody/tr")}
    assert cells["备注"] == ["—", "<b>新</b>"]
    assert cells["单证状态"] == ["暂存", "申报"]


def entry_of(boss: Client, obj: Any, **values: Any) -> dict[str, list[str]]:
    """The page of an entry about `obj`: for each field the cells before and after."""
    entry = audit.record(action="accounts.enterprise.edit", obj=obj, actor=None, **values)
    page = tree(boss.get(reverse("accounts:audit_entry", args=[entry.pk])))
    return {
        row[0].text_content(): ["|".join(div.text for div in cell) or cell.text.strip() for cell in row[1:]]
        for row in page.xpath("//tbody/tr")
    }


def test_values_are_read_as_people_read_them(boss: Client, enterprise: Enterprise) -> None:
    cells = entry_of(
        boss,
        enterprise,
        enterprise_id=enterprise.pk,
        before={
            "is_active": True,
            "applications": [],
            "created_at": "2026-11-20T16:30:00+00:00",
            "legal_person_id_no": "210200199001011234",
        },
        after={
            "is_active": False,
            "applications": [ApplicationKey.SMARTGATE.value, "retired"],
            "created_at": None,
            "legal_person_id_no": "",
            "no_such_field": {"name": "x"},
            "sessions": 3,
        },
    )
    assert cells["启用"] == ["是", "否"]
    assert cells["开通的应用"] == ["—", "智能卡口散杂货、retired"]
    assert cells["登记时间"] == ["2026-11-21 00:30:00", "—"]
    assert cells["法人身份证号"] == ["（不显示）", "—"]
    assert cells["no_such_field"] == ["—", "name：x"]
    assert cells["会话"] == ["—", "3"]


def test_codes_and_lines_are_read_by_their_names(boss: Client, operator: User, enterprise: Enterprise) -> None:
    from django.core.management import call_command

    call_command("seed_reference", verbosity=0)
    cells = entry_of(
        boss,
        make_filing(operator),
        enterprise_id=enterprise.pk,
        before={"customs_code": "0908", "lines": []},
        after={"customs_code": "nope", "lines": [{"direction": "I", "voyage_no": "V1"}, {"direction": "E", "voyage_no": "V2"}]},
    )
    assert cells["关区代码"] == ["0908 连大窑湾", "nope"]
    assert cells["表体"] == ["—", "1. 进出方向：进口；航次/货物运输批次号：V1|2. 进出方向：出口；航次/货物运输批次号：V2"]


@pytest.mark.parametrize("kind", ["smartgate.gone", "nonsense", ""])
def test_an_entry_outlives_what_it_tells_of(boss: Client, enterprise: Enterprise, kind: str) -> None:
    entry = make_entry(enterprise, object_type=kind, action="old.action.name", before={"a": 1}, after={"a": [2, "x"]}, request_id="")
    page = tree(boss.get(reverse("accounts:audit_entry", args=[entry.pk])))
    assert "old.action.name" in page.text_content()
    assert "2、x" in page.text_content()
    assert boss.get(LIST).status_code == 200


def test_an_entry_without_changes_says_so(boss: Client, enterprise: Enterprise) -> None:
    entry = make_entry(enterprise, refused=True, reason="车辆已有在途单据")
    text = tree(boss.get(reverse("accounts:audit_entry", args=[entry.pk]))).text_content()
    assert "没有变更内容" in text
    assert "被拒绝" in text
    assert "车辆已有在途单据" in text


@pytest.mark.covers("ACC-15")
def test_a_strangers_entry_is_not_there(boss: Client, staff: User, other_enterprise: Enterprise) -> None:
    for entry in (make_entry(other_enterprise), make_entry(None)):
        url = reverse("accounts:audit_entry", args=[entry.pk])
        assert boss.get(url).status_code == 404
        reader = Client()
        reader.force_login(staff)
        assert reader.get(url).status_code == 200
    assert rows(boss.get(LIST, {"columns": "at,object_label"})) == []
    assert boss.get(reverse("accounts:audit_entry", args=[2**62])).status_code == 404


def test_an_administrator_cannot_ask_for_other_enterprises(boss: Client, enterprise: Enterprise, other_enterprise: Enterprise) -> None:
    make_entry(enterprise, object_label="自己的")
    make_entry(other_enterprise, object_label="别人的")
    page = boss.get(LIST, {"enterprise": other_enterprise.name, "columns": "object_label,enterprise_name"})
    assert "自己的" in page.content.decode()
    assert "别人的" not in page.content.decode()
    assert not tree(page).xpath("//*[@name='enterprise']")
    assert "enterprise_name" not in page.context["view"].column_labels


def test_staff_find_an_enterprise_by_name_or_credit_code(
    staff_client: Client, enterprise: Enterprise, other_enterprise: Enterprise
) -> None:
    make_entry(enterprise, object_label="甲")
    make_entry(other_enterprise, object_label="乙")
    for value in (enterprise.name, enterprise.credit_code, enterprise.credit_code.lower()):
        (row,) = rows(staff_client.get(LIST, {"enterprise": value}))
        assert enterprise.name in row
        assert "甲" in row
    assert rows(staff_client.get(LIST, {"enterprise": "没有这家企业"})) == []


def test_a_user_is_found_whatever_the_case(boss: Client, operator: User, enterprise: Enterprise) -> None:
    make_entry(enterprise, actor_name=operator.username)
    assert len(rows(boss.get(LIST, {"actor_name": "OPERATOR1"}))) == 1


@pytest.mark.covers("ACC-15")
def test_the_export_is_a_file_that_nobody_can_run(boss: Client, enterprise: Enterprise) -> None:
    make_entry(enterprise, object_label="=1+1", actor_name="@SUM(A1)")
    answer = boss.get(LIST, {"export": "csv", "columns": "at,actor_name,action,outcome,object_label"})
    assert "attachment" in answer["Content-Disposition"]
    heading, row = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert heading == ["时间", "用户", "操作", "结果", "对象"]
    assert row == ["2026-11-21 00:30:00", "'@SUM(A1)", "smartgate.filing", "成功", "'=1+1"]


def test_looking_leaves_no_entry(boss: Client, enterprise: Enterprise) -> None:
    entry = make_entry(enterprise)
    boss.get(LIST)
    boss.get(reverse("accounts:audit_entry", args=[entry.pk]))
    assert AuditEntry.unscoped.count() == 1


@pytest.mark.covers("ACC-15")
def test_the_menu_leads_there_for_whoever_may(boss: Client, operator_client: Client, staff_client: Client) -> None:
    assert [
        bool(tree(browser.get("/accounts/profile/")).xpath(f"//a[@href='{LIST}']")) for browser in (boss, staff_client, operator_client)
    ] == [
        True,
        True,
        False,
    ]


def test_a_filing_reached_by_its_own_scope_tells_its_history(operator: User) -> None:
    filing: Filing = make_filing(operator)
    first = audit.record(action="smartgate.filing.edit", obj=filing, actor=operator, enterprise_id=filing.enterprise_id)
    second = audit.record(action="smartgate.filing.declare", obj=filing, actor=operator, enterprise_id=filing.enterprise_id)
    assert list(audit.entries_about(filing).values_list("pk", flat=True))[:2] == [second.pk, first.pk]
