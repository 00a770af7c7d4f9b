"""The lookup that code fields ask while someone types, over a short and a long code table, beside SQL for the same."""

import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from benchmarks.measure import in_turns
from benchmarks.report import Row
from benchmarks.visitor import Visitor
from benchmarks.world import ROOT, World, connection_arguments
from core.pinyin import initials
from reference import queries
from reference.models import BEGINNING, Code, CodeTable, Content, Origin
from reference.services import load_directory

AIM_MS = 20.0
#: 46 codes, shipped with the product.
SHORT = "customs"
#: Nearly 30,000: the CIQ codes of the official files, or as many made up where those are not at hand.
LONG, LONG_FILE, OFFICIAL_CODES = "ciq_code", "CiqCiqCode.json", 29_561
OFFICIAL = ROOT.parent / "shared" / "data" / "official-parameters-2022"

_BARE = """
SELECT code, name, initials FROM reference_code
 WHERE table_id = (SELECT id FROM reference_codetable WHERE key = %(table)s)
   AND valid_from <= %(day)s AND (valid_to IS NULL OR valid_to > %(day)s)
   AND (lower(code) LIKE %(starts)s OR lower(name) LIKE %(contains)s OR initials LIKE %(contains)s)
 ORDER BY lower(code) = %(q)s DESC, lower(code) LIKE %(starts)s DESC, lower(name) LIKE %(starts)s DESC,
          initials LIKE %(starts)s DESC, lower(name) LIKE %(contains)s DESC, code
 LIMIT 20
"""


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure both tables, each by what people type."""
    source = _long_table(world.scale.codes)
    visitor = Visitor(world.reader)
    rows: list[Row] = []
    with closing(psycopg2.connect(**connection_arguments())) as bare:
        bare.autocommit = True
        with bare.cursor() as cursor:
            for table in (SHORT, LONG):
                rows += [_measured(table, kind, q, visitor=visitor, cursor=cursor, rounds=world.scale.rounds) for kind, q in _typed(table)]
    notes = [
        f"long table: {source}",
        "endpoint: the WSGI application, logged in, tables in memory as after the first lookup (that one: first_ms, table read from the",
        "database). bare: the same search as one LIKE query by psycopg2, ordered alike, without aliases and full-width letters.",
        f"aim: endpoint_ms under {AIM_MS:.0f}",
    ]
    return rows, notes


def _typed(table: str) -> list[tuple[str, str]]:
    """What is typed: a code and its beginning, parts of a name, initials, nothing, something that is nowhere."""
    first = Code.objects.filter(table__key=table).order_by("-code").first()
    if first is None:
        raise RuntimeError(f"code table {table} is empty")
    name = first.name
    return [
        ("nothing yet", ""),
        ("code", first.code),
        ("beginning of a code", first.code[:2]),
        ("name", name),
        ("part of a name", name[1:3]),
        ("pinyin initials", first.initials[:4]),
        ("nowhere", "不存在的词"),
    ]


def _measured(table: str, kind: str, q: str, *, visitor: Visitor, cursor: Any, rounds: int) -> Row:
    path = f"{reverse('reference:lookup', args=[table])}?{urlencode({'q': q})}"
    values = {"table": table, "day": timezone.localdate(), "q": q.lower(), "starts": f"{q.lower()}%", "contains": f"%{q.lower()}%"}

    def bare() -> None:
        cursor.execute(_BARE, values)
        cursor.fetchall()

    def first() -> None:
        queries.forget()
        visitor.get(path)

    taken = in_turns({"endpoint": lambda: visitor.get(path), "bare": bare}, rounds * 2)
    asked = visitor.queries(lambda: visitor.get(path))
    after_forgetting = in_turns({"first": first}, min(rounds, 5))["first"]
    endpoint = taken["endpoint"].median
    return {
        "table, what was typed": f"{table} ({len(queries.options(table)):,}), {kind}: {q}",
        "queries": asked,
        "endpoint_ms": round(endpoint, 2),
        "endpoint_p95_ms": round(taken["endpoint"].p95, 2),
        "first_ms": round(after_forgetting.median, 1),
        "bare_ms": round(taken["bare"].median, 2),
        "endpoint/bare": round(endpoint / taken["bare"].median, 2),
        "in_aim": endpoint < AIM_MS,
    }


def _long_table(codes: int) -> str:
    """Load the long table unless it is there; says where it came from."""
    if not Code.objects.filter(table__key=LONG).exists():
        if codes >= OFFICIAL_CODES and (OFFICIAL / LONG_FILE).exists():
            with tempfile.TemporaryDirectory() as directory:
                # By itself, or the official customs districts would take the place of the short table.
                shutil.copy(OFFICIAL / LONG_FILE, directory)
                load_directory(directory=Path(directory))
        else:
            _make_up(codes)
    return CodeTable.objects.get(key=LONG).source or "made up"


def _make_up(number_of_codes: int) -> None:
    table = CodeTable.objects.create(
        key=LONG, name="CIQ编码", content=Content.CODES, origin=Origin.OFFICIAL, source="", effective_on=BEGINNING, loaded_at=timezone.now()
    )
    kinds = ("鲜冷", "冻", "干", "熏制", "盐渍", "其他", "未列名", "改良种用", "食用")
    goods = ("大豆", "玉米", "对虾", "鳕鱼", "苹果", "铁矿砂", "原油", "钢板", "木材", "轴承", "羊毛", "钢琴")
    codes = []
    for number in range(number_of_codes):
        name = f"{kinds[number % 9]}{goods[number % 12]}{kinds[number // 108 % 9]}{number % 1000}"
        code = f"{101_210_000 + number * 31:013d}"
        codes.append(Code(table=table, code=code, name=name, initials=initials(name), valid_from=BEGINNING, origin=Origin.OFFICIAL))
    Code.objects.bulk_create(codes, batch_size=5_000)
