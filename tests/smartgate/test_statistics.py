"""业务数据统计: the numbers are those of the list, by every kind of group; whose, of which days; charts; workbooks."""

import io
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import openpyxl
import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.timezone import get_default_timezone, localdate
from lxml import html

from accounts.models import User
from smartgate.models import BindKeyType, BusinessType, Filing, FilingStatus
from smartgate.statistics.charts import HEIGHT, NARROW, WIDE, day_chart, scale
from smartgate.statistics.forms import PeriodForm
from smartgate.statistics.queries import statistics_for
from tests.smartgate.test_list import bare_filing

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-09")]

PAGE = "/smartgate/statistics/"
NOVEMBER = {"entered_at_from": "2026-11-01", "entered_at_to": "2026-11-30"}


@pytest.fixture
def filings(operator: User, other_operator: User) -> list[Filing]:
    """Sixty of the enterprise in November, and what must not be counted among them: a stranger's, a deleted one, October's, December's."""
    dice, zone = random.Random(11), get_default_timezone()
    made = [
        bare_filing(
            operator.enterprise,
            entered_at=datetime(2026, 11, dice.randint(1, 30), dice.randint(0, 23), 59, tzinfo=zone),
            customs_code=dice.choice(["0908", "0901", "0940"]),
            business_type=dice.choice([BusinessType.DECLARATION, BusinessType.EMPTY_VEHICLE]),
            # One vehicle has one open filing at a time: none of these is.
            status=dice.choice([FilingStatus.CLOSED, FilingStatus.DEPARTED, FilingStatus.REJECTED]),
            bind_key_type=dice.choice([BindKeyType.PLATE, BindKeyType.BARCODE]),
            bind_key_info=f"辽B1000{number % 7}",
        )
        for number in range(60)
    ]
    noon = datetime(2026, 11, 15, 12, tzinfo=zone)
    bare_filing(other_operator.enterprise, entered_at=noon)
    bare_filing(operator.enterprise, entered_at=noon, deleted_at=noon)
    # 16:00 UTC is midnight in Shanghai.
    bare_filing(operator.enterprise, entered_at=datetime(2026, 10, 31, 15, 59, 59, 999999, tzinfo=UTC))
    bare_filing(operator.enterprise, entered_at=datetime(2026, 11, 30, 16, 0, tzinfo=UTC))
    return made


def tree(response: HttpResponse) -> Any:
    assert response.status_code == 200
    return html.fromstring(response.content.decode())


def table(page: Any, key: str) -> dict[str, int]:
    """What a table of the page says: name → filings."""
    rows = page.xpath(f"//section[@aria-labelledby='stat-{key}']//tbody/tr")
    return {row.xpath("./th")[0].text_content().strip(): int(row.xpath("./td[1]")[0].text.replace(",", "")) for row in rows}


def test_the_numbers_are_those_of_the_rows(operator_client: Client, filings: list[Filing]) -> None:
    page = tree(operator_client.get(PAGE, NOVEMBER))
    assert page.xpath("//*[@id='stat-total']")[0].text_content() == "60 票"
    names = {"0908": "0908 连大窑湾", "0901": "0901 大连港湾", "0940": "0940 营口海关"}
    assert table(page, "customs") == Counter(names[filing.customs_code] for filing in filings)
    assert table(page, "business") == Counter(str(BusinessType(filing.business_type).label) for filing in filings)
    assert table(page, "status") == Counter(str(FilingStatus(filing.status).label) for filing in filings)
    assert table(page, "vehicles") == Counter(f"{BindKeyType(filing.bind_key_type).label} {filing.bind_key_info}" for filing in filings)
    days = Counter(f"{timezone.localtime(filing.entered_at):%Y-%m-%d}" for filing in filings)
    assert table(page, "days") == {f"2026-11-{day:02}": days[f"2026-11-{day:02}"] for day in range(1, 31)}


def test_each_row_leads_to_the_list_of_just_its_filings(operator_client: Client, filings: list[Filing]) -> None:
    page = tree(operator_client.get(PAGE, NOVEMBER))
    links = page.xpath("//section[contains(@class,'stat-section')]//tbody/tr[th/a]")
    assert len(links) > 25
    for row in links:
        listed = tree(operator_client.get(row.xpath("./th/a/@href")[0]))
        assert listed.xpath("//*[@class='listing-count']")[0].text_content() == f"共 {row.xpath('./td[1]')[0].text} 条"
    whole = page.xpath("//div[@class='page-head-actions']//a/@href")[0]
    assert tree(operator_client.get(whole)).xpath("//*[@class='listing-count']")[0].text_content() == "共 60 条"


def test_the_largest_comes_first_and_shares_are_of_all(operator_client: Client, filings: list[Filing]) -> None:
    page = tree(operator_client.get(PAGE, NOVEMBER))
    counts = list(table(page, "customs").values())
    assert counts == sorted(counts, reverse=True)
    shares = page.xpath("//section[@aria-labelledby='stat-customs']//tbody/tr/td[2]/text()")
    assert shares == [f"{100 * count / 60:.1f}%" for count in counts]
    lengths = [float(width) for width in page.xpath("//section[@aria-labelledby='stat-customs']//rect/@width")]
    assert lengths == [round(100 * count / counts[0], 2) for count in counts]


