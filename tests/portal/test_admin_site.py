"""/admin/ has no login page of its own: its addresses lead to the portal's."""

import pytest

from tests.accounts.test_login import PICTURE, log_in
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.mark.covers("ACC-07")
def test_staff_come_to_the_admin_through_the_one_login(client, staff):
    asked = client.get("/admin/accounts/user/?q=x")
    assert asked["Location"] == "/accounts/login/?next=/admin/accounts/user/%3Fq%3Dx"
    assert log_in(client, "staff1", next="/admin/accounts/user/?q=x")["Location"] == "/admin/accounts/user/?q=x"
    assert client.get("/admin/accounts/user/?q=x").status_code == 200


def test_its_login_page_is_ours(client, staff_client):
    assert client.get("/admin/login/?next=/admin/auth/group/")["Location"] == "/accounts/login/?next=/admin/auth/group/"
    assert client.get("/admin/login/")["Location"] == "/accounts/login/?next=/admin/"
    assert client.post("/admin/login/", {"username": "staff1", "password": "x"})["Location"].startswith("/accounts/login/")
    assert staff_client.get("/admin/login/")["Location"] == "/admin/"


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/login/?next=/admin/", "/admin/accounts/user/"])
def test_who_is_logged_in_and_no_staff_is_told_so_and_not_sent_in_circles(operator_client, path):
    response = operator_client.get(path)
    assert response.status_code == 403
    assert "您没有打开此页面的权限" in response.content.decode()


def test_another_host_is_never_the_page_after_login(client, staff):
    there = client.get("/admin/login/?next=https://example.com/")["Location"]
    assert client.post(there, {"username": "staff1", "password": PASSWORD, **PICTURE})["Location"] == "/"


def test_logging_out_and_the_password_are_ours(staff_client):
    assert staff_client.get("/admin/password_change/")["Location"] == "/accounts/password/change/"
    assert staff_client.get("/admin/password_change/done/")["Location"] == "/admin/"
    assert staff_client.get("/admin/logout/").status_code == 405
    assert staff_client.post("/admin/logout/")["Location"] == "/accounts/login/"
    assert staff_client.get("/admin/")["Location"] == "/accounts/login/?next=/admin/"
