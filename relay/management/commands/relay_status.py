"""`manage.py relay_status [--json]`: what waits, for how long, and what went wrong (RLY-04)."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from relay import queries

_COLUMNS = (
    ("partner", 10),
    ("message_type", 13),
    ("queued", 8),
    ("awaiting_receipt", 17),
    ("oldest_unfinished_seconds", 26),
    ("refused", 8),
    ("received_unhandled", 19),
    ("oldest_unhandled_seconds", 25),
    ("quarantined", 12),
    ("last_received_at", 33),
)


class Command(BaseCommand):
    """Read-only; the JSON is described in docs/operations/relay.md."""

    help = "Show the state of the exchange by partner and message type."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--json for programs."""
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print the table or the JSON."""
        rows = [row.as_json() for row in queries.status()]
        if options["json"]:
            self.stdout.write(json.dumps({"at": timezone.now().isoformat(), "traffic": rows}, indent=2))
            return
        self.stdout.write("".join(name.ljust(width) for name, width in _COLUMNS).rstrip())
        for row in rows:
            self.stdout.write("".join(_cell(row[name]).ljust(width) for name, width in _COLUMNS).rstrip())
        if not rows:
            self.stdout.write("no traffic")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
