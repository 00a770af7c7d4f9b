"""The audit trail: it can only grow, who reads it, what never gets into it, what it calls things."""

import ast
import json
import re

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import ProgrammingError, connection, transaction

from accounts.rights import Right, Role
from core import audit
from core.fields import EncryptedTextField
from core.models import AUDIT_READ, AuditEntry
from core.tenancy import ScopeError
from core.workflow import ActionRefused
from smartgate.states import Event
from tests.conftest import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def entry(enterprise):
    return audit.record(action="test.entry", obj=enterprise, actor=None, enterprise_id=enterprise.pk, after={"name": "甲"})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE core_auditentry SET actor_name = 'x'",
        "DELETE FROM core_auditentry",
        "TRUNCATE core_auditentry",
    ],
)
def test_the_database_refuses_every_change(entry, statement):
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEntry.unscoped.get(pk=entry.pk).actor_name == audit.SYSTEM


def test_a_refusal_outlives_the_transaction_it_ends(enterprise):

    def refused_write() -> None:
        with audit.refusals_recorded(action="test.refused", obj=enterprise, actor=None, enterprise_id=enterprise.pk), transaction.atomic():
            enterprise.name = "改名"
            enterprise.save()
            raise ActionRefused("不可以")

    with pytest.raises(ActionRefused):
        refused_write()
    enterprise.refresh_from_db()
    assert enterprise.name == "大连测试国际货运代理有限公司"
    refused = AuditEntry.unscoped.get(action="test.refused")
    assert refused.refused
    assert refused.reason == "不可以"


def test_changes_keeps_only_what_differs():
    assert audit.changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ({"b": 2, "c": None}, {"b": 3, "c": 4})


# -- Who reads it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read", [list, len, bool, lambda rows: rows.count(), lambda rows: rows.first(), lambda rows: rows.filter(pk=1).exists()]
)
def test_nobody_reads_the_trail_without_saying_for_whom(read):
    with pytest.raises(ScopeError):
        read(AuditEntry.objects.all())


@pytest.mark.covers("ACC-15")
def test_who_may_read_which_entries(entry, other_enterprise, operator, administrator, staff):
    others = audit.record(action="test.entry", obj=other_enterprise, actor=None, enterprise_id=other_enterprise.pk)
    nobodys = audit.record(action="test.entry", obj=other_enterprise, actor=None, enterprise_id=None)
    customs = make_user("customs1", Role.CUSTOMS)
    closed = make_user("admin9", Role.ENTERPRISE_ADMINISTRATOR, operator.enterprise, is_active=False)
    mine = {
        user.username: set(AuditEntry.objects.for_user(user).filter(action="test.entry").values_list("pk", flat=True))
        for user in (operator, administrator, staff, customs, closed)
    }
    nothing: set[int] = set()
    everything = {entry.pk, others.pk, nobodys.pk}
    assert mine == {"operator1": nothing, "admin1": {entry.pk}, "staff1": everything, "customs1": nothing, "admin9": nothing}
    assert not AuditEntry.objects.for_user(AnonymousUser()).exists()


def test_the_right_is_the_one_of_the_table():
    assert AUDIT_READ == Right.AUDIT_READ


# -- What never gets into it ----------------------------------------------------------------------

#: By what forms, models and other systems call what the trail must not hold.
SECRETS = (
    "password",
    "password1",
    "new_password2",
    "old_password",
    "eciq_password",
    "origin_platform_password",
    "id_no",
    "legal_person_id_no",
    "sms_code",
    "captcha",
    "captcha_1",
    "pin",
    "totp",
    "otp",
    "recovery_codes",
    "client_secret",
    "access_token",
    "id_token",
    "digest",
    "private_key",
    "PASSWORD",
)
HARMLESS = (
    "full_name",
    "customs_code",
    "organisation_code",
    "ic_card_no",
    "mobile",
    "object_id",
    "pinyin",
    "shipping",
    "seal_no_1",
    "code",
)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_masked_however_deep(enterprise, name):
    found = audit.record(
        action="test.entry",
        obj=enterprise,
        actor=None,
        enterprise_id=enterprise.pk,
        before={name: "", "nested": {name: "hunter210200199001011234"}},
        after={name: "hunter210200199001011234", "lines": [{name: "hunter210200199001011234", "kept": "yes"}]},
    )
    found.refresh_from_db()
    assert "hunter210200199001011234" not in json.dumps([found.before, found.after])
    assert found.before == {name: "", "nested": {name: audit.MASKED}}
    assert found.after == {name: audit.MASKED, "lines": [{name: audit.MASKED, "kept": "yes"}]}


