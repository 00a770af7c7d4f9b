"""`manage.py freeze_dormant_accounts [--dry-run] [--json]`: warn of accounts that nobody uses, freeze those warned of (ACC-12)."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounts.services.dormancy import freeze_dormant, warn_dormant


class Command(BaseCommand):
    """What the daily job does; can be run at any time and again."""

    help = "Freeze accounts unused for DORMANT_AFTER_DAYS, warn their users DORMANCY_WARNING_DAYS before. Superusers are exempt."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--dry-run to look, --json for programs."""
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing, send nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Warn, freeze, print the user names."""
        now, dry_run = timezone.now(), options["dry_run"]
        warned = warn_dormant(at=now, dry_run=dry_run)
        frozen = freeze_dormant(at=now, dry_run=dry_run)
        if options["json"]:
            self.stdout.write(json.dumps({"at": now.isoformat(), "dry_run": dry_run, "warned": warned, "frozen": frozen}, indent=2))
            return
        for what, users in (("warned", warned), ("frozen", frozen)):
            self.stdout.write(f"{'would be ' if dry_run else ''}{what}: {len(users)}")
            for username in users:
                self.stdout.write(f"  {username}")
