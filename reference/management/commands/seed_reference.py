"""Load the code tables that the product ships."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from reference.report import as_text, totals
from reference.services import seed_shipped


class Command(BaseCommand):
    help = "Load the code tables shipped with the product; tables with official data stay untouched. Can be run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="write the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        reports = seed_shipped()
        if options["json"]:
            self.stdout.write(json.dumps({"totals": totals(reports), "tables": [asdict(t) for t in reports]}, ensure_ascii=False, indent=2))
            return
        self.stdout.write(as_text(reports))
