"""`manage.py check_consistency [--only NAME] [--json]`: where records and messages disagree, and what to do about it (OPS-04)."""

import json
from argparse import ArgumentParser
from collections import Counter
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from relay import consistency
from relay.shown import visible

#: Exit status when something was found.
FOUND = 3


class Command(BaseCommand):
    """Only looks: its transaction is read-only. Exit status 0 when all is well, 3 when not."""

    help = "Find records whose state and messages disagree, and what is stuck; say what to do; change nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--only for one check, --json for programs."""
        parser.add_argument("--only", choices=consistency.names(), default="", metavar="NAME", help=", ".join(consistency.names()))
        parser.add_argument("--json", action="store_true", help="print one JSON object, written as the findings come")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print each finding as it is found, then how many there were."""
        counts: Counter[str] = Counter()
        as_json: bool = options["json"]
        if as_json:
            self.stdout.write(f'{{"at": {json.dumps(timezone.now().isoformat())}, "findings": [')
        with consistency.one_moment():
            for finding in consistency.findings(options["only"]):
                if as_json:
                    self.stdout.write(("," if counts else "") + json.dumps(asdict(finding), ensure_ascii=False))
                else:
                    self.stdout.write(f"{finding.check}: {visible(finding.about)}: {visible(finding.what)}")
                    self.stdout.write(f"    to do: {visible(finding.to_do)}")
                counts[finding.check] += 1
        if as_json:
            self.stdout.write(f'], "counts": {json.dumps(counts)}}}')
        else:
            self.stdout.write(", ".join(f"{number} {name}" for name, number in counts.items()) or "all is well")
        if counts:
            raise CommandError(f"{counts.total()} findings", returncode=FOUND)
