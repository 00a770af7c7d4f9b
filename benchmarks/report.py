"""The figures as a table for people and as JSON for programs."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from benchmarks.scale import Scale

ROOT = Path(__file__).resolve().parent.parent
Row = dict[str, Any]


@dataclass(slots=True)
class Result:
    """What one module measured: rows of like columns, and notes on how. Columns that end in `_ms` are milliseconds."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: One-minute load average before and after: above the number of cores, times are longer than the work.
    load: tuple[float, float] = (0.0, 0.0)

    def take(self, measured: tuple[list[Row], list[str]]) -> None:
        """What the module's `run` gave."""
        self.rows, self.notes = measured


@contextmanager
def watched(name: str, module: ModuleType) -> Iterator[Result]:
    """A result whose load averages are those before and after the block."""
    result = Result(name, (module.__doc__ or name).strip().splitlines()[0])
    before = os.getloadavg()[0]
    yield result
    result.load = (round(before, 2), round(os.getloadavg()[0], 2))


def as_text(result: Result) -> str:
    """A table with a heading; numbers to the right."""
    lines = ["", f"== {result.name}: {result.title}", f"   load average {result.load[0]} before, {result.load[1]} after"]
    lines += [f"   {note}" for note in result.notes]
    if result.rows:
        names = list(result.rows[0])
        cells = [[_cell(row.get(name)) for name in names] for row in result.rows]
        widths = [max(len(name), *(len(row[place]) for row in cells)) for place, name in enumerate(names)]
        lines += ["", *(_line(row, widths) for row in [names, *cells])]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()


def write_json(target: Path, results: Sequence[Result], scale: Scale, services: dict[str, str]) -> None:
    """Write everything, with what is needed to compare it with another run."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _git("rev-parse", "HEAD"),
        "changed_files": len(_git("status", "--porcelain", "--untracked-files=no").splitlines()),
        "scale": asdict(scale),
        "machine": _machine(),
        "services": services,
        "results": [asdict(result) for result in results],
    }
    target.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
