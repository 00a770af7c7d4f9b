"""/admin/ for enterprises, users and contents: what staff see, and that every change of theirs is in the trail (ACC-13, ACC-15)."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Permission

from accounts.models import Enterprise, User
from accounts.rights import Role
from core.models import AuditEntry
from portal.models import Contact, ContentItem
from tests.accounts.pages import ID_NO, client_of, field_values, trail, tree_of
from tests.conftest import PASSWORD, make_user
from tests.portal.factories import make_item

pytestmark = pytest.mark.django_db


def form_of(response: Any) -> dict[str, Any]:
    """The change form of a page of /admin/, as it would be sent untouched."""
    (form,) = tree_of(response).xpath("//form[contains(@id,'_form')]")
    sent: dict[str, list[str]] = {}
    for name, value in form.form_values():
        sent.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in sent.items()}


@pytest.mark.covers("ACC-13")
def test_staff_disable_and_enable_an_enterprise(staff_client, staff, enterprise, operator_client):
    page = "/admin/accounts/enterprise/"
    assert operator_client.get("/smartgate/filings/").status_code == 200
    staff_client.post(page, {"action": "disable", "_selected_action": [enterprise.pk]})
    assert operator_client.get("/smartgate/filings/").status_code in (302, 403)
    staff_client.post(page, {"action": "disable", "_selected_action": [enterprise.pk]})
    staff_client.post(page, {"action": "enable", "_selected_action": [enterprise.pk]})
    (disabled,), (enabled,) = trail("accounts.enterprise.disable"), trail("accounts.enterprise.enable")
    assert (disabled.actor_name, disabled.enterprise_id, disabled.after) == (staff.username, enterprise.pk, {"is_active": False})
    assert enabled.after == {"is_active": True}


@pytest.mark.covers("ACC-13")
def test_a_change_of_an_enterprise_is_in_its_trail_and_identity_numbers_are_masked(staff_client, enterprise):
    enterprise.legal_person_id_no = ID_NO
    enterprise.save()
    path = f"/admin/accounts/enterprise/{enterprise.pk}/change/"
    page = staff_client.get(path)
    assert "210***********425X" in page.content.decode()
    assert ID_NO not in page.content.decode()
    assert staff_client.post(path, form_of(page) | {"name": "新名称", "legal_person_name": "甲"}).status_code == 302
    (entry,) = trail("accounts.enterprise.staff_change")
    assert entry.after == {"name": "新名称", "legal_person_name": "甲"}
    assert entry.enterprise_id == enterprise.pk
    assert Enterprise.objects.get(pk=enterprise.pk).legal_person_id_no == ID_NO


@pytest.mark.covers("ACC-13")
def test_a_change_of_a_user_is_audited_and_shows_no_number_in_full(staff_client, operator):
    User.objects.filter(pk=operator.pk).update(id_no="")
    operator.id_no = ID_NO
    operator.save()
    path = f"/admin/accounts/user/{operator.pk}/change/"
    page = staff_client.get(path)
    assert ID_NO not in page.content.decode()
    assert staff_client.post(path, form_of(page) | {"full_name": "改名"}).status_code == 302
    (entry,) = trail("accounts.user.staff_change")
    assert (entry.before, entry.after) == ({"full_name": "operator1"}, {"full_name": "改名"})
    assert entry.enterprise_id == operator.enterprise_id


def test_a_password_set_by_staff_is_the_users_to_replace_and_not_in_the_trail(staff_client, operator):
    password = "Lighthouse2027"
    path = f"/admin/accounts/user/{operator.pk}/password/"
    answer = staff_client.post(path, {"password1": password, "password2": password, "usable_password": "true"})
    assert answer.status_code == 302
    operator.refresh_from_db()
    assert operator.check_password(password)
    assert operator.must_change_password
    (entry,) = trail("accounts.user.staff_set_password")
    assert entry.after == {"password": "已修改"}
    told = repr(list(AuditEntry.unscoped.values()))
    assert password not in told
    assert operator.password not in told
    staff_client.post(path, {"password1": "x", "password2": "y"})
    assert len(trail("accounts.user.staff_set_password")) == 1


def test_a_new_user_is_audited_and_has_to_choose_his_own_password(staff_client):
    data = {"username": "customs7", "full_name": "关员", "role": "customs", "enterprise": "", "usable_password": "true"}
    answer = staff_client.post("/admin/accounts/user/add/", data | {"password1": PASSWORD, "password2": PASSWORD})
    assert answer.status_code == 302
    user = User.objects.get(username="customs7")
    assert user.must_change_password
    (entry,) = trail("accounts.user.staff_add")
    assert entry.after["username"] == "customs7"
    assert entry.after["password"] == "已设置"
    assert user.password not in repr(list(AuditEntry.unscoped.values()))


def test_users_and_enterprises_are_not_deleted(staff_client, operator):
    assert staff_client.post(f"/admin/accounts/user/{operator.pk}/delete/", {"post": "yes"}).status_code == 403
    assert staff_client.post(f"/admin/accounts/enterprise/{operator.enterprise_id}/delete/", {"post": "yes"}).status_code == 403
    staff_client.post("/admin/accounts/user/", {"action": "delete_selected", "_selected_action": [operator.pk], "post": "yes"})
    assert User.objects.filter(pk=operator.pk).exists()


def test_what_staff_publish_change_and_delete_is_in_the_trail(staff_client):
    item = make_item()
    path = f"/admin/portal/contentitem/{item.pk}/change/"
    assert staff_client.post(path, form_of(staff_client.get(path)) | {"title": "新标题"}).status_code == 302
    (entry,) = trail("portal.contentitem.staff_change")
    assert entry.after["title"] == "新标题"
    staff_client.post(f"/admin/portal/contentitem/{item.pk}/delete/", {"post": "yes"})
    assert not ContentItem.objects.exists()
    assert trail("portal.contentitem.staff_delete")[0].before["title"] == "新标题"
    data = {"label": "热线", "way": "phone", "value": "95198", "position": "1"}
    assert staff_client.post("/admin/portal/contact/add/", data).status_code == 302
    contact = Contact.objects.get()
    assert trail("portal.contact.staff_add")[0].after["label"] == "热线"
    staff_client.post("/admin/portal/contact/", {"action": "delete_selected", "_selected_action": [contact.pk], "post": "yes"})
    assert not Contact.objects.exists()
    assert trail("portal.contact.staff_delete")[0].before["value"] == "95198"
    assert field_values(staff_client.get("/admin/portal/contact/add/"))


@pytest.fixture
def clerk(db: None) -> User:
    """Staff who may change accounts, and is no superuser."""
    clerk = make_user("clerk1", Role.PLATFORM_STAFF, is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    return clerk


@pytest.mark.covers("ACC-13")
def test_staff_make_nobody_a_superuser_unless_they_are_one(clerk, operator):
    client, path = client_of(clerk), f"/admin/accounts/user/{operator.pk}/change/"
    sent = form_of(client.get(path))
    permission = Permission.objects.get(codename="change_user")
    raised = {"is_superuser": "on", "is_staff": "on", "user_permissions": [permission.pk]}
    assert client.post(path, sent | raised | {"full_name": "改名"}).status_code == 302
    operator.refresh_from_db()
    assert operator.full_name == "改名"
    assert (operator.is_superuser, operator.is_staff, operator.user_permissions.count()) == (False, False, 0)


@pytest.mark.covers("ACC-13")
@pytest.mark.parametrize("whose", ["clerk", "staff"])
def test_accounts_of_staff_are_a_superusers_to_change(clerk, staff, whose):
    user, client = {"clerk": clerk, "staff": staff}[whose], client_of(clerk)
    password = {"password1": "Lighthouse2027", "password2": "Lighthouse2027", "usable_password": "true"}
    assert client.post(f"/admin/accounts/user/{user.pk}/change/", {"username": user.username, "is_superuser": "on"}).status_code == 403
    assert client.post(f"/admin/accounts/user/{user.pk}/password/", password).status_code == 403
    before, after = user, User.objects.get(pk=user.pk)
    assert (after.is_superuser, after.password) == (before.is_superuser, before.password)


@pytest.mark.covers("ACC-14")
def test_the_second_factor_of_staff_is_a_superusers_to_take(clerk, staff):
    Authenticator.objects.create(user=staff, type=Authenticator.Type.TOTP, data={"secret": "x"})
    sent = {"action": "reset_second_factor", "_selected_action": [staff.pk], "confirmed": "1"}
    page = client_of(clerk).post("/admin/accounts/user/", sent, follow=True)
    assert "只能由超级管理员解除" in page.content.decode()
    assert Authenticator.objects.filter(user=staff).exists()
