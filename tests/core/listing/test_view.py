"""What a query page does beyond the contract: actions by state, texts for what is empty, htmx, mistakes of the programmer."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.http import HttpResponse, QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from lxml import html

from accounts.models import Enterprise, User
from core.codes import ChoicesSource
from core.listing import CodeFilter, QueryFilterSet, QueryPageView, RowAction, TextFilter
from core.listing.keyset import Order
from core.models import AuditEntry, ColumnChoice
from tests.core.listing.audit_list import MOMENT, AuditFilter, AuditListView, Kind, make_entry

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.listing.urls")]


@pytest.fixture
def operator_client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def tree(response: HttpResponse) -> Any:
    assert response.status_code == 200
    return html.fromstring(response.content.decode())


def listing(client: Client, params: dict[str, str] | None = None, **headers: str) -> Any:
    return tree(client.get(reverse("test-audit"), params or {}, headers=headers))


def test_row_actions_follow_the_rows_state(operator_client: Client, enterprise: Enterprise) -> None:
    make_entry(enterprise, refused=True, at=MOMENT)
    make_entry(enterprise, refused=False, at=MOMENT - timedelta(1))
    closed, open_ = listing(operator_client).xpath("//td[@class='listing-actions']")
    assert closed.text_content().split() == ["查看"]
    assert [form.xpath(".//input[@name='csrfmiddlewaretoken']") != [] for form in open_.xpath(".//form")] == [True, True]
    asking = open_.xpath(".//details")[0]
    assert asking.xpath("./summary")[0].text_content().strip() == "删除"
    assert "确认删除？" in asking.text_content()


def test_a_posted_action_knows_the_way_back_to_the_list_as_it_stood(operator_client: Client, enterprise: Enterprise) -> None:
    make_entry(enterprise)
    (path,) = set(listing(operator_client, {"sort": "actor_name", "size": "50"}).xpath("//td//input[@name='next']/@value"))
    assert path == f"{reverse('test-audit')}?sort=actor_name&size=50"


def test_an_action_that_makes_no_sense_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="nothing to confirm"):
        RowAction("查看", "/", confirm=True)
    with pytest.raises(ValueError, match="delete"):
        RowAction("删除", "/", method="delete")


def test_an_empty_list_says_what_to_do(operator_client: Client) -> None:
    empty = tree(operator_client.get(reverse("test-empty"))).xpath("//*[@class='empty']")[0]
    assert "暂无数据" in empty.text_content()
    assert "还没有人做过什么。" in empty.text_content()
    assert not empty.xpath(".//a")


def test_a_page_whose_rows_have_gone_leads_back_to_the_first(operator_client: Client, enterprise: Enterprise) -> None:
    for _number in range(21):
        make_entry(enterprise)
    cursor = Order(AuditEntry, "at", descending=True, scope=AuditListView.page).cursor(AuditEntry.unscoped.earliest("at", "id"))
    gone = listing(operator_client, {"after": cursor})
    assert "这一页已经没有数据" in gone.xpath("//*[@class='empty']")[0].text_content()
    assert gone.xpath("//*[@class='empty']//a/@href") == ["?"]


def test_the_search_box_is_open_on_arrival_and_while_it_says_something(operator_client: Client, enterprise: Enterprise) -> None:
    for _number in range(21):
        make_entry(enterprise)
    box = "//form[@id='listing-filters']/details[@open]"
    first = operator_client.get(reverse("test-audit"))
    assert tree(first).xpath(box)
    following = reverse("test-audit") + first.context["after_url"]
    assert not tree(operator_client.get(following)).xpath(box)
    assert tree(operator_client.get(f"{following}&object_type={Kind.FILING}")).xpath(box)


def test_a_wrong_condition_costs_no_reading_of_rows(operator_client: Client, enterprise: Enterprise) -> None:
    make_entry(enterprise)
    with CaptureQueriesContext(connection) as captured:
        page = listing(operator_client, {"at_from": "yesterday", "export": "csv"})
    assert not [query for query in captured.captured_queries if "core_auditentry" in query["sql"]]
    assert page.xpath("//*[@id='listing-results']//a[@href='#id_at_from']")


def test_every_control_has_a_name_and_an_error_is_tied_to_its_control(operator_client: Client) -> None:
    page = listing(operator_client, {"object_type": "x", "at_from": "x"})
    form = page.xpath("//form[@id='listing-filters']")[0]
    for control in form.xpath(".//input[@type!='hidden'] | .//select"):
        assert control.get("aria-label") or form.xpath(f".//label[@for='{control.get('id')}']")
    select = form.xpath(".//select")[0]
    assert page.xpath(f"//*[@id='{select.get('aria-describedby')}']")
    assert [option.text for option in select] == ["全部", *Kind.labels, "x"]
    assert select.value == "x"


def test_htmx_gets_the_form_anew_only_when_the_form_asked(operator_client: Client, enterprise: Enterprise) -> None:
    make_entry(enterprise)
    by_form = listing(operator_client, {"at_from": "x"}, **{"HX-Request": "true", "HX-Trigger": "listing-filters"})
    assert by_form.xpath("//form[@id='listing-filters' and @hx-swap-oob='true']//*[contains(@class,'errorlist')]")
    by_pager = listing(operator_client, {}, **{"HX-Request": "true", "HX-Trigger": "listing-after"})
    assert not by_pager.xpath("//form[@id='listing-filters']")
    assert by_pager.xpath("//*[@id='listing-status']")[0].text_content() == "共 1 条"


def test_the_address_pushed_holds_the_state_and_no_blanks(operator_client: Client) -> None:
    response = operator_client.get(
        reverse("test-audit"),
        {"actor_name": "A&B 大", "object_type": "", "at_from": " ", "size": "50", "nope": "1"},
        headers={"HX-Request": "true"},
    )
    assert response["HX-Push-Url"] == f"{reverse('test-audit')}?actor_name=A%26B+%E5%A4%A7&size=50"


def test_sorting_turns_round_and_keeps_the_conditions(operator_client: Client, enterprise: Enterprise) -> None:
    make_entry(enterprise)
    heading = "//th[@aria-sort]"
    params = {"object_type": Kind.FILING.value, "sort": "actor_name"}
    page = listing(operator_client, params)
    assert page.xpath(heading)[0].get("aria-sort") == "ascending"
    assert page.xpath(heading + "/a/@href") == [f"?object_type={Kind.FILING}&sort=-actor_name"]
    assert listing(operator_client, {**params, "sort": "-actor_name"}).xpath(heading)[0].get("aria-sort") == "descending"


def test_a_new_search_keeps_order_size_and_columns(operator_client: Client) -> None:
    page = listing(operator_client, {"sort": "actor_name", "size": "100", "columns": "at,day"})
    hidden = page.xpath("//form[@id='listing-filters']//input[@type='hidden']")
    assert {field.get("name"): field.get("value") for field in hidden} == {"sort": "actor_name", "size": "100", "columns": "at,day"}


@pytest.mark.parametrize("stored", [["nothing"], [], "at", {"a": 1}, [7, None]])
def test_a_choice_of_columns_that_no_longer_fits_is_passed_over(
    operator_client: Client, operator: User, enterprise: Enterprise, stored: Any
) -> None:
    make_entry(enterprise)
    ColumnChoice.objects.create(user_id=operator.pk, page="test.audit", columns=stored)
    response = operator_client.get(reverse("test-audit"))
    assert list(response.context["view"].shown_names) == list(AuditListView.table_class.default_columns)


def test_what_users_typed_is_never_markup(operator_client: Client, enterprise: Enterprise) -> None:
    make_entry(enterprise, reason="<script>alert(1)</script>", object_label="<b>x</b>")
    page = listing(operator_client, {"columns": "reason,object_label", "actor_name": '"><i>'})
    assert not page.xpath("//main//script | //main//b | //main//i")
    page = listing(operator_client, {"columns": "reason,object_label"})
    assert "<script>alert(1)</script>" in page.xpath("//tbody")[0].text_content()


def test_a_state_is_shown_by_this_pages_own_label(operator_client: Client, enterprise: Enterprise) -> None:
    make_entry(enterprise, action="smartgate.filing")
    make_entry(enterprise, action="something.else")
    badges = listing(operator_client, {"columns": "action"}).xpath("//tbody//th/span[@class!='status-dot']")
    assert [(badge.text_content(), badge.get("class")) for badge in badges] == [
        ("something.else", "status status-secondary"),
        ("已申报", "status status-green"),
    ]


def test_a_condition_cannot_take_a_name_of_the_page() -> None:
    class SizeFilter(QueryFilterSet):
        size = TextFilter(field_name="reason")

        class Meta:
            model = AuditEntry
            fields: list[str] = []

    with pytest.raises(ImproperlyConfigured, match="size"):
        type("Page", (QueryPageView,), {"filterset_class": SizeFilter})


@pytest.mark.parametrize("ordering", [(), ("at", "id"), ("reason",)])
def test_the_order_is_one_sortable_column(ordering: tuple[str, ...]) -> None:
    with pytest.raises(ImproperlyConfigured, match="ordering"):
        type("Page", (QueryPageView,), {"filterset_class": AuditFilter, "ordering": ordering, "sortable": {"at": "at"}})


def test_headings_are_the_fields_names_unless_the_table_says_otherwise(operator_client: Client, enterprise: Enterprise) -> None:
    make_entry(enterprise)
    page = listing(operator_client, {"columns": "at,actor_name,day"})
    assert [heading.text_content().strip() for heading in page.xpath("//thead/tr/th")] == ["时间", "用户", "日期", "操作"]


def test_a_long_list_is_asked_for_by_a_code_field() -> None:
    class LongSource(ChoicesSource):
        lookup_url = "/reference/lookup/kinds/"

    class LongFilter(QueryFilterSet):
        object_type = CodeFilter(source=LongSource(Kind))

        class Meta:
            model = AuditEntry
            fields: list[str] = []

    right = LongFilter(QueryDict("object_type=accounts.user"))
    assert right.is_valid()
    assert right.form.cleaned_data == {"object_type": "accounts.user"}
    assert 'data-lookup-url="/reference/lookup/kinds/"' in str(right.form["object_type"])
    wrong = LongFilter(QueryDict("object_type=nonsense"))
    assert "object_type" in wrong.errors
