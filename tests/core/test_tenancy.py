"""Tenancy cannot be forgotten: unscoped reads fail loudly, and the web face does not go around them."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models import Max
from django.forms import ModelChoiceField
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.views.generic import DetailView

from core.tenancy import ScopeError, get_for_user
from smartgate.models import Filing
from tests.smartgate.factories import make_filing

pytestmark = pytest.mark.django_db
#: Ways around the guard; Exists and Subquery take the query out of the queryset without asking it.
PAST_THE_GUARD = re.compile(r"\.unscoped\b|_base_manager|_default_manager|\b(?:Exists|Subquery)\(\w+\.objects\.(?!for_user\()")
WEB_FACE = ("views.py", "forms.py", "filters.py", "tables.py", "urls.py", "documents.py", "queries.py", "rules.py")

READS = {
    "list": lambda rows: list(rows.all()),
    "filter": lambda rows: list(rows.filter(pk=1)),
    "get": lambda rows: rows.get(pk=1),
    "first": lambda rows: rows.first(),
    "count": lambda rows: rows.count(),
    "exists": lambda rows: rows.exists(),
    "iterator": lambda rows: list(rows.iterator()),
    "values_list": lambda rows: list(rows.values_list("pk")),
    "aggregate": lambda rows: rows.aggregate(n=Max("pk")),
    "update": lambda rows: rows.update(remark="x"),
    "delete": lambda rows: rows.filter(pk=1).delete(),
    "raw": lambda rows: list(rows.all().raw("SELECT * FROM smartgate_filing")),
    "explain": lambda rows: rows.all().explain(),
    "bool": lambda rows: bool(rows.all()),
    "len": lambda rows: len(rows.all()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_every_read_without_a_user_fails(read):
    with pytest.raises(ScopeError):
        read(Filing.objects)


def test_djangos_own_shortcuts_are_guarded_too(operator):
    filing = make_filing(operator)
    for read in (
        lambda: get_object_or_404(Filing, pk=filing.pk),
        lambda: ModelChoiceField(Filing._default_manager.all()).clean(filing.pk),
        lambda: list(DetailView(model=Filing).get_queryset()),
    ):
        with pytest.raises(ScopeError):
            read()


def test_a_scope_is_not_lost_by_putting_querysets_together(operator):
    mine = Filing.objects.for_user(operator)
    for combine in (
        lambda: list(mine | Filing.objects.all()),
        lambda: list(Filing.objects.all() | mine),
        lambda: list(mine & Filing.objects.all()),
        lambda: list(mine.union(Filing.objects.all())),
        lambda: list(Filing.objects.all().union(mine)),
        lambda: list(mine.difference(Filing.objects.all())),
        lambda: list(mine.filter(pk__in=Filing.objects.all())),
    ):
        with pytest.raises(ScopeError):
            combine()


def test_what_belongs_to_a_record_is_reached_through_it(operator):
    filing = make_filing(operator)
    assert filing.lines.count() == 1
    assert [len(found.lines.all()) for found in Filing.objects.for_user(operator).prefetch_related("lines")] == [1]
    assert filing.lines.get().filing == filing
    filing.refresh_from_db()


def test_a_user_sees_his_enterprise_only(operator, other_operator):
    mine = make_filing(operator)
    theirs = make_filing(other_operator)
    assert list(Filing.objects.for_user(operator)) == [mine]
    assert list(Filing.objects.for_user(other_operator).filter(pk__in=[mine.pk, theirs.pk])) == [theirs]


def test_get_for_user_gives_404_for_what_is_not_his_or_not_there(operator, other_operator):
    theirs = make_filing(other_operator)
    for lookup in ({"pk": theirs.pk}, {"pk": 0}, {"pk": "nonsense"}):
        with pytest.raises(Http404):
            get_for_user(Filing.objects, operator, **lookup)
    assert get_for_user(Filing.objects, other_operator, pk=theirs.pk) == theirs


def test_staff_without_an_enterprise_see_none(operator, staff):
    make_filing(operator)
    assert not Filing.objects.for_user(staff).exists()


def test_the_web_face_never_goes_around_the_scope():
    offenders = [
        f"{path.relative_to(settings.BASE_DIR)}:{number}"
        for app in ("smartgate",)
        for path in Path(settings.BASE_DIR, app).rglob("*.py")
        if path.name in WEB_FACE or path.parent.name in ("views", "forms")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if PAST_THE_GUARD.search(line)
    ]
    assert offenders == []