def test_vehicles_beyond_those_named_are_counted_together(operator: User) -> None:
    moment = datetime(2026, 11, 15, 4, tzinfo=UTC)
    for number in range(6):
        for _trip in range(6 - number):
            bare_filing(operator.enterprise, entered_at=moment, status="closed", bind_key_info=f"辽B2000{number}")
    found = statistics_for(operator, first=date(2026, 11, 1), last=date(2026, 11, 30), vehicles=2)
    assert [(group.key, group.filings) for group in found.vehicles] == [("辽B20000", 6), ("辽B20001", 5)]
    assert (found.vehicle_count, found.total) == (6, 21)


def test_the_page_names_twenty_vehicles_and_the_workbook_all(operator_client: Client, operator: User) -> None:
    moment = datetime(2026, 11, 15, 4, tzinfo=UTC)
    for number in range(25):
        bare_filing(operator.enterprise, entered_at=moment, status="closed", bind_key_info=f"辽B300{number:02}")
    page = tree(operator_client.get(PAGE, NOVEMBER))
    named = table(page, "vehicles")
    assert len(named) == 21
    assert named["其余 5 辆"] == 5
    assert "共 25 辆（按绑定介质），列出票数最多的 20 辆。" in page.text_content()
    assert len(workbook(operator_client, "vehicles")) == 1 + 25 + 1


def workbook(client: Client, key: str) -> list[tuple[Any, ...]]:
    response = client.get(PAGE, {**NOVEMBER, "export": key})
    assert response["Content-Type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert "attachment" in response["Content-Disposition"]
    return list(openpyxl.load_workbook(io.BytesIO(response.content)).active.iter_rows(values_only=True))


@pytest.mark.parametrize("key", ["days", "customs", "business", "status", "vehicles"])
def test_each_table_is_exported_as_it_stands(operator_client: Client, filings: list[Filing], key: str) -> None:
    page = tree(operator_client.get(PAGE, NOVEMBER))
    headings, *rows, total = workbook(operator_client, key)
    column = page.xpath(f"//section[@aria-labelledby='stat-{key}']//thead//th[1]")[0].text_content()
    assert headings == (column, "票数", "占比")
    assert {row[0]: row[1] for row in rows} == table(page, key)
    assert total[:2] == ("合计", 60)
    link = page.xpath(f"//section[@aria-labelledby='stat-{key}']//a[contains(@href,'export=')]/@href")[0]
    assert operator_client.get(PAGE + link)["Content-Type"].endswith("sheet")


def test_an_export_of_nothing_known_is_the_page(operator_client: Client) -> None:
    assert "text/html" in operator_client.get(PAGE, {"export": "nothing"})["Content-Type"]
    assert "text/html" in operator_client.get(PAGE, {"export": "days", "entered_at_from": "x"})["Content-Type"]


def test_without_a_period_it_is_the_last_thirty_days(operator_client: Client, operator: User) -> None:
    now = timezone.now()
    for days in (0, 29, 31):
        bare_filing(operator.enterprise, entered_at=now - timedelta(days=days), status="closed")
    page = tree(operator_client.get(PAGE))
    assert page.xpath("//*[@id='stat-total']")[0].text_content() == "2 票"
    assert len(table(page, "days")) == 30
    assert list(table(page, "days"))[-1] == str(localdate())
    typed = page.xpath("//form[@id='statistics-period']//input[@type='date']/@value")
    assert typed == [str(localdate() - timedelta(days=29)), str(localdate())]


@pytest.mark.parametrize(
    ("typed", "period"),
    [
        ({"entered_at_to": "2026-03-31"}, (date(2026, 3, 2), date(2026, 3, 31))),
        ({"entered_at_from": "2001-01-01"}, (date(2001, 1, 1), date(2001, 1, 30))),
        ({"entered_at_from": "2001-01-01", "entered_at_to": "2002-01-01"}, (date(2001, 1, 1), date(2002, 1, 1))),
        ({"entered_at_from": "2001-01-01", "entered_at_to": "2001-01-01"}, (date(2001, 1, 1), date(2001, 1, 1))),
    ],
)
def test_one_end_of_the_period_is_enough(typed: dict[str, str], period: tuple[date, date]) -> None:
    form = PeriodForm(typed)
    assert form.is_valid()
    assert form.cleaned_data["entered_at"] == period


def test_a_start_in_the_last_thirty_days_counts_up_to_today() -> None:
    start = localdate() - timedelta(days=3)
    form = PeriodForm({"entered_at_from": str(start)})
    assert form.is_valid()
    assert form.cleaned_data["entered_at"] == (start, localdate())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"entered_at_from": "昨天"}, "YYYY-MM-DD"),
        ({"entered_at_from": "2026-11-02", "entered_at_to": "2026-11-01"}, "起始日期不能晚于截止日期"),
        ({"entered_at_from": "2001-01-01", "entered_at_to": "2002-01-02"}, "统计期间最长为 366 天"),
    ],
)
def test_a_wrong_period_is_said_beside_it_and_counts_nothing(operator_client: Client, typed: dict[str, str], said: str) -> None:
    operator_client.get(PAGE)
    with CaptureQueriesContext(connection) as captured:
        page = tree(operator_client.get(PAGE, typed))
    assert said in page.xpath("//form[@id='statistics-period']//*[contains(@class,'errorlist')]")[0].text_content()
    assert page.xpath("//form[@id='statistics-period']//input[@aria-invalid='true']")
    assert not page.xpath("//table")
    assert not [query for query in captured.captured_queries if "GROUPING SETS" in query["sql"]]


