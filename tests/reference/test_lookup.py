"""The lookup that code fields ask: who may, what comes back, what is refused."""

from datetime import date

import pytest
from django.test import Client

from reference.models import Code, CodeTable
from tests.reference.conftest import make_table

pytestmark = pytest.mark.django_db
URL = "/reference/lookup/customs/"


@pytest.fixture(autouse=True)
def customs() -> CodeTable:
    return make_table("customs", ("0900", "大连海关"), ("0901", "大连港湾"), ("0908", "连大窑湾"))


@pytest.mark.parametrize(
    ("q", "codes"), [("0908", ["0908"]), ("09", ["0900", "0901", "0908"]), ("大连", ["0900", "0901"]), ("ldyw", ["0908"]), ("zz", [])]
)
def test_it_finds_by_code_name_and_initials(operator_client: Client, q, codes):
    response = operator_client.get(URL, {"q": q})
    assert response.status_code == 200
    assert [result["code"] for result in response.json()["results"]] == codes


def test_a_result_is_code_name_and_initials(operator_client: Client):
    response = operator_client.get(URL, {"q": "0908"})
    assert response.json() == {"results": [{"code": "0908", "name": "连大窑湾", "initials": "ldyw"}]}
    assert response["Content-Type"] == "application/json"


def test_it_answers_for_a_day_and_for_so_many(operator_client: Client):
    Code.objects.filter(code="0900").update(valid_to=date(2022, 6, 1))
    codes = [
        [result["code"] for result in operator_client.get(URL, {"on": day, "limit": "1"}).json()["results"]]
        for day in ("2022-05-31", "2022-06-01")
    ]
    assert codes == [["0900"], ["0901"]]


def test_visitors_get_401_and_no_codes():
    response = Client().get(URL, {"q": "0908"})
    assert (response.status_code, response.json()) == (401, {"error": "请先登录。"})
    assert response["Cache-Control"] == "private, no-store"


def test_a_user_without_the_right_gets_403(operator_client: Client, operator, monkeypatch):
    monkeypatch.setattr(type(operator), "has_right", lambda self, right: right != "reference.lookup")
    response = operator_client.get(URL, {"q": "0908"})
    assert (response.status_code, response.json()) == (403, {"error": "您没有查询代码表的权限。"})


def test_an_unknown_table_is_404(operator_client: Client):
    response = operator_client.get("/reference/lookup/nothing/", {"q": "1"})
    assert (response.status_code, response.json()) == (404, {"error": "没有名为“nothing”的代码表。"})


def test_a_table_of_declaration_elements_is_no_code_table(operator_client: Client):
    response = operator_client.get("/reference/lookup/declaration_element/", {"q": "1"})
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"q": "大" * 51}, "查询内容不能超过 50 个字符。"),
        ({"on": "2022-02-30"}, "日期应写成 YYYY-MM-DD，例如 2022-06-01。"),
        ({"on": "昨天"}, "日期应写成 YYYY-MM-DD，例如 2022-06-01。"),
        ({"limit": "0"}, "返回条数应为 1 到 50 的整数。"),
        ({"limit": "51"}, "返回条数应为 1 到 50 的整数。"),
        ({"limit": "-1"}, "返回条数应为 1 到 50 的整数。"),
        ({"limit": "²"}, "返回条数应为 1 到 50 的整数。"),
        ({"limit": "9" * 5000}, "返回条数应为 1 到 50 的整数。"),
    ],
)
def test_a_bad_parameter_is_400_and_says_why(operator_client: Client, parameters, message):
    response = operator_client.get(URL, parameters)
    assert (response.status_code, response.json()) == (400, {"error": message})


@pytest.mark.parametrize("q", ["\x00", "\ud83d", "'; DROP TABLE reference_code; --", "%", "\\", "\n0908"])
def test_odd_queries_are_only_texts(operator_client: Client, q):
    response = operator_client.get(URL, {"q": q.encode("utf-8", "surrogatepass")})
    assert response.status_code == 200
    assert len(response.json()["results"]) == (1 if "0908" in q else 0)


def test_it_only_reads(operator_client: Client):
    assert operator_client.post(URL, {"q": "0908"}).status_code == 405


def test_the_browser_may_keep_an_answer_until_the_table_changes(operator_client: Client, customs: CodeTable):
    first = operator_client.get(URL, {"q": "0908"})
    assert first["Cache-Control"] == "private, max-age=60"
    again = operator_client.get(URL, {"q": "0908"}, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = operator_client.get(URL, {"q": "0901"}, headers={"If-None-Match": first["ETag"]})
    assert other.status_code == 200
    from reference import queries

    CodeTable.objects.filter(pk=customs.pk).update(revision="00000000-0000-4000-8000-000000000001")
    queries.forget()
    changed = operator_client.get(URL, {"q": "0908"}, headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]
