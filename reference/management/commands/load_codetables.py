"""OPS-05: load the official parameter files of a directory."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reference.readers import CodeFileError
from reference.report import as_text, totals
from reference.services import LoadRefusedError, load_directory


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"“{text}” is no day; write it as YYYY-MM-DD") from error


class Command(BaseCommand):
    help = "Load the official parameter files (JSON) of a directory, all or none, and say per table what changed. Can be run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, metavar="DIR")
        parser.add_argument(
            "--effective-date",
            type=_day,
            metavar="YYYY-MM-DD",
            help="day from which the files hold; without it a table's first official data hold from the beginning, later ones from today",
        )
        parser.add_argument("--json", action="store_true", help="write the report as JSON")

    def handle(self, *args: Any, directory: Path, effective_date: date | None, **options: Any) -> None:
        try:
            report = load_directory(directory=directory, effective_on=effective_date)
        except (CodeFileError, LoadRefusedError) as error:
            raise CommandError(f"{error}. Nothing was changed.") from error
        if options["json"]:
            summary = {"totals": totals(report.tables), "unknown_files": report.unknown, "tables": [asdict(t) for t in report.tables]}
            self.stdout.write(json.dumps(summary, ensure_ascii=False, indent=2))
            return
        self.stdout.write(as_text(report.tables))
        for name in report.unknown:
            self.stdout.write(f"not known here, not loaded: {name}")
