"""我的应用权限: opening and closing for the enterprise, granting to operators, one after the other (ACC-10, ACC-13)."""

from typing import Any

import pytest

from accounts.models import Enterprise, User
from accounts.rights import ApplicationKey, Role
from accounts.services import applications as services
from accounts.services.applications import Grants
from tests.accounts.pages import client_of, errors_of, field_values, trail, tree_of
from tests.conftest import make_user
from tests.smartgate.test_races import at_once, refusals

PAGE = "/accounts/applications/"
GATE = ApplicationKey.SMARTGATE
pytestmark = pytest.mark.django_db


def ticked(response: Any) -> set[str]:
    return set(tree_of(response).xpath("//input[@name='grant' and @checked]/@value"))


@pytest.fixture
def second(enterprise: Enterprise) -> User:
    return make_user("operator9", Role.OPERATOR, enterprise, applications=[])


@pytest.mark.covers("ACC-10", "ACC-13")
def test_boxes_ticked_are_granted_and_take_effect_with_the_next_request(administrator, operator, second):
    client = client_of(second)
    assert client.get("/smartgate/filings/").status_code == 403
    manager = client_of(administrator)
    page = manager.get(PAGE)
    assert ticked(page) == {f"{operator.pk}:{key}" for key in ApplicationKey.values}
    boxes = field_values(page)
    boxes["grant"] = [f"{operator.pk}:smartgate", f"{operator.pk}:inspection", f"{second.pk}:smartgate"]
    assert manager.post(PAGE, boxes).url == PAGE
    assert ticked(manager.get(PAGE)) == set(boxes["grant"])
    assert client.get("/smartgate/filings/").status_code == 200
    entries = {entry.object_label: (entry.before, entry.after) for entry in trail("accounts.operator.grant")}
    assert entries == {
        "operator1": ({"applications": sorted(ApplicationKey.values)}, {"applications": ["inspection", "smartgate"]}),
        "operator9": ({"applications": []}, {"applications": ["smartgate"]}),
    }
    manager.post(PAGE, field_values(manager.get(PAGE)))
    assert len(trail("accounts.operator.grant")) == 2


@pytest.mark.covers("ACC-10")
def test_closing_says_how_many_lose_it_and_takes_it_from_all(administrator, operator, second, enterprise):
    manager = client_of(administrator)
    question = tree_of(manager.get(PAGE)).xpath("//details[contains(.,'智能卡口散杂货')]")[0].text_content()
    assert "1 名操作员将失去“智能卡口散杂货”的权限" in question
    assert "1 名操作员失去该权限" in manager.post(f"{PAGE}smartgate/close/", follow=True).content.decode()
    operator.refresh_from_db()
    enterprise.refresh_from_db()
    assert "smartgate" not in operator.applications + enterprise.applications
    assert client_of(administrator).get("/smartgate/filings/").status_code == 403
    assert len(trail("accounts.enterprise.close_application")) == len(trail("accounts.operator.grant")) == 1
    manager.post(f"{PAGE}smartgate/close/")
    manager.post(f"{PAGE}smartgate/open/")
    manager.post(f"{PAGE}smartgate/open/")
    assert len(trail("accounts.enterprise.close_application")) == len(trail("accounts.enterprise.open_application")) == 1
    assert client_of(administrator).get("/smartgate/filings/").status_code == 200
    assert client_of(operator).get("/smartgate/filings/").status_code == 403, "opening again grants nothing by itself"
    assert manager.post(f"{PAGE}nonsense/open/").status_code == 404


@pytest.mark.covers("ACC-10")
def test_one_operators_own_page(administrator, operator, second):
    manager, path = client_of(administrator), f"/accounts/operators/{second.pk}/applications/"
    boxes = field_values(manager.get(path)) | {"grant": f"{second.pk}:smartgate"}
    assert manager.post(path, boxes).url == path
    second.refresh_from_db()
    assert second.applications == ["smartgate"]
    assert manager.post(path, boxes | {f"seen-{operator.pk}": ""}).status_code == 404


@pytest.mark.covers("ACC-10")
def test_an_operator_reads_his_own_and_changes_nothing(operator, operator_client):
    User.objects.filter(pk=operator.pk).update(applications=["smartgate"])
    page = operator_client.get(PAGE)
    text = tree_of(page).text_content()
    assert "可以使用" in text
    assert "未授权" in text
    assert not tree_of(page).xpath("//main//input | //main//button")
    assert operator_client.post(PAGE, {f"seen-{operator.pk}": "", "grant": f"{operator.pk}:inspection"}).status_code == 403
    assert operator_client.post(f"{PAGE}smartgate/close/").status_code == 403


