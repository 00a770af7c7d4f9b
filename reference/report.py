"""What a load did, for an operator's terminal."""

import unicodedata
from collections.abc import Sequence

from reference.services import TableReport

COUNTS = ("new", "changed", "ended", "unchanged", "kept")


def totals(reports: Sequence[TableReport]) -> dict[str, int]:
    """Each count summed over all tables."""
    return {count: sum(getattr(report, count) for report in reports) for count in COUNTS}


def as_text(reports: Sequence[TableReport]) -> str:
    """One line per table with its counts, then the sums, then what was left out or kept and why."""
    if not reports:
        return "nothing to do"
    sums = totals(reports)
    rows = [
        ("table", "name", *COUNTS),
        *((report.key, report.name, *(str(getattr(report, count)) for count in COUNTS)) for report in reports),
        (f"{len(reports)} tables", "", *(str(sums[count]) for count in COUNTS)),
    ]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(_pad(text, width, right=column > 1) for column, (text, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
    for report in reports:
        lines += [f"{report.source}: set aside: {reason}" for reason in report.set_aside]
        if report.kept:
            more = ", …" if report.kept > len(report.kept_codes) else ""
            lines.append(f"{report.key}: kept as staff set them: {', '.join(report.kept_codes)}{more}")
    if not (sums["new"] or sums["changed"] or sums["ended"]):
        lines.append("nothing changed")
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: Chinese characters are two wide."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _pad(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks
