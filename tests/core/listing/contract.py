"""What every query page of the portal keeps (`architecture.md` §7). A list page's test class inherits `ListContract`.

@pytest.mark.covers("SGW-06")
class TestFilingList(ListContract):
    url_name = "smartgate:filings"
    filter_examples = [FilterExample({"trip_no": "U1"}, hit={"trip_no": "U1"}, miss={"trip_no": "U2"})]
    wrong_filters = [{"entered_at_from": "yesterday"}]
    sort_values = {"entered_at": [moment, moment, later, None]}

    def make_row(self, enterprise, **values):
        return make_filing(enterprise=enterprise, **values)
"""

import csv
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import openpyxl
import pytest
from django.conf import settings
from django.db import connection, models, transaction
from django.http import HttpResponse
from django.shortcuts import resolve_url
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from lxml import html

from accounts.models import Enterprise, User
from core.listing import QueryPageView, printing
from tests.core.pdf.reading import read_pdf

MOST_QUERIES = 8


@dataclass(frozen=True)
class FilterExample:
    """Parameters of the URL, values of a row they find, values of a row they do not."""

    params: Mapping[str, str]
    hit: Mapping[str, Any]
    miss: Mapping[str, Any]


class ListContract:
    """Inherit, fill in the class attributes and `make_row`; the tests come by themselves."""

    url_name: ClassVar[str]
    #: At least one for every condition of the page.
    filter_examples: ClassVar[Sequence[FilterExample]]
    #: Parameters that are wrong, each for a reason of its own.
    wrong_filters: ClassVar[Sequence[Mapping[str, str]]]
    #: For every sortable column some values of its field, with ties, with None where the field may be null; or, for a field
    #: that is unique, what makes the value of the n-th row.
    sort_values: ClassVar[Mapping[str, Sequence[Any] | Callable[[int], Any]]]

    def make_row(self, enterprise: Enterprise, **values: Any) -> models.Model:
        """Store one row that the users of `enterprise` see."""
        raise NotImplementedError

    # -- Helpers ------------------------------------------------------------------------------

    @pytest.fixture
    def page(self, client: Client, operator: User) -> "ListPage":
        client.force_login(operator)
        return ListPage(client, reverse(self.url_name))

    # -- Who sees what ------------------------------------------------------------------------

    def test_a_visitor_is_sent_to_the_login_page_and_back(self, client: Client, db: None) -> None:
        url = reverse(self.url_name)
        response = client.get(url, {"size": "50"})
        assert response.status_code == 302
        assert response["Location"].startswith(resolve_url(settings.LOGIN_URL))
        assert "next=" in response["Location"]

    def test_an_htmx_request_without_session_leaves_the_page(self, client: Client, db: None) -> None:
        response = client.get(reverse(self.url_name), headers={"HX-Request": "true"})
        assert resolve_url(settings.LOGIN_URL) in response["HX-Redirect"]

    def test_another_enterprise_sees_nothing(self, client: Client, enterprise: Enterprise, other_operator: User) -> None:
        self.make_row(enterprise)
        client.force_login(other_operator)
        page = ListPage(client, reverse(self.url_name))
        assert page.pks() == []
        for example in self.filter_examples:
            self.make_row(enterprise, **example.hit)
            assert page.pks(example.params) == []
        assert page.csv({}) == []

    def test_a_strangers_cursor_shows_no_strangers_row(
        self, client: Client, page: "ListPage", enterprise: Enterprise, other_operator: User
    ) -> None:
        for _number in range(page.smallest_size + 1):
            self.make_row(enterprise)
        following = page.get().context["after_url"]
        client.force_login(other_operator)
        assert page.pks_at(following) == []

    # -- Conditions ---------------------------------------------------------------------------

    def test_every_condition_finds_what_fits_and_nothing_else(self, page: "ListPage", enterprise: Enterprise) -> None:
        seen = set()
        for example in self.filter_examples:
            seen |= set(example.params)
            hit, miss = self.make_row(enterprise, **example.hit), self.make_row(enterprise, **example.miss)
            found = page.pks({**example.params, "size": "100"})
            assert hit.pk in found, example
            assert miss.pk not in found, example
        assert seen == set(page.get().context["filterset"].parameters), "every condition needs an example"

    def test_a_wrong_condition_is_said_beside_its_field_and_stays_typed(self, page: "ListPage", enterprise: Enterprise) -> None:
        self.make_row(enterprise)
        for params in self.wrong_filters:
            response = page.get(params)
            assert response.status_code == 200
            tree = _tree(response)
            assert tree.xpath("//form[@id='listing-filters']//*[contains(@class,'errorlist')]"), params
            assert tree.xpath("//*[@id='listing-results']//*[@role='alert']"), params
            assert not tree.xpath("//tbody"), params
            typed = set(tree.xpath("//form[@id='listing-filters']//input/@value"))
            controls = tree.xpath("//form[@id='listing-filters']//*[@aria-invalid='true']")
            assert controls, params
            for name, value in params.items():
                if not tree.xpath(f"//form[@id='listing-filters']//select[@name='{name}']"):
                    assert value in typed, params

    def test_nothing_found_offers_to_reset(self, page: "ListPage", enterprise: Enterprise) -> None:
        example = self.filter_examples[0]
        self.make_row(enterprise, **example.miss)
        response = page.get(example.params)
        reset = _tree(response).xpath("//*[@id='listing-results']//*[contains(@class,'empty')]//a/@href")
        assert reset
        assert len(page.pks_at(reset[0])) == 1

    # -- Order and pages ----------------------------------------------------------------------

    def test_every_sortable_column_has_values_to_try(self, page: "ListPage") -> None:
        assert set(self.sort_values) == set(page.view().sortable)

    @pytest.mark.django_db
    @effort(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors])
    @given(data=st.data())
    def test_paging_forward_and_back_meets_every_row_once_in_order(
        self, page: "ListPage", enterprise: Enterprise, data: st.DataObject
    ) -> None:
        name = data.draw(st.sampled_from(sorted(self.sort_values)))
        known, most = self.sort_values[name], 2 * page.smallest_size + 3
        values = (
            [known(number) for number in data.draw(st.permutations(range(data.draw(st.integers(0, most)))))]
            if callable(known)
            else data.draw(st.lists(st.sampled_from(known), max_size=most))
        )
        with transaction.atomic():
            field = page.view().sortable[name]
            for value in values:
                self.make_row(enterprise, **{field: value})
            for sort in (name, f"-{name}"):
                expected = page.all_pks(sort)
                forward, url = [], page.get({"sort": sort}).context["view"].links.url()
                pages = []
                while url:
                    response = page.at(url)
                    rows = page.rows_of(response)
                    forward += rows
                    pages.append(rows)
                    last, url = url, response.context["after_url"]
                assert forward == expected
                url = page.at(last).context["before_url"]
                for rows in reversed(pages[:-1]):
                    response = page.at(url)
                    assert page.rows_of(response) == rows
                    url = response.context["before_url"]
                assert url == ""
            transaction.set_rollback(True)  # The next example begins without these rows.

    def test_a_cursor_tampered_with_shows_the_first_page_and_says_so(self, page: "ListPage", enterprise: Enterprise) -> None:
        row = self.make_row(enterprise)
        for reach, cursor in itertools.product(["after", "before", "from"], ["x", "a:b", "WyIyMDI2Il0:abc", "\x00", "９", "a" * 5000]):
            response = page.get({reach: cursor})
            assert response.status_code == 200
            assert page.rows_of(response) == [row.pk]
            assert _tree(response).xpath("//*[@id='listing-results']//*[@role='status']"), (reach, cursor)

    def test_a_cursor_of_another_order_is_not_taken(self, page: "ListPage", enterprise: Enterprise) -> None:
        for _number in range(page.smallest_size + 1):
            self.make_row(enterprise)
        cursor = page.get().context["view"].rows_page.after
        default = page.view().ordering[0]
        other = default.removeprefix("-") if default.startswith("-") else f"-{default}"
        assert page.get({"after": cursor, "sort": other}).context["cursor_is_lost"]

    @pytest.mark.parametrize(
        "params", [{"sort": "password"}, {"sort": "--id"}, {"size": "7"}, {"size": "x"}, {"columns": "nope"}, {"nope": "1"}]
    )
    def test_what_makes_no_sense_in_the_url_is_passed_over(self, page: "ListPage", enterprise: Enterprise, params: dict[str, str]) -> None:
        row = self.make_row(enterprise)
        assert page.pks(params) == [row.pk]

    # -- Columns ------------------------------------------------------------------------------

    def test_columns_are_remembered_for_this_user_and_page(
        self, client: Client, page: "ListPage", enterprise: Enterprise, administrator: User
    ) -> None:
        self.make_row(enterprise)
        before = page.headings(page.get())
        names = list(page.get().context["view"].column_labels)
        response = client.post(page.url, {"columns": names[-1:]})
        assert response.status_code == 302
        assert f"columns={names[-1]}" in response["Location"]
        chosen = page.headings(page.get())
        assert len(chosen) == 1
        assert page.headings(page.get({"columns": ",".join(names)})) != chosen, "the URL wins"
        client.force_login(administrator)
        assert page.headings(page.get()) == before, "another user has his own"

    def test_columns_are_reset(self, client: Client, page: "ListPage", enterprise: Enterprise) -> None:
        self.make_row(enterprise)
        before = page.headings(page.get())
        client.post(page.url, {"columns": list(page.get().context["view"].column_labels)[-1:]})
        client.post(page.url, {"reset": "1"})
        assert page.headings(page.get()) == before

    # -- Export -------------------------------------------------------------------------------

    def test_the_export_is_the_page(self, page: "ListPage", enterprise: Enterprise) -> None:
        for _number in range(page.smallest_size + 2):
            self.make_row(enterprise)
        for url in (page.url, page.get().context["after_url"]):
            response = page.at(url)
            shown = page.cells(response)
            urls = dict(response.context["export_urls"])
            self.make_row(enterprise)
            heading, *rows = csv.reader(io.StringIO(page.at(urls["csv"]).content.decode("utf-8-sig")))
            assert heading == page.headings(response)
            assert [[_bare(cell) for cell in row] for row in rows] == shown
            sheet = openpyxl.load_workbook(io.BytesIO(page.at(urls["xlsx"]).content)).active
            assert [cell.value for cell in sheet[1]] == heading
            assert [[_bare(cell) for cell in row] for row in sheet.iter_rows(min_row=2, values_only=True)] == shown

    # -- Print --------------------------------------------------------------------------------

    def test_the_print_is_all_that_the_conditions_find(self, page: "ListPage", enterprise: Enterprise) -> None:
        rows = [self.make_row(enterprise) for _number in range(page.smallest_size + 2)]
        response = page.get()
        shown = page.cells(response) + page.cells(page.at(response.context["after_url"]))
        assert len(shown) == len(rows)
        paper = page.at(response.context["print_url"])
        assert paper["Content-Type"] == "application/pdf"
        text = read_pdf(paper.content).text
        assert f"共 {len(rows)} 条" in text
        squeezed = "".join(text.split())
        for cells in shown:
            assert "".join(str(cells[0]).split()) in squeezed
        assert all("".join(heading.split()) in squeezed for heading in page.headings(response))

    def test_the_print_says_what_was_asked_for(self, page: "ListPage", enterprise: Enterprise) -> None:
        for example in self.filter_examples:
            hit, _miss = self.make_row(enterprise, **example.hit), self.make_row(enterprise, **example.miss)
            response = page.get({**example.params, "size": "100"})
            found = page.rows_of(response)
            assert hit.pk in found
            text = "".join(read_pdf(page.at(response.context["print_url"]).content).text.split())
            assert f"共{len(found)}条" in text
            for label, value in response.context["filterset"].spoken:
                assert "".join(f"{label}：{value}".split()) in text, example

    def test_more_than_is_printed_at_once_is_said_and_not_cut(
        self, page: "ListPage", enterprise: Enterprise, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(printing, "MOST_ROWS", 1)
        self.make_row(enterprise)
        url = page.get().context["print_url"]
        assert page.at(url)["Content-Type"] == "application/pdf"
        self.make_row(enterprise)
        refused = page.client.get(page.url + url, follow=True)
        assert "text/html" in refused["Content-Type"]
        assert "一次最多打印 1 条" in refused.content.decode()
        assert len(page.rows_of(refused)) == 2

    # -- Web ----------------------------------------------------------------------------------

    def test_the_part_for_htmx_is_the_table_of_the_whole_page(self, page: "ListPage", enterprise: Enterprise) -> None:
        self.make_row(enterprise)
        whole, part = page.get(), page.get(headers={"HX-Request": "true"})
        for response in (whole, part):
            assert "HX-Request" in response["Vary"]
        assert b"<html" not in part.content
        assert page.cells(part) == page.cells(whole)
        assert part["HX-Push-Url"].startswith(page.url)
        restored = page.get(headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
        assert b"<html" in restored.content

    def test_it_needs_no_script_and_no_style_of_its_own(self, page: "ListPage", enterprise: Enterprise) -> None:
        self.make_row(enterprise)
        tree = _tree(page.get())
        assert not tree.xpath("//main//script | //main//style | //main//*[@style] | //main//*[starts-with(name(@*), 'on')]")
        assert tree.xpath("//form[@id='listing-filters' and @method='get']//button[@type='submit']")
        for link in tree.xpath("//*[@id='listing-results']//a[not(@aria-disabled)]"):
            assert link.get("href")

    def test_the_table_can_be_read_without_seeing_it(self, page: "ListPage", enterprise: Enterprise) -> None:
        self.make_row(enterprise)
        tree = _tree(page.get())
        assert tree.xpath("//table/caption")
        assert not tree.xpath("//thead//th[not(@scope='col')]")
        assert len(tree.xpath("//tbody/tr/th[@scope='row']")) == len(tree.xpath("//tbody/tr"))
        sort = page.view().ordering[0].removeprefix("-")
        sorted_now = tree.xpath("//th[@aria-sort]")
        assert len(sorted_now) == (1 if sort in page.get().context["view"].shown_names else 0)
        assert tree.xpath("//*[@role='region' and @tabindex='0' and @aria-label]//table")
        assert tree.xpath("//*[@id='listing-status' and @aria-live='polite']")

    def test_it_asks_the_database_eight_times_at_most_however_many_rows(self, page: "ListPage", enterprise: Enterprise) -> None:
        self.make_row(enterprise)
        page.get()  # The first visit of a session puts the page into the strip of opened pages.
        few = page.queries({})
        for _number in range(page.smallest_size + 1):
            self.make_row(enterprise)
        many = page.queries({})
        assert many <= MOST_QUERIES
        assert many <= few + 1, "only the count may be added when there is more than a page"
        after = page.get().context["view"].rows_page.after
        assert page.queries({"after": after}) <= MOST_QUERIES


@dataclass
class ListPage:
    """One query page as a logged-in client sees it."""

    client: Client
    url: str

    smallest_size: ClassVar[int] = 20

    def get(self, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> HttpResponse:
        return self.client.get(self.url, dict(params or {}), headers=dict(headers or {}))

    def at(self, url: str) -> HttpResponse:
        return self.client.get(self.url + url if url.startswith("?") else url)

    def view(self) -> QueryPageView:
        return self.get().context["view"]

    def all_pks(self, sort: str) -> list[Any]:
        """Every row's primary key in the order asked for, by a query of its own."""
        view = self.view()
        field = view.sortable[sort.removeprefix("-")]
        sign = "-" if sort.startswith("-") else ""
        return list(view.get_queryset().order_by(f"{sign}{field}", f"{sign}pk").values_list("pk", flat=True))

    def rows_of(self, response: HttpResponse) -> list[Any]:
        assert response.status_code == 200
        rows = [row.pk for row in response.context["view"].rows_page.rows]
        assert len(rows) == len(_tree(response).xpath("//tbody/tr")), "the page shows the rows it has"
        return rows

    def pks(self, params: Mapping[str, str] | None = None) -> list[Any]:
        return self.rows_of(self.get(params))

    def pks_at(self, url: str) -> list[Any]:
        return self.rows_of(self.at(url))

    def headings(self, response: HttpResponse) -> list[str]:
        texts = _tree(response).xpath("//thead//th[not(contains(@class,'listing-actions'))]")
        return [text.text_content().strip() for text in texts]

    def cells(self, response: HttpResponse) -> list[list[str]]:
        rows = _tree(response).xpath("//tbody/tr")
        return [[_bare(cell.text_content()) for cell in row.xpath("./*[not(contains(@class,'listing-actions'))]")] for row in rows]

    def csv(self, params: Mapping[str, str]) -> list[list[str]]:
        response = self.get({**params, "export": "csv"})
        return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))[1:]

    def queries(self, params: Mapping[str, str]) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert self.get(params).status_code == 200
        return len(captured)


def _bare(cell: Any) -> str:
    """A cell's contents whichever way it is written: page, CSV or XLSX."""
    text = "" if cell is None else str(cell).strip().removeprefix("'")
    digits = text.replace(",", "")
    return digits if digits.replace(".", "", 1).lstrip("-").isdigit() else "" if text == "—" else text


def _tree(response: HttpResponse) -> html.HtmlElement:
    """The page as a tree; decoded here, because a part of a page does not say its encoding."""
    return html.fromstring(response.content.decode())