def test_an_identity_number_may_keep_its_ends():
    given = {"id_no": "210***********425X", "legal_person_id_no": "21020019900101123X", "password": "***secret"}
    assert audit.masked(given) == {"id_no": "210***********425X", "legal_person_id_no": audit.MASKED, "password": audit.MASKED}


def test_that_a_secret_was_changed_may_be_said():
    assert audit.masked({"password": "已修改", "pin": "已设置"}) == {"password": "已修改", "pin": "已设置"}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_secret_is_kept(name):
    assert audit.masked({name: "x"}) == {name: "x"}


def test_every_encrypted_field_counts_as_sensitive():
    encrypted = {
        (model._meta.label_lower, field.name)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, EncryptedTextField)
    }
    told_otherwise = {
        # A text on its way out is never told to the trail; its field has the name that every text has.
        ("notifications.delivery", "body"),
        # Masked by its service, so that one sees which driver it was (tests/smartgate/base_data/test_pages.py).
        ("smartgate.usualvehicle", "driver_mobile"),
        ("smartgate.usualvehicle", "driver_name"),
    }
    assert [name for _label, name in sorted(encrypted - told_otherwise) if not audit.is_sensitive(name)] == []
    assert encrypted > told_otherwise


# -- What it calls things -------------------------------------------------------------------------

ROOMS = ("accounts", "core", "notifications", "portal", "reference", "relay", "smartgate")
SHAPE = re.compile(rf"(?:{'|'.join(ROOMS)})\.[a-z_]+\.[a-z_]+")
FAMILY = re.compile(rf"(?:{'|'.join(ROOMS)})\.[a-z_]+\.")


def named_actions(source):
    """The actions that a module writes, and the beginnings of those whose ends it makes: in modules that write to the trail at all."""
    names, families = set(), set()
    if re.search(r"\baudit\.(record|refusals_recorded)\b", source):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant) and FAMILY.fullmatch(node.values[0].value):
                families.add(node.values[0].value)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and SHAPE.fullmatch(node.value):
                names.add(node.value)
    return names, families


def test_every_action_has_a_label():
    names, families = set(), set()
    for room in ROOMS:
        for path in (settings.BASE_DIR / room).rglob("*.py"):
            found = named_actions(path.read_text(encoding="utf-8"))
            names |= found[0]
            families |= found[1]
    assert {"smartgate.filing.edit", "reference.code.change", "relay.quarantine.retry"} <= names
    assert sorted(names - set(audit.actions())) == [], "say in the room's audit_labels.py what these are called"
    assert [family for family in families if not any(name.startswith(family) for name in audit.actions())] == []


def test_every_event_of_a_filing_has_a_label():
    assert {f"smartgate.filing.{event.value.lower()}" for event in Event} <= set(audit.actions())


def test_the_detector_finds_actions():
    source = 'audit.record(action="accounts.user.x")\nNAME = "relay.y.z"\nf"smartgate.filing.{e}"\n"portal.urls"\nf"{a}"\n'
    assert named_actions(source) == ({"accounts.user.x", "relay.y.z"}, {"smartgate.filing."})
    assert named_actions('log.info("portal.cache.failed")') == (set(), set())


def test_labels_are_chinese_and_tell_actions_apart():
    labels = [str(label) for label in audit.actions().values()]
    assert len(set(labels)) == len(labels)
    assert all(re.search(r"[\u4e00-\u9fff]", label) for label in labels)


def test_an_action_is_named_once():
    audit.register_actions({"relay.quarantine.retry": audit.action_label("relay.quarantine.retry")})
    with pytest.raises(ValueError, match="already"):
        audit.register_actions({"relay.quarantine.retry": "别的"})
    assert audit.action_label("test.unknown") == "test.unknown"
