"""Every write to the code tables: loading official files, seeding what is shipped, and what staff change by hand.

`docs/adr/0021` holds the rules; `docs/operations/code-tables.md` says them to an operator.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from core import audit
from core.pinyin import initials
from reference import queries, versioning
from reference.models import BEGINNING, Code, CodeTable, Content, Origin
from reference.readers import CodeRow, ElementRow, TableData, read_directory
from reference.shipped import shipped_tables

log = structlog.get_logger(__name__)


class LoadRefusedError(Exception):
    """A load that would rewrite what has been valid already. The message is for the operator's terminal."""


@dataclass(frozen=True, slots=True)
class TableReport:
    """What a load did to one table: numbers of entries, and in words what it left out."""

    key: str
    name: str
    source: str
    new: int
    changed: int
    ended: int
    unchanged: int
    #: Entries that differ from the list and stay, because staff set them; `kept_codes` names the first of them.
    kept: int
    kept_codes: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What `load_directory` did. `unknown` are JSON files that no table is known for."""

    tables: list[TableReport]
    unknown: list[str]


def load_directory(*, directory: Path, effective_on: date | None = None) -> LoadReport:
    """Load every official parameter file of a directory, in one transaction: all of it or nothing (OPS-05).

    `effective_on` is the day from which the files hold. Without it, a table's first official data replace what the product
    shipped, from the beginning; later differences hold from today. Running it again changes nothing.
    Raises CodeFileError for a file that is wrong, LoadRefusedError for a day before what a table holds already.
    """
    if effective_on is not None and effective_on < BEGINNING:
        raise LoadRefusedError(f"nothing is kept from before {BEGINNING}; {effective_on} is earlier")
    data = read_directory(directory)
    with transaction.atomic():
        reports = load_tables(tables=data.tables, origin=Origin.OFFICIAL, effective_on=effective_on)
    return LoadReport(tables=reports, unknown=data.unknown)


def seed_shipped() -> list[TableReport]:
    """Load the tables that the product ships (`domain.md` §8), in one transaction. Tables with official data stay untouched."""
    data = shipped_tables()
    with transaction.atomic():
        official = set(CodeTable.objects.filter(origin=Origin.OFFICIAL).values_list("key", flat=True))
        return load_tables(tables=[table for table in data if table.key not in official], origin=Origin.SHIPPED, effective_on=None)


@transaction.atomic
def load_tables(*, tables: Sequence[TableData], origin: Origin, effective_on: date | None) -> list[TableReport]:
    """Bring tables in line with the given data and report per table. See `load_directory` for `effective_on` and what it raises."""
    today = timezone.localdate()
    locked = _lock(tables, origin)
    reports = [_load_table(locked[table.key], table, origin, effective_on, today) for table in tables]
    changed = sum(bool(report.new or report.changed or report.ended) for report in reports)
    log.info("reference.tables_loaded", origin=origin.value, tables=len(reports), changed=changed)
    return reports


def _lock(tables: Iterable[TableData], origin: Origin) -> dict[str, CodeTable]:
    """The rows of the tables, made where missing, locked in one order: two loads at once come one after the other."""
    wanted = sorted(tables, key=lambda table: table.key)
    now = timezone.now()
    CodeTable.objects.bulk_create(
        [
            CodeTable(key=t.key, name=t.name, content=t.content, origin=Origin.SHIPPED, effective_on=BEGINNING, loaded_at=now)
            for t in wanted
        ],
        ignore_conflicts=True,
    )
    rows = CodeTable.objects.select_for_update().filter(key__in=[table.key for table in wanted]).order_by("key")
    return {row.key: row for row in rows}


def _load_table(table: CodeTable, data: TableData, origin: Origin, effective_on: date | None, today: date) -> TableReport:
    first_of_its_kind = origin == Origin.SHIPPED or table.origin != Origin.OFFICIAL
    starts = effective_on or (BEGINNING if first_of_its_kind else today)
    target = versioning.ELEMENTS if data.content == Content.ELEMENTS else versioning.codes_of(table.pk)
    changes = versioning.apply(target, _columns(table, data.rows), origin=origin, starts=starts, ends=effective_on or today)
    if changes and starts < table.effective_on:
        raise LoadRefusedError(
            f"{data.source}: table {table.key} holds data effective from {table.effective_on}, and this file differs from them; "
            f"loaded as of {starts} it would rewrite the past. Give --effective-date {table.effective_on} or a later day"
        )
    if changes or table.origin != origin or table.name != data.name:
        before = {"origin": table.origin, "source": table.source, "effective_on": table.effective_on}
        table.name, table.origin, table.source = data.name, origin, data.source
        table.loaded_at = timezone.now()
        if changes:
            table.effective_on = starts
        _save_changed(table)
        audit.record(
            action="reference.table.load",
            obj=table,
            actor=None,
            enterprise_id=None,
            before=before,
            after={
                "origin": table.origin,
                "source": table.source,
                "effective_on": table.effective_on,
                "new": changes.new,
                "changed": changes.changed,
                "ended": changes.ended,
            },
        )
    return TableReport(
        key=data.key,
        name=data.name,
        source=data.source,
        new=changes.new,
        changed=changes.changed,
        ended=changes.ended,
        unchanged=changes.unchanged,
        kept=changes.kept,
        kept_codes=changes.kept_keys,
        set_aside=data.set_aside,
    )


def _columns(table: CodeTable, rows: Sequence[CodeRow] | Sequence[ElementRow]) -> list[tuple[str, ...]]:
    known_initials = dict(Code.objects.filter(table=table).values_list("name", "initials"))
    return [row.columns(known_initials) if isinstance(row, CodeRow) else row.columns() for row in rows]


def _save_changed(table: CodeTable) -> None:
    """Store a table's row with a new revision, by which every process learns that what it remembers is out of date."""
    table.revision = uuid.uuid4()
    table.save()
    queries.forget(table.key)


