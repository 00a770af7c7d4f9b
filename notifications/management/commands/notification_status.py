"""`manage.py notification_status [--json]`: what waits to be sent, for how long, and what failed."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from notifications import queries

_COLUMNS = (
    ("way", 8),
    ("waiting", 9),
    ("oldest_waiting_seconds", 24),
    ("waiting_tried", 15),
    ("most_attempts", 15),
    ("sent_last_day", 15),
    ("failed_last_day", 17),
    ("last_error", 40),
)


class Command(BaseCommand):
    """Read-only; what the columns mean is told in docs/operations/accounts.md."""

    help = "Show how SMS and e-mails fare: waiting, oldest, sent and failed in the last day."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--json for programs."""
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print the table or the JSON."""
        rows = [row.as_json() for row in queries.status()]
        if options["json"]:
            self.stdout.write(json.dumps({"at": timezone.now().isoformat(), "ways": rows}, indent=2))
            return
        self.stdout.write("".join(name.ljust(width) for name, width in _COLUMNS).rstrip())
        for row in rows:
            self.stdout.write("".join(_cell(row[name]).ljust(width) for name, width in _COLUMNS).rstrip())


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