def test_two_who_grant_at_the_same_time_are_told_and_lose_nothing(administrator, operator, second):
    manager = client_of(administrator)
    first, late = field_values(manager.get(PAGE)), field_values(manager.get(PAGE))
    manager.post(PAGE, first | {"grant": f"{second.pk}:inspection"})
    refused = manager.post(PAGE, late | {"grant": f"{second.pk}:smartgate"})
    assert "operator9" in errors_of(refused)
    assert ticked(refused) == {f"{second.pk}:smartgate"}
    second.refresh_from_db()
    assert second.applications == ["inspection"]
    assert manager.post(PAGE, field_values(refused)).url == PAGE
    second.refresh_from_db()
    assert second.applications == ["smartgate"]


def test_boxes_nobody_touched_stay_as_another_left_them(administrator, operator, second):
    manager = client_of(administrator)
    late = field_values(manager.get(PAGE))
    User.objects.filter(pk=operator.pk).update(applications=["inspection"])
    grant = [*late["grant"], f"{second.pk}:smartgate"]
    assert manager.post(PAGE, late | {"grant": grant}).url == PAGE
    operator.refresh_from_db()
    second.refresh_from_db()
    assert (operator.applications, second.applications) == (["inspection"], ["smartgate"])


@pytest.mark.covers("ACC-13")
def test_nobody_grants_to_strangers_or_what_is_closed(administrator, operator, other_operator, enterprise):
    manager = client_of(administrator)
    for stranger in (other_operator, administrator):
        assert manager.post(PAGE, {f"seen-{stranger.pk}": "smartgate"}).status_code == 404
    for wrong in ({"grant": "x:smartgate"}, {"grant": f"{operator.pk}:nonsense"}, {"seen-x": ""}, {"grant": f"{'9' * 30}:smartgate"}):
        assert manager.post(PAGE, wrong).status_code == 404
    enterprise.applications = ["smartgate"]
    enterprise.save()
    User.objects.filter(pk=operator.pk).update(applications=[])
    refused = manager.post(PAGE, {f"seen-{operator.pk}": "", "grant": f"{operator.pk}:inspection"})
    assert "已关闭" in errors_of(refused)
    operator.refresh_from_db()
    assert operator.applications == []


def test_many_operators_come_in_pages_by_user_name(administrator, enterprise):
    User.objects.bulk_create(
        User(username=f"many{number:03d}", full_name="x", role=Role.OPERATOR, enterprise=enterprise) for number in range(51)
    )
    manager = client_of(administrator)
    first = tree_of(manager.get(PAGE))
    (following,) = first.xpath("//a[contains(.,'下一页')]/@href")
    assert len(first.xpath("//table//tbody/tr")) == 50
    assert len(tree_of(manager.get(PAGE + following)).xpath("//table//tbody/tr")) == 1


def test_an_address_that_no_page_of_ours_leads_to_is_no_error(administrator, operator):
    page = client_of(administrator).get(PAGE, {"after": "operator\x000"})
    assert page.status_code == 200
    assert "operator1" in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_granting_and_closing_at_once_leave_nothing_granted_that_is_closed(administrator, second, enterprise):
    def grant() -> Any:
        try:
            wanted = Grants(user_id=second.pk, seen=frozenset(), wanted=frozenset({"smartgate"}))
            return services.grant_applications(actor=administrator, enterprise_id=enterprise.pk, grants=[wanted])
        except services.ValidationError as refusal:
            return refusal

    at_once(grant, lambda: services.close_application(actor=administrator, enterprise_id=enterprise.pk, key=GATE))
    second.refresh_from_db()
    enterprise.refresh_from_db()
    assert set(second.applications) <= set(enterprise.applications)
    assert "smartgate" not in enterprise.applications


@pytest.mark.django_db(transaction=True)
def test_two_who_grant_differently_at_once_one_is_told(administrator, second, enterprise):
    def grant(*keys: str) -> Any:
        wanted = Grants(user_id=second.pk, seen=frozenset(), wanted=frozenset(keys))
        return services.grant_applications(actor=administrator, enterprise_id=enterprise.pk, grants=[wanted])

    assert refusals(at_once(lambda: grant("smartgate"), lambda: grant("inspection"))) == 1