@transaction.atomic
def change_code(*, code_id: int, name: str, aliases: str, effective_on: date, actor: Any) -> Code:
    """Give a code another name or other aliases from a day on. Official files loaded later leave it alone.

    The day may be the one on which the newest version begins: then that version is corrected. Returns the version that holds from
    `effective_on`; raises ValidationError (see `check_change`).
    """
    version = _lock_version(code_id)
    _check(version, effective_on, ends=False)
    before = {"name": version.name, "aliases": version.aliases, "valid_from": version.valid_from}
    if effective_on > version.valid_from:
        table, code, extra, valid_to = version.table, version.code, version.extra, version.valid_to
        version.valid_to = effective_on
        version.save(update_fields=["valid_to"])
        version = Code(table=table, code=code, extra=extra, valid_from=effective_on, valid_to=valid_to)
    version.name, version.initials, version.aliases, version.origin = name, initials(name), aliases, Origin.STAFF
    version.save()
    _save_changed(version.table)
    after = {"name": name, "aliases": aliases, "valid_from": effective_on}
    audit.record(action="reference.code.change", obj=version, actor=actor, enterprise_id=None, before=before, after=after)
    return version


@transaction.atomic
def end_code(*, code_id: int, effective_on: date, actor: Any) -> Code:
    """Let a code hold no longer from a day on. Official files loaded later leave it ended.

    Returns the version that ends; raises ValidationError (see `check_change`).
    """
    version = _lock_version(code_id)
    _check(version, effective_on, ends=True)
    before = {"valid_to": version.valid_to}
    version.valid_to, version.origin = effective_on, Origin.STAFF
    version.save(update_fields=["valid_to", "origin"])
    _save_changed(version.table)
    audit.record(action="reference.code.end", obj=version, actor=actor, enterprise_id=None, before=before, after={"valid_to": effective_on})
    return version


def check_change(*, code_id: int, effective_on: date, ends: bool) -> None:
    """Raise the ValidationError (Chinese, for the page) with which `change_code`, or `end_code` when `ends`, would refuse: a version that
    is not the newest, a day before it begins, a day on which it has ended."""
    _check(Code.objects.get(pk=code_id), effective_on, ends=ends)


def _check(version: Code, effective_on: date, *, ends: bool) -> None:
    if Code.objects.filter(table=version.table_id, code=version.code, valid_from__gt=version.valid_from).exists():
        raise ValidationError(_("这是历史版本，只能修改最新的版本。"))
    begins = {"day": version.valid_from.isoformat()}
    if ends and effective_on <= version.valid_from:
        raise ValidationError(_("失效日期必须晚于生效日期 %(day)s。") % begins)
    if effective_on < version.valid_from:
        raise ValidationError(_("生效日期不能早于当前版本的生效日期 %(day)s。") % begins)
    if not ends and version.valid_to is not None and effective_on >= version.valid_to:
        raise ValidationError(_("该代码自 %(day)s 起失效，请选择更早的日期。") % {"day": version.valid_to.isoformat()})


def _lock_version(code_id: int) -> Code:
    """The version, with its table locked as a load locks it; read again once the lock is held."""
    table = CodeTable.objects.select_for_update().get(codes=code_id)
    version = Code.objects.get(pk=code_id)
    version.table = table
    return version
