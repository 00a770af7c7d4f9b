"""`manage.py rotate_field_keys`: encrypt everything anew with the first of FIELD_KEYS, so that old keys can be taken away (ACC-11)."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import rotation


class Command(BaseCommand):
    """See docs/operations/accounts.md."""

    help = "Encrypt every encrypted value anew with the first of FIELD_KEYS. Can be broken off and run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        outcomes = []
        for outcome in rotation.rotate_all():
            outcomes.append(outcome)
            if not options["json"]:
                self._tell(outcome)
        unreadable = sum(len(outcome.unreadable) for outcome in outcomes)
        if options["json"]:
            self.stdout.write(json.dumps({"columns": [asdict(outcome) for outcome in outcomes], "unreadable": unreadable}, default=str))
        if unreadable:
            raise CommandError(f"{unreadable} values fit none of FIELD_KEYS and were left as they are: put the key back that they need")

    def _tell(self, outcome: rotation.Outcome) -> None:
        self.stdout.write(f"{outcome.label}: {outcome.rotated} rotated, {outcome.current} current, {len(outcome.unreadable)} unreadable")
        if outcome.unreadable:
            self.stderr.write(f"{outcome.label}: no key fits the rows {', '.join(str(pk) for pk in outcome.unreadable)}")
