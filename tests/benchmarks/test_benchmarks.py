"""The benchmarks run, and say what they promise to say. How long anything took is none of a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.indexes import NAMES as INDEXES
from devserver import run

COMMAND = [sys.executable, "-m", "benchmarks"]
MOST_QUERIES = 8
MEASURED = {
    "listing": {"case", "matching", "rows", "queries", "page_ms", "page_p95_ms", "bare_ms", "stock_ms", "stock/page", "in_aim"},
    "statistics": {"days", "filings", "queries", "page_ms", "counted_ms", "bare_ms", "five_bare_ms", "page/five_bare"},
    "printing": {"lines", "kilobytes", "queries", "page_ms", "page_cpu_ms", "document_cpu_ms", "per_second_of_cpu"},
    "lookup": {"table, what was typed", "queries", "endpoint_ms", "first_ms", "bare_ms", "endpoint/bare", "in_aim"},
    "saving": {"what", "queries", "median_ms", "p95_ms", "times bare"},
    "importing": {"what", "rows", "seconds", "rows_per_second", "of it processor", "of row by row"},
    "logins": {"what", "queries", "median_ms", "best_ms", "per_second", "times bare"},
    "signatures": {"what", "per_second", "median_ms", "p95_ms", "times bare"},
    "relay": {"what", "number", "seconds", "per_second", "of bare tasks", "in_aim"},
    "delays": {
        "what",
        "number",
        "asked a second",
        "per_second",
        "p50_ms",
        "p99_ms",
        "declared_p99_ms",
        "relayed_p99_ms",
        "cores",
        "in_aim",
    },
    "memory": {"channel", "messages", "seconds", "parent USS", "first USS", "second USS", "first RSS", "second RSS"},
    "indexes": {"what", "number", "per_second", "log a filing", "log / none", "backend a filing ms"},
    "signed": {"what", "number", "seconds", "per_second"},
    "card_bridge": {"what", "unit", "per_second", "of bare"},
}


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=run.ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=900
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What one run over as little as possible prints and writes."""
    home = tmp_path_factory.mktemp("bench")
    target = home / "figures.json"
    done = bench(
        "--rows",
        "2000",
        "--rounds",
        "1",
        "--filings",
        "2",
        "--codes",
        "300",
        "--seconds",
        "1",
        "--messages",
        "40",
        "--json",
        str(target),
        VAR_DIR=str(home),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(target.read_text(encoding="utf-8"))


def results(figures: dict[str, Any]) -> dict[str, Any]:
    return {result["name"]: result for result in figures["results"]}


def test_every_benchmark_gives_a_table_and_the_same_as_json(measured: tuple[str, dict[str, Any]]) -> None:
    printed, figures = measured
    assert set(results(figures)) == set(MEASURED)
    for name, result in results(figures).items():
        assert f"== {name}: {result['title']}" in printed
        assert result["rows"], name
        for row in result["rows"]:
            assert set(row) >= MEASURED[name], name
        assert len({tuple(row) for row in result["rows"]}) == 1, "rows of one table have like columns"
        assert all(heading in printed for heading in result["rows"][0])


def test_the_json_says_what_was_measured_on_what(measured: tuple[str, dict[str, Any]]) -> None:
    _printed, figures = measured
    assert {"at", "revision", "changed_files", "scale", "machine", "services", "results"} <= set(figures)
    assert figures["scale"] == {"rows": 2000, "rounds": 1, "filings": 2, "codes": 300, "seconds": 1, "messages": 40}
    assert figures["machine"]["cores"] >= 1
    assert figures["services"]["fsync"] == figures["services"]["synchronous_commit"] == "on", "as a user's database is run"


def test_no_page_asks_the_database_more_than_eight_times(measured: tuple[str, dict[str, Any]]) -> None:
    _printed, figures = measured
    for name in ("listing", "lookup"):
        for row in results(figures)[name]["rows"]:
            assert row["queries"] <= MOST_QUERIES, row
    assert all(row["page/bare"] > 0 and row["stock/page"] > 0 for row in results(figures)["listing"]["rows"])


def test_the_lists_hold_what_the_data_set_promises(measured: tuple[str, dict[str, Any]]) -> None:
    """Conditions that many, few and no filings meet: without them the figures say nothing of the hard cases."""
    matching = {row["case"]: row["matching"] for row in results(measured[1])["listing"]["rows"]}
    assert matching["no condition [first]"] > 300
    assert matching["trip_no: one [first]"] == 1
    assert matching["key type + customs: none of many [first]"] == 0
    assert matching["bind_key_type: many [first]"] > 10 * matching["bind_key_type: few [deep]"]


def test_every_filing_came_back_from_customs(measured: tuple[str, dict[str, Any]]) -> None:
    rows = {row["what"]: row for row in results(measured[1])["relay"]["rows"]}
    assert rows["filings: outbox → customs journal → 海关入库成功"]["number"] == 2
    assert all(row["seconds"] > 0 for row in rows.values())


def test_delays_say_what_was_asked_and_what_was_reached(measured: tuple[str, dict[str, Any]]) -> None:
    for row in results(measured[1])["delays"]["rows"]:
        assert row["number"] == row["asked a second"], "a second of each load"
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["longest_ms"], row


def test_memory_is_looked_at_all_along_and_judged(measured: tuple[str, dict[str, Any]]) -> None:
    result = results(measured[1])["memory"]
    channels = {row["channel"] for row in result["rows"]}
    for channel in channels:
        assert [row["messages"] for row in result["rows"] if row["channel"] == channel] == list(range(0, 41, 4))
        assert any(note.startswith(f"{channel}: ") and " MiB" in note for note in result["notes"])
    assert all(row["first USS"] > 10 and row["second USS"] > 10 for row in result["rows"])


def test_the_indexes_are_there_again_afterwards(measured: tuple[str, dict[str, Any]]) -> None:
    """Each is measured alone, and none of them is missing in the row of all."""
    rows = results(measured[1])["indexes"]["rows"]
    alone = [row["what"].removeprefix("only ") for row in rows if row["what"].startswith("only ")]
    assert {row["what"] for row in rows} == {"none of them", f"all {len(alone)}", *(f"only {name}" for name in alone)}
    assert set(alone) == set(INDEXES)


def test_signed_filings_went_the_whole_way(measured: tuple[str, dict[str, Any]]) -> None:
    result = results(measured[1])["signed"]
    assert {row["what"]: row["number"] for row in result["rows"]}["申报 with a card → customs journal → 海关入库成功"] == 1
    assert "signature, chain, CRL" in result["notes"][-1]


@pytest.mark.parametrize(
    "arguments", [("nothing",), ("--rows", "10"), ("--rounds", "0"), ("--seconds", "0"), ("--messages", "0"), ("--rows", "many")]
)
def test_what_cannot_be_measured_is_refused(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = bench(*arguments, VAR_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "usage: python -m benchmarks" in done.stderr
    assert not (tmp_path / "bench").exists()
