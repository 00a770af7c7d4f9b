"""The audit trail can only grow."""

import pytest
from django.db import ProgrammingError, connection, transaction

from core import audit
from core.models import AuditEntry
from core.workflow import ActionRefused

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
