"""`manage.py relay_status [--json]`: what waits, for how long, how fast it moves, what went wrong and what is paused (RLY-04)."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from relay import alerts, queries
from relay.management.operating import cell, print_table

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
    ("sent_per_minute", 16),
    ("received_per_minute", 20),
    ("failing", 8),
    ("paused", 8),
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
            pauses = [queries.pause_as_json(row) for row in queries.open_pauses()]
            found = {"at": timezone.now().isoformat(), "rate_seconds": queries.RATE_SECONDS, "traffic": rows, "pauses": pauses}
            found["alerts"] = [alerts.as_json(alert) for alert in alerts.open_alerts()]
            self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False))
            return
        if not rows:
            self.stdout.write("no traffic")
        else:
            print_table(self.stdout, [row | {"paused": "yes" if row["paused"] else ""} for row in rows], _COLUMNS)
        for row in rows:
            where = f"{row['partner']} {row['message_type'] or '-'}"
            if row["failing"]:
                self.stdout.write(f"failing: {where}: {row['last_error_at'] or '-'} {cell(row['last_error'])}")
            if row["refused"]:
                self.stdout.write(f"last refused: {where}: {row['last_refusal_code']} {cell(row['last_refusal_text'])}")
        for pause in queries.open_pauses():
            scope = f"partner {pause.partner or 'all'}, type {pause.message_type or 'all'}"
            self.stdout.write(f"paused: {scope}, since {pause.paused_at.isoformat()} by {cell(pause.paused_by)}: {cell(pause.reason)}")
        for alert in alerts.open_alerts():
            where = f"{alert.partner} {cell(alert.message_type)}"
            self.stdout.write(f"alert: {alert.kind}: {where}: {alert.number} since {alert.since.isoformat()}, told {alert.told_at}")
