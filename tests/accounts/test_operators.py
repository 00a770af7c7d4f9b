"""我的操作员: the administrator opens, edits, disables, enables and resets his enterprise's operators, and nobody else's (ACC-10)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Enterprise, Registration, ReviewStatus, User
from accounts.rights import ApplicationKey, Role
from accounts.services import operators as services
from core.models import AuditEntry
from notifications.models import Delivery
from tests.accounts.pages import ID_NO, OTHER_ID_NO, client_of, errors_of, field_values, sms_to, trail, tree_of
from tests.conftest import PASSWORD, make_user
from tests.core.listing.contract import FilterExample, ListContract
from tests.smartgate.test_races import at_once

LIST, NEW = "/accounts/operators/", "/accounts/operators/new/"
MOBILE, NEW_MOBILE = "13904119901", "13904119902"
MOMENT = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
_numbers = count(1)


def entered(**values: Any) -> dict[str, Any]:
    """A new operator as the form sends him."""
    return {
        "username": "newperson1",
        "full_name": "新操作",
        "id_no": ID_NO,
        "mobile": MOBILE,
        "email": "new@example.com",
        "applications": ["smartgate"],
        **values,
    }


@pytest.fixture
def admin_client(administrator: User) -> Client:
    return client_of(administrator)


def one_time_password(mobile: str = MOBILE) -> str:
    """The one that was sent last."""
    found = re.search(r"一次性密码 (\w+)", sms_to(mobile)[-1])
    assert found
    return found[1]


@pytest.mark.covers("ACC-10")
class TestOperatorList(ListContract):
    url_name = "accounts:operators"
    filter_examples: ClassVar = [
        FilterExample({"username": "FINDME1"}, {"username": "findme1"}, {"username": "findme2"}),
        FilterExample({"full_name": "张三"}, {"full_name": "张三"}, {"full_name": "张三丰"}),
        FilterExample({"mobile": "139 0411 8888"}, {"mobile": "13904118888"}, {"mobile": "13904118889"}),
        FilterExample({"state": "open"}, {}, {"is_active": False}),
        FilterExample({"state": "disabled"}, {"is_active": False, "frozen_at": MOMENT}, {}),
        FilterExample({"state": "frozen"}, {"frozen_at": MOMENT}, {}),
        FilterExample({"state": "new"}, {"first_login_verified_at": None}, {}),
        FilterExample({"state": "review"}, {"waits": True, "is_active": False}, {"is_active": False}),
    ]
    wrong_filters: ClassVar = [{"state": "nonsense"}, {"username": "x" * 101}]
    sort_values: ClassVar = {
        "username": lambda number: f"sorted{number:03d}",
        "date_joined": [MOMENT, MOMENT, MOMENT + timedelta(seconds=1)],
    }

    # The list is an administrator's; the contract calls whoever may see it an operator.
    @pytest.fixture
    def operator(self, enterprise: Enterprise) -> User:
        return make_user("lister1", Role.ENTERPRISE_ADMINISTRATOR, enterprise)

    @pytest.fixture
    def other_operator(self, other_enterprise: Enterprise) -> User:
        return make_user("lister2", Role.ENTERPRISE_ADMINISTRATOR, other_enterprise)

    def make_row(self, enterprise: Enterprise, **values: Any) -> User:
        waits = values.pop("waits", False)
        number = next(_numbers)
        username = values.pop("username", f"row{number:06d}")
        User.objects.filter(username=username).delete()
        user = User(
            username=username,
            role=Role.OPERATOR,
            enterprise=enterprise,
            **{"full_name": f"操作员{number}", "first_login_verified_at": MOMENT, **values},
        )
        user.save()
        if waits:
            Registration.objects.create(user=user, role=Role.OPERATOR, credit_code=enterprise.credit_code, submitted_at=MOMENT)
        return user


pytestmark = pytest.mark.django_db


@pytest.mark.covers("ACC-10")
def test_a_new_operator_gets_a_one_time_password_by_sms_and_must_choose_his_own(admin_client, enterprise):
    response = admin_client.post(NEW, entered())
    assert response.url == LIST
    user = User.objects.get(username="newperson1")
    assert (user.enterprise, user.role, user.full_name, user.applications) == (enterprise, Role.OPERATOR, "新操作", ["smartgate"])
    assert user.must_change_password
    assert user.first_login_verified_at is None
    assert user.id_no == ID_NO
    assert user.check_password(one_time_password())
    page = admin_client.get(LIST).content.decode()
    assert "139****9901" in page
    assert one_time_password() not in page


def test_nobodys_free_words_go_to_a_phone(admin_client, enterprise):
    """The name of an enterprise is what somebody typed; in an SMS of the platform it would be the platform's word."""
    Enterprise.objects.filter(pk=enterprise.pk).update(name="中奖通知请点击bad.example")
    admin_client.post(NEW, entered())
    assert "bad.example" not in sms_to(MOBILE)[-1]


