"""Code tables in the pages of platform staff."""

from datetime import date

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from reference.models import BEGINNING, Code, DeclarationElement, Origin
from tests.reference.conftest import make_table, versions

pytestmark = pytest.mark.django_db


@pytest.fixture
def code() -> Code:
    return make_table("customs", ("0908", "连大窑湾")).codes.get()


def url(code: Code) -> str:
    return f"/admin/reference/code/{code.pk}/change/"


def test_staff_search_codes(staff_client: Client, code: Code):
    make_table("unit", ("001", "台"))
    page = staff_client.get("/admin/reference/code/", {"q": "ldyw", "validity": "today"}).content.decode()
    assert "连大窑湾" in page
    assert ">台<" not in page


def test_the_list_tells_ended_from_valid_codes(staff_client: Client, code: Code):
    Code.objects.filter(pk=code.pk).update(valid_to=date(2022, 6, 1))
    shown = ["连大窑湾" in staff_client.get("/admin/reference/code/", {"validity": v}).content.decode() for v in ("today", "ended")]
    assert shown == [False, True]


def test_staff_rename_a_code(staff_client: Client, code: Code):
    response = staff_client.post(url(code), {"name": "大窑湾海关", "aliases": "DYW", "effective_on": "2022-07-01"})
    assert response.status_code == 302
    assert versions("customs", "0908") == [("连大窑湾", BEGINNING, date(2022, 7, 1)), ("大窑湾海关", date(2022, 7, 1), None)]


def test_staff_end_a_code(staff_client: Client, code: Code):
    staff_client.post(url(code), {"name": "别的名称", "aliases": "", "effective_on": "2022-07-01", "ends": "on"})
    assert versions("customs", "0908") == [("连大窑湾", BEGINNING, date(2022, 7, 1))]


def test_a_day_that_cannot_be_is_an_error_of_the_form(staff_client: Client, code: Code):
    response = staff_client.post(url(code), {"name": "大窑湾海关", "aliases": "", "effective_on": "1999-12-31"})
    assert response.status_code == 200
    assert "生效日期不能早于当前版本的生效日期 2000-01-01。" in response.content.decode()
    assert versions("customs", "0908") == [("连大窑湾", BEGINNING, None)]


def test_nothing_is_added_deleted_or_overwritten(staff_client: Client, code: Code):
    element = DeclarationElement.objects.create(
        prefix="0101", name="品种", required=True, position=1, valid_from=BEGINNING, origin=Origin.OFFICIAL
    )
    refused = [
        staff_client.get("/admin/reference/code/add/"),
        staff_client.post(f"/admin/reference/code/{code.pk}/delete/", {"post": "yes"}),
        staff_client.post(f"/admin/reference/codetable/{code.table_id}/change/", {"key": "other"}),
        staff_client.post(f"/admin/reference/declarationelement/{element.pk}/change/", {"name": "other"}),
    ]
    assert [response.status_code for response in refused] == [403, 403, 403, 403]
    assert staff_client.get(f"/admin/reference/codetable/{code.table_id}/change/").status_code == 200
    assert staff_client.get(f"/admin/reference/declarationelement/{element.pk}/change/").status_code == 200


def test_who_may_only_look_sees_no_questions(code: Code, staff):
    staff.is_superuser = False
    staff.save()
    staff.user_permissions.add(Permission.objects.get(codename="view_code"))
    client = Client()
    client.force_login(staff)
    page = client.get(url(code))
    assert page.status_code == 200
    assert "effective_on" not in page.content.decode()
    assert client.post(url(code), {"name": "别的", "aliases": "", "effective_on": "2022-07-01"}).status_code == 403
    assert versions("customs", "0908") == [("连大窑湾", BEGINNING, None)]
