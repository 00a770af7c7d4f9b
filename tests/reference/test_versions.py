"""What the database itself refuses, and what staff may do to a code."""

from datetime import date

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from core.models import AuditEntry
from reference import queries
from reference.models import BEGINNING, Code, DeclarationElement, Origin
from reference.services import change_code, end_code
from tests.reference.conftest import make_table, versions

pytestmark = pytest.mark.django_db

JUNE, JULY, AUGUST = date(2022, 6, 1), date(2022, 7, 1), date(2022, 8, 1)


def add(table, valid_from: date, valid_to: date | None = None, code: str = "001", name: str = "台") -> Code:
    return Code.objects.create(table=table, code=code, name=name, valid_from=valid_from, valid_to=valid_to, origin=Origin.OFFICIAL)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((JUNE, None), (JULY, None)),
        ((JUNE, None), (JULY, AUGUST)),
        ((JUNE, AUGUST), (JULY, None)),
        ((JUNE, AUGUST), (BEGINNING, JULY)),
        ((JUNE, JULY), (JUNE, AUGUST)),
    ],
)
def test_versions_of_a_code_never_overlap(first, second):
    table = make_table("unit")
    add(table, *first)
    with pytest.raises(IntegrityError), transaction.atomic():
        add(table, *second)
    other = add(table, *second, code="002")
    with pytest.raises(IntegrityError), transaction.atomic():
        Code.objects.filter(pk=other.pk).update(code="001")
    assert Code.objects.filter(code="001").count() == 1


def test_versions_may_touch_and_differ_by_table_or_code():
    table, other = make_table("unit"), make_table("usage")
    add(table, JUNE, JULY)
    add(table, JULY)
    add(table, JUNE, code="002")
    add(other, JUNE)
    assert Code.objects.count() == 4


@pytest.mark.parametrize(("valid_from", "valid_to"), [(JULY, JULY), (JULY, JUNE)])
def test_a_version_holds_for_a_day_at_least(valid_from, valid_to):
    table = make_table("unit")
    with pytest.raises(IntegrityError), transaction.atomic():
        add(table, valid_from, valid_to)
    assert not Code.objects.exists()


def test_neither_code_nor_name_is_blank():
    table = make_table("unit")
    for blank in ({"code": ""}, {"name": ""}):
        with pytest.raises(IntegrityError), transaction.atomic():
            add(table, JUNE, **blank)
    assert not Code.objects.exists()


def test_versions_of_an_element_never_overlap_and_prefixes_have_4_to_8_digits():
    def element(prefix: str, valid_from: date) -> DeclarationElement:
        return DeclarationElement.objects.create(
            prefix=prefix, name="品种", required=True, position=1, valid_from=valid_from, origin=Origin.OFFICIAL
        )

    element("0101", JUNE)
    for prefix, day in (("0101", JULY), ("010", JUNE), ("01A1", JUNE)):
        with pytest.raises(IntegrityError), transaction.atomic():
            element(prefix, day)
    assert DeclarationElement.objects.count() == 1


def test_a_table_with_codes_is_not_deleted():
    table = make_table("unit", ("001", "台"))
    with pytest.raises(ProtectedError):
        table.delete()
    assert Code.objects.count() == 1


def test_staff_rename_a_code_from_a_day_on(staff):
    code = make_table("unit", ("001", "台")).codes.get()
    change_code(code_id=code.pk, name="大连台", aliases="SET", effective_on=JULY, actor=staff)
    assert versions("unit", "001") == [("台", BEGINNING, JULY), ("大连台", JULY, None)]
    assert [option.name for option in (queries.get("unit", "001", JUNE), queries.get("unit", "001", JULY))] == ["台", "大连台"]
    assert [queries.search("unit", q, JULY)[0].code for q in ("dlt", "set")] == ["001", "001"]
    entry = AuditEntry.unscoped.get(action="reference.code.change")
    assert (entry.actor_name, entry.before["name"], entry.after["name"]) == (staff.username, "台", "大连台")


def test_staff_correct_a_code_from_its_first_day_on(staff):
    code = make_table("unit", ("001", "台")).codes.get()
    change_code(code_id=code.pk, name="架", aliases="", effective_on=BEGINNING, actor=staff)
    assert versions("unit", "001") == [("架", BEGINNING, None)]


def test_staff_end_a_code(staff):
    code = make_table("unit", ("001", "台")).codes.get()
    end_code(code_id=code.pk, effective_on=JULY, actor=staff)
    assert versions("unit", "001") == [("台", BEGINNING, JULY)]
    assert queries.get("unit", "001", JUNE) is not None
    assert queries.get("unit", "001", JULY) is None
    assert AuditEntry.unscoped.get(action="reference.code.end").after == {"valid_to": "2022-07-01"}


def test_staff_cannot_change_the_past(staff):
    code = make_table("unit", ("001", "台")).codes.get()
    newest = change_code(code_id=code.pk, name="架", aliases="", effective_on=JULY, actor=staff)
    with pytest.raises(ValidationError, match="历史版本"):
        change_code(code_id=code.pk, name="件", aliases="", effective_on=AUGUST, actor=staff)
    with pytest.raises(ValidationError, match="生效日期不能早于当前版本的生效日期 2022-07-01"):
        change_code(code_id=newest.pk, name="件", aliases="", effective_on=JUNE, actor=staff)
    with pytest.raises(ValidationError, match="失效日期必须晚于生效日期 2022-07-01"):
        end_code(code_id=newest.pk, effective_on=JULY, actor=staff)
    end_code(code_id=newest.pk, effective_on=AUGUST, actor=staff)
    with pytest.raises(ValidationError, match="该代码自 2022-08-01 起失效"):
        change_code(code_id=newest.pk, name="件", aliases="", effective_on=AUGUST, actor=staff)
    assert versions("unit", "001") == [("台", BEGINNING, JULY), ("架", JULY, AUGUST)]
