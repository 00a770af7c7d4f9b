"""批量导入: a workbook of vehicles checked and stored, beside openpyxl with `full_clean` and `save` row by row."""

import io
import time
import tracemalloc
from collections.abc import Callable
from itertools import islice

import openpyxl
from django.db import transaction

from benchmarks import filings
from benchmarks.report import Row
from benchmarks.world import World
from smartgate.importing import checking, services, workbook
from smartgate.importing.columns import GROUP, SHEET, columns
from smartgate.models import Filing, FilingLine

MOST = workbook.MOST_ROWS
#: What the system fills in later is empty in a new filing, and not for `full_clean` to ask for.
SYSTEM = {field.name for field in Filing._meta.concrete_fields if field.null}


def run(world: World) -> tuple[list[Row], list[str]]:
    """Check, store, and both the plain way; what they write is taken away again."""
    count = min(MOST, max(50, world.scale.rows // 5))
    actor = world.writer
    with world.cleared():
        content = _workbook(count)
        one = services.upload(actor=actor, file_name="bench.xlsx", content=content)
        check = _timed(lambda: services.work(one.pk))
        services.store(actor=actor, import_id=one.pk)
        store = _timed(lambda: services.work(one.pk))
        one.refresh_from_db()
        if (one.state, one.good_count) != ("stored", count):
            raise AssertionError(f"{one.state}: {one.good_count} of {count} filings")
        services.delete(actor=actor, import_id=one.pk)
        read = _timed(lambda: sum(1 for _row in _plain_rows(content)))
        plain = _timed(lambda: _plain(one.created_by, content))
    peak = _peak(content)
    both = (check[0] + store[0], check[1] + store[1])
    rows = [
        _row("checked (page's forms)", count, check, plain),
        _row("stored (numbers, lines, audit)", count, store, plain),
        _row("checked and stored", count, both, plain),
        _row("openpyxl alone, read", count, read, plain),
        _row("openpyxl + full_clean + save, row by row", count, plain, plain),
    ]
    notes = [
        f"{count:,} rows, one filing with one line each, {len(content) / 1024:,.0f} KiB; a worker's own functions, called in this process",
        "row by row: values of the models' fields alone; no question to the database, no conditional rules, errors by cell, numbers, audit",
        f"peak of Python's memory while the workbook is opened and checked: {peak / 2**20:,.1f} MiB",
    ]
    return rows, notes


def _row(what: str, count: int, taken: tuple[float, float], plain: tuple[float, float]) -> Row:
    seconds, processor = taken
    return {
        "what": what,
        "rows": count,
        "seconds": round(seconds, 2),
        "rows_per_second": round(count / seconds),
        "of it processor": round(processor, 2),
        "of row by row": round(seconds / plain[0], 2),
    }


def _timed(job: Callable[[], object]) -> tuple[float, float]:
    begun, used = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - begun, time.process_time() - used


def _workbook(count: int) -> bytes:
    """As a user's program would write it."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(SHEET)
    sheet.append([GROUP, *(column.heading for column in columns())])
    header, line = filings.HEADER, filings.line(1)
    for plate in islice(filings.plates(), count):
        values = {**header, "bind_key_info": plate}
        sheet.append([None, *(_text(getattr(line, one.name) if one.is_line else values.get(one.name)) for one in columns())])
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def _text(value: object) -> str | None:
    return None if value in (None, "") else str(value)


def _plain_rows(content: bytes):  # type: ignore[no-untyped-def]
    sheet = openpyxl.load_workbook(io.BytesIO(content), read_only=True)[SHEET]
    return islice(sheet.iter_rows(values_only=True), 1, None)


@transaction.atomic
def _plain(actor, content: bytes) -> None:  # type: ignore[no-untyped-def]
    """What one writes first: a model for each row, asked whether it is right, saved."""
    now = Filing._meta.get_field("entered_at").to_python("2026-11-21T08:00:00+08:00")
    for number, cells in enumerate(_plain_rows(content)):
        # Empty cells at the end of a row are not read.
        values = dict(zip([(one.is_line, one.name) for one in columns()], cells[1:], strict=False))
        header = {name: value for (is_line, name), value in values.items() if not is_line and value is not None}
        body = {name: value for (is_line, name), value in values.items() if is_line and value is not None}
        filing = Filing(
            **header,
            enterprise=actor.enterprise,
            created_by=actor,
            data_center_no=f"9{number:017d}",
            trip_no=f"9{number:031d}",
            entered_at=now,
            status_at=now,
            credit_code=actor.enterprise.credit_code,
            organisation_code=actor.enterprise.organisation_code,
            operator=actor.username,
        )
        # Whether a number is taken the database says: the guarded manager answers nobody who does not say for whom.
        filing.full_clean(exclude=SYSTEM, validate_unique=False, validate_constraints=False)
        filing.save()
        line = FilingLine(**body, enterprise=actor.enterprise, filing=filing, line_no=1)
        line.full_clean(validate_unique=False, validate_constraints=False)
        line.save()


def _peak(content: bytes) -> int:
    tracemalloc.start()
    try:
        with workbook.opened(content) as sheet:
            for _filing in checking.filings_in(sheet):
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
