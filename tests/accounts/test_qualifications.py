"""我的资质: the manual's words, who may change what, passwords that nobody sees again, two who save at once (ACC-11)."""

from typing import Any

import pytest
from django.db import connection

from accounts.models import Enterprise, Qualification
from accounts.services import qualifications as services
from core.models import AuditEntry
from tests.accounts.pages import client_of, errors_of, field_values, trail, tree_of
from tests.smartgate.test_races import at_once, refusals

PAGE = "/accounts/qualifications/"
EDIT = f"{PAGE}?edit=1"
ECIQ, PLATFORM = "EciqSecret1", "PlatformSecret2"
FILLED = {
    "has_foreign_trade_record": "yes",
    "customs_registration_no": "２１０２ 980001",
    "inspection_registration_no": "2100000001",
    "eciq_account": "eciq-user",
    "eciq_password": ECIQ,
    "origin_record_no": "2102000001",
    "origin_platform_account": "platform-user",
    "origin_platform_password": PLATFORM,
    "ccpit_code": "21020a",
    "ccpit_enterprise_code": "210200001",
    "ccpit_signatory": "手签员",
}
pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(administrator: Any) -> Any:
    return client_of(administrator)


def stored(enterprise: Enterprise) -> Qualification:
    found: Qualification = Qualification.unscoped.get(pk=enterprise.pk)
    return found


@pytest.mark.covers("ACC-11")
def test_the_manuals_headings_and_words(manager):
    text = tree_of(manager.get(PAGE)).text_content()
    for words in (
        "对外贸易经营者备案",
        "是否已有对外贸易经营者备案",
        "企业在开展对外贸易业务前",
        "海关注册登记",
        "企业在海关办理注册登记后，取得的10位编码，用于办理报关等业务。平台将根据您的信息自动返填。",
        "报检资质备案",
        "报检单位注册号、质检ECIQ申报账号和密码用于报检业务。",
        "质检原产地证资质备案",
        "质检产地证备案号、质检通讯平台账号和密码用于质检原产地证申报业务。",
        "贸促会编码",
        "手签员姓名",
        "组织机构代码(主体标识码)",
        "编辑",
    ):
        assert words in text, words
    assert not tree_of(manager.get(PAGE)).xpath("//main//input")


@pytest.mark.covers("ACC-11")
def test_everything_is_stored_and_read_again(manager, enterprise):
    assert manager.post(PAGE, field_values(manager.get(EDIT)) | FILLED).url == PAGE
    found = stored(enterprise)
    enterprise.refresh_from_db()
    assert enterprise.customs_registration_no == "2102980001"
    assert (found.has_foreign_trade_record, found.inspection_registration_no, found.ccpit_code) == (True, "2100000001", "21020A")
    assert (found.eciq_account, found.eciq_password, found.origin_platform_password) == ("eciq-user", ECIQ, PLATFORM)
    assert (found.ccpit_enterprise_code, found.ccpit_signatory, found.lock_version) == ("210200001", "手签员", 1)
    shown = [output.text for output in tree_of(manager.get(PAGE)).xpath("//output")]
    assert shown.count("已设置") == 2
    assert "是" in shown
    manager.post(PAGE, field_values(manager.get(EDIT)))
    assert stored(enterprise).lock_version == 1, "nothing changed, nothing saved"


@pytest.mark.covers("ACC-11")
def test_passwords_are_encrypted_in_the_database_and_stand_nowhere_else(manager, enterprise, caplog):
    manager.post(PAGE, field_values(manager.get(EDIT)) | FILLED)
    with connection.cursor() as cursor:
        cursor.execute("SELECT eciq_password, origin_platform_password FROM accounts_qualification")
        raw = " ".join(cursor.fetchone())
    assert ECIQ not in raw
    assert PLATFORM not in raw
    (entry,) = trail("accounts.qualification.edit")
    assert (entry.after["eciq_password"], entry.after["origin_platform_password"]) == ("已修改", "已修改")
    refused = manager.post(PAGE, field_values(manager.get(EDIT)) | FILLED | {"ccpit_code": "1"})
    pages = "".join(response.content.decode() for response in (manager.get(PAGE), manager.get(EDIT), refused))
    told = pages + caplog.text + repr(list(AuditEntry.unscoped.values()))
    assert ECIQ not in told
    assert PLATFORM not in told