def test_nothing_entered_is_said_with_what_to_do(operator_client: Client) -> None:
    page = tree(operator_client.get(PAGE, {"entered_at_from": "2001-01-01", "entered_at_to": "2001-01-31"}))
    assert "这段时间没有录入单据" in page.xpath("//*[@class='empty']")[0].text_content()
    assert not page.xpath("//main//table | //main//svg[contains(@class,'stat')]")


def test_an_enterprise_counts_its_own_only(client: Client, other_operator: User, filings: list[Filing]) -> None:
    client.force_login(other_operator)
    page = tree(client.get(PAGE, NOVEMBER))
    assert page.xpath("//*[@id='stat-total']")[0].text_content() == "1 票"
    assert not [name for name in table(page, "vehicles") if "辽B1000" in name]


def test_all_counts_are_one_question_to_the_database(operator_client: Client, filings: list[Filing]) -> None:
    operator_client.get(PAGE, NOVEMBER)
    with CaptureQueriesContext(connection) as captured:
        operator_client.get(PAGE, NOVEMBER)
    assert len([query for query in captured.captured_queries if "smartgate_filing" in query["sql"]]) == 1
    assert len(captured) <= 5


@pytest.mark.django_db(transaction=True)
def test_the_memory_for_it_is_asked_for_and_given_back(operator: User) -> None:
    def setting() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW work_mem")
            return str(cursor.fetchone()[0])

    before, during = setting(), []

    def looks(execute: Any, sql: str, *rest: Any) -> Any:
        found = execute(sql, *rest)
        if "GROUPING SETS" in sql:
            result = rest[-1]["cursor"]
            with result.connection.cursor() as another:
                another.execute("SHOW work_mem")
                during.extend(another.fetchone())
        return found

    with connection.execute_wrapper(looks):
        statistics_for(operator, first=date(2026, 11, 1), last=date(2026, 11, 30))
    assert (during, setting()) == (["256MB"], before)


def test_the_charts_need_no_script_and_hide_nothing_that_no_table_says(operator_client: Client, filings: list[Filing]) -> None:
    page = tree(operator_client.get(PAGE, NOVEMBER))
    assert not page.xpath("//main//script | //main//style | //main//*[@style]")
    assert page.xpath("//main//svg[contains(@class,'stat-chart')]")
    assert not page.xpath("//main//svg[not(@aria-hidden='true')]")
    assert len(page.xpath("//main//table[caption][.//th[@scope='col']][.//th[@scope='row']]")) == 5


def test_the_menu_leads_here(operator_client: Client) -> None:
    links = tree(operator_client.get(reverse("smartgate:list"))).xpath(f"//nav[@id='menu']//a[@href='{PAGE}']")
    assert [link.text_content().strip() for link in links] == ["业务数据统计"]


@pytest.mark.parametrize("most", [0, 1, 2, 4, 5, 9, 10, 11, 49, 50, 51, 99, 101, 4_321, 5_000_000])
def test_scales_are_round_few_and_high_enough(most: int) -> None:
    ticks = scale(most)
    assert ticks[0] == 0
    assert ticks[-1] >= max(1, most)
    assert 2 <= len(ticks) <= 6
    assert len({after - before for before, after in pairwise(ticks)}) == 1
    assert str(ticks[1]).strip("0") in ("1", "2", "5")


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("length", [1, 2, 30, 31, 366])
def test_a_chart_stays_in_its_frame(length: int, width: float) -> None:
    days = [(date(2026, 1, 1) + timedelta(days=number), number * 7 % 50) for number in range(length)]
    chart = day_chart(days, width)
    assert len(chart.bars) == len([1 for _day, filings in days if filings])
    for bar in chart.bars:
        assert chart.left <= bar.x
        assert bar.x + bar.width <= width
        assert bar.y >= 0
        assert bar.y + bar.height <= HEIGHT
        assert bar.width > 0.4
    places = [day.x for day in chart.days]
    assert places
    assert all(after - before >= 60 for before, after in pairwise(places)), "labels do not touch"
    heights = sorted((bar.height, filings) for bar, (_day, filings) in zip(chart.bars, [pair for pair in days if pair[1]], strict=True))
    assert [filings for _height, filings in heights] == sorted(filings for _day, filings in days if filings)