def test_password_and_identity_number_stand_neither_in_the_trail_nor_in_the_log(admin_client, caplog, administrator):
    admin_client.post(NEW, entered())
    entry = trail("accounts.operator.create")[-1]
    assert entry.after == {
        "username": "newperson1",
        "full_name": "新操作",
        "id_no": "210***********425X",
        "mobile": "139****9901",
        "email": "new@example.com",
        "applications": ["smartgate"],
    }
    assert (entry.actor_name, entry.enterprise_id) == (administrator.username, administrator.enterprise_id)
    told = caplog.text + repr(list(AuditEntry.unscoped.values()))
    assert one_time_password() not in told
    assert ID_NO not in told


@pytest.mark.covers("ACC-10")
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"username": "short"}, "6 至 18 位"),
        ({"username": "名字名字名字"}, "6 至 18 位"),
        ({"username": "x" * 19}, "6 至 18 位"),
        ({"username": "OPERATOR1"}, "已被使用"),
        ({"id_no": "21021119900230425X"}, "身份证号不正确"),
        ({"mobile": "12345"}, "手机号不正确"),
        ({"email": "nobody"}, "邮箱格式不正确"),
        ({"full_name": ""}, "此项必填"),
        ({"applications": ["inspection"]}, "不在可选范围内"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(admin_client, operator, enterprise, wrong, told):
    enterprise.applications = ["smartgate"]
    enterprise.save()
    response = admin_client.post(NEW, entered(**wrong))
    assert told in errors_of(response)
    kept = field_values(response)
    assert {name: kept[name] for name in wrong if name != "applications"} == {k: v for k, v in wrong.items() if k != "applications"}
    assert User.objects.filter(role=Role.OPERATOR).count() == 1
    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_one_user_name_given_twice_at_once_in_two_cases(administrator):
    entry = services.OperatorEntry(full_name="甲", id_no=ID_NO, mobile=MOBILE, email="a@example.com")

    def create(username: str) -> Callable[[], Any]:
        def job() -> Any:
            try:
                return services.create_operator(actor=administrator, username=username, entry=entry, applications=[])
            except services.ValidationError as refusal:
                return refusal

        return job

    results = at_once(create("samename1"), create("SameName1"))
    assert sum(isinstance(result, User) for result in results) == 1
    (refusal,) = [result for result in results if not isinstance(result, User)]
    assert "已被使用" in str(refusal.message_dict["username"])
    assert Delivery.objects.count() == 1


@pytest.mark.covers("ACC-10")
def test_a_disabled_operators_session_ends_at_once(admin_client, operator, operator_client):
    assert operator_client.get("/smartgate/filings/").status_code == 200
    assert admin_client.post(f"{LIST}{operator.pk}/disable/").url == LIST
    assert operator_client.get("/smartgate/filings/").url.startswith("/accounts/login/")
    admin_client.post(f"{LIST}{operator.pk}/disable/")
    assert len(trail("accounts.operator.disable")) == 1
    admin_client.post(f"{LIST}{operator.pk}/enable/")
    operator.refresh_from_db()
    assert operator.is_active
    assert trail("accounts.operator.enable")[0].after == {"is_active": True, "frozen_at": None}


@pytest.mark.covers("ACC-10")
def test_enabling_thaws_a_frozen_account(admin_client, operator):
    User.objects.filter(pk=operator.pk).update(frozen_at=timezone.now(), is_active=False)
    admin_client.post(f"{LIST}{operator.pk}/enable/")
    operator.refresh_from_db()
    assert operator.is_active
    assert operator.frozen_at is None


@pytest.mark.parametrize("status", [ReviewStatus.PENDING, ReviewStatus.REJECTED])
def test_who_waits_for_the_platforms_review_is_not_enabled_by_his_administrator(admin_client, operator, status):
    User.objects.filter(pk=operator.pk).update(is_active=False)
    Registration.objects.create(user=operator, role=Role.OPERATOR, status=status, submitted_at=timezone.now())
    page = admin_client.post(f"{LIST}{operator.pk}/enable/", follow=True).content.decode()
    assert "尚未通过平台审核" in page
    operator.refresh_from_db()
    assert not operator.is_active


@pytest.mark.covers("ACC-10")
def test_a_reset_sends_a_new_one_time_password_and_ends_the_sessions(admin_client, operator, operator_client):
    User.objects.filter(pk=operator.pk).update(mobile=MOBILE)
    page = admin_client.post(f"{LIST}{operator.pk}/reset-password/", follow=True).content.decode()
    operator.refresh_from_db()
    assert operator.check_password(one_time_password())
    assert not operator.check_password(PASSWORD)
    assert operator.must_change_password
    assert operator_client.get("/smartgate/filings/").url.startswith("/accounts/login/")
    assert one_time_password() not in page + repr(list(AuditEntry.unscoped.values()))


def test_without_a_phone_there_is_no_reset(admin_client, operator):
    assert "没有登记手机号" in admin_client.post(f"{LIST}{operator.pk}/reset-password/", follow=True).content.decode()
    operator.refresh_from_db()
    assert operator.check_password(PASSWORD)


@pytest.mark.covers("ACC-10")
def test_editing_keeps_what_is_left_empty_and_a_new_phone_is_to_be_proved(admin_client, operator):
    User.objects.filter(pk=operator.pk).update(mobile=MOBILE, id_no="")
    User.objects.get(pk=operator.pk)
    path = f"{LIST}{operator.pk}/edit/"
    sent = field_values(admin_client.get(path)) | {"id_no": ID_NO, "email": "a@example.com", "full_name": "改名"}
    assert admin_client.post(path, sent).url == LIST
    page = admin_client.get(path)
    assert ID_NO not in page.content.decode()
    assert "210***********425X" in page.content.decode()
    sent = field_values(page) | {"mobile": NEW_MOBILE}
    assert sent["id_no"] == ""
    assert admin_client.post(path, sent).url == LIST
    operator.refresh_from_db()
    assert (operator.id_no, operator.mobile, operator.full_name, operator.username) == (ID_NO, NEW_MOBILE, "改名", "operator1")
    assert operator.first_login_verified_at is None
    assert "手机号已更换为 139****9902" in sms_to(MOBILE)[-1]
    assert [entry.after for entry in trail("accounts.operator.edit")] == [
        {"full_name": "改名", "id_no": "210***********425X", "email": "a@example.com"},
        {"mobile": "139****9902"},
    ]


def test_an_identity_number_whose_ends_stay_the_same_is_a_change_too(admin_client, operator):
    alike = "21021119910307425X"
    operator.id_no = alike
    operator.save()
    services.edit_operator(
        actor=User.objects.get(username="admin1"),
        user_id=operator.pk,
        entry=services.OperatorEntry(full_name=operator.full_name, id_no=ID_NO, mobile=operator.mobile, email=operator.email),
        seen=services.shown.mark_of(services.operator_values(operator)),
    )
    assert trail("accounts.operator.edit")[-1].after == {"id_no": "已修改"}


def test_two_who_edit_one_operator_do_not_overwrite_each_other_unseen(admin_client, operator):
    path = f"{LIST}{operator.pk}/edit/"
    first = field_values(admin_client.get(path)) | {"id_no": OTHER_ID_NO, "mobile": MOBILE, "email": "first@example.com"}
    second = field_values(admin_client.get(path)) | {"id_no": OTHER_ID_NO, "mobile": MOBILE, "email": "second@example.com"}
    assert admin_client.post(path, first).url == LIST
    refused = admin_client.post(path, second)
    assert "已被他人修改" in errors_of(refused)
    again = field_values(refused)
    assert again["email"] == "second@example.com"
    assert admin_client.post(path, again).url == LIST
    operator.refresh_from_db()
    assert operator.email == "second@example.com"


@pytest.mark.covers("ACC-10", "ACC-13")
@pytest.mark.parametrize("action", ["edit", "applications", "disable", "enable", "reset-password"])
def test_operators_of_others_are_not_there_and_an_operator_manages_nobody(operator, operator_client, other_operator, administrator, action):
    admin_client = client_of(administrator)
    for stranger in (other_operator, administrator):
        path = f"{LIST}{stranger.pk}/{action}/"
        assert admin_client.post(path, {"email": "x@example.com"}).status_code == 404
        if action in ("edit", "applications"):
            assert admin_client.get(path).status_code == 404
    assert operator_client.post(f"{LIST}{operator.pk}/{action}/").status_code == 403
    for user in (operator, other_operator, administrator):
        user.refresh_from_db()
        assert user.is_active
        assert user.check_password(PASSWORD)


@pytest.mark.covers("ACC-10")
def test_the_actions_of_a_row_go_by_the_state_of_the_account(admin_client, operator):
    def offered() -> list[str]:
        cell = tree_of(admin_client.get(LIST)).xpath("//tbody//td[contains(@class,'listing-actions')]")[0]
        return [part.text_content().strip() for part in cell.xpath("./div/a | ./div/form//button | ./div/details/summary")]

    assert offered() == ["修改", "应用权限", "重置密码", "停用"]
    User.objects.filter(pk=operator.pk).update(frozen_at=timezone.now())
    assert offered() == ["修改", "应用权限", "重置密码", "启用", "停用"]
    User.objects.filter(pk=operator.pk).update(is_active=False)
    assert offered() == ["修改", "应用权限", "启用"]
    Registration.objects.create(user=operator, role=Role.OPERATOR, submitted_at=timezone.now())
    assert offered() == ["修改", "应用权限"]


def test_the_form_offers_what_the_enterprise_has_opened(admin_client, enterprise):
    enterprise.applications = [ApplicationKey.SMARTGATE]
    enterprise.save()
    assert tree_of(admin_client.get(NEW)).xpath("//input[@name='applications']/@value") == ["smartgate"]


def test_an_administrator_cannot_have_texts_rain_on_a_phone(admin_client, operator, settings):
    def refusal(**values: Any) -> str:
        return admin_client.post(NEW, entered(**values)).content.decode()

    User.objects.filter(pk=operator.pk).update(mobile=MOBILE)
    reset = f"{LIST}{operator.pk}/reset-password/"
    admin_client.post(reset)
    assert "短信刚刚发送过" in admin_client.post(reset, follow=True).content.decode()
    assert "短信刚刚发送过" in refusal()
    # Other phones, until the enterprise has had its share.
    settings.SMS_CODES_PER_ADDRESS_AND_HOUR = 3
    for number in range(2):
        admin_client.post(NEW, entered(username=f"newcomer{number}", mobile=f"1390411880{number}"))
    assert "发送短信次数过多" in refusal(username="newcomer9", mobile="13904118809")
    assert Delivery.objects.count() == 3
    assert not User.objects.filter(username__in=["newperson1", "newcomer9"]).exists()