@pytest.mark.covers("ACC-11")
def test_an_empty_password_stays_and_a_box_clears_it(manager, enterprise):
    manager.post(PAGE, field_values(manager.get(EDIT)) | FILLED)
    manager.post(PAGE, field_values(manager.get(EDIT)) | {"ccpit_signatory": "另一人"})
    assert stored(enterprise).eciq_password == ECIQ
    both = field_values(manager.get(EDIT)) | {"eciq_password": "new", "eciq_password_clear": "clear"}
    assert "只选择其中一项" in errors_of(manager.post(PAGE, both))
    assert manager.post(PAGE, both | {"eciq_password": ""}).url == PAGE
    assert stored(enterprise).eciq_password == ""
    assert stored(enterprise).origin_platform_password == PLATFORM
    assert trail("accounts.qualification.edit")[-1].after == {"eciq_password": "已修改"}


@pytest.mark.covers("ACC-11")
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"customs_registration_no": "123"}, "海关注册编码“123”不正确"),
        ({"inspection_registration_no": "21X"}, "报检注册号“21X”不正确"),
        ({"ccpit_code": "12345"}, "贸促会编码“12345”不正确"),
        ({"ccpit_enterprise_code": "12345678"}, "企业编码“12345678”不正确"),
        ({"has_foreign_trade_record": "maybe"}, "请选择“是”或“否”"),
        ({"ccpit_signatory": "手\u200b签"}, "不可见"),
    ],
)
def test_a_wrong_number_is_told_and_nothing_typed_is_lost(manager, enterprise, wrong, told):
    refused = manager.post(PAGE, field_values(manager.get(EDIT)) | FILLED | wrong)
    assert told in errors_of(refused)
    kept = field_values(refused)
    assert kept["eciq_account"] == "eciq-user"
    assert kept.get(next(iter(wrong)), "maybe") == next(iter(wrong.values()))
    assert not Qualification.unscoped.exists()


@pytest.mark.covers("ACC-11")
def test_the_second_who_saves_is_told_what_changed_and_loses_nothing(manager, enterprise):
    first, late = field_values(manager.get(EDIT)), field_values(manager.get(EDIT))
    manager.post(PAGE, first | {"ccpit_signatory": "甲", "ccpit_code": "111111"})
    refused = manager.post(PAGE, late | {"ccpit_signatory": "乙", "eciq_password": "typed"})
    told = errors_of(refused)
    assert "已被他人修改" in told
    assert "“手签员姓名”现为：甲" in told
    assert "“贸促会编码”现为：111111" in told
    assert "密码不再显示" in told
    assert field_values(refused)["ccpit_signatory"] == "乙"
    assert stored(enterprise).ccpit_signatory == "甲"
    assert manager.post(PAGE, field_values(refused)).url == PAGE
    assert stored(enterprise).ccpit_signatory == "乙"


@pytest.mark.parametrize("version", ["", "x", "-1", "9" * 40])
def test_a_page_without_a_version_is_asked_again(manager, version):
    assert "已被他人修改" in errors_of(manager.post(PAGE, FILLED | {"lock_version": version}))


@pytest.mark.django_db(transaction=True)
def test_two_who_save_the_first_time_at_once_one_is_told(administrator, enterprise):
    def entry(signatory: str) -> services.QualificationEntry:
        blank = dict.fromkeys(services.QualificationEntry.__dataclass_fields__, "")
        return services.QualificationEntry(
            **{**blank, "has_foreign_trade_record": None, "eciq_password": None, "ccpit_signatory": signatory}  # type: ignore[arg-type]
        )

    def save(signatory: str) -> Any:
        return services.save_qualification(actor=administrator, enterprise_id=enterprise.pk, entry=entry(signatory), lock_version=0)

    assert refusals(at_once(lambda: save("甲"), lambda: save("乙"))) == 1
    assert stored(enterprise).lock_version == 1


@pytest.mark.covers("ACC-11", "ACC-13")
def test_an_operator_reads_without_the_accounts_of_other_systems_and_saves_nothing(manager, operator_client, enterprise):
    manager.post(PAGE, field_values(manager.get(EDIT)) | FILLED)
    for path in (PAGE, EDIT):
        page = operator_client.get(path)
        assert "2100000001" in page.content.decode()
        for hidden in ("eciq-user", "platform-user", "已设置", ECIQ):
            assert hidden not in page.content.decode()
        assert not tree_of(page).xpath("//main//input | //main//button")
    assert operator_client.post(PAGE, {**FILLED, "lock_version": "1", "ccpit_signatory": "操作员"}).status_code == 403
    assert stored(enterprise).ccpit_signatory == "手签员"


def test_another_enterprise_sees_its_own(manager, other_client):
    manager.post(PAGE, field_values(manager.get(EDIT)) | FILLED)
    assert "2100000001" not in other_client.get(PAGE).content.decode()
