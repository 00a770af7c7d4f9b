"""`manage.py seed_demo`: enterprises, users, filings and announcements to look at, in the trade's own terms."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal import demo


class Command(BaseCommand):
    help = "Make the demo accounts and, once each, the home page's contents and a seeded set of filings. Refused outside demo mode."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--seed", type=int, default=2026, help="seed of the random choices (default 2026)")
        parser.add_argument("--filings", type=int, default=90, help="how many filings to make (default 90)")

    def handle(self, *args: Any, seed: int, filings: int, **options: Any) -> None:
        if not settings.DEMO_MODE:
            raise CommandError("Demo accounts have a public password: seed_demo runs only with PORTAL_MODE=demo.")
        demo.make_accounts()
        demo.make_content()
        made = demo.make_filings(seed=seed, count=filings)
        self.stdout.write(f"demo accounts are there, {made} filings made" if made else "demo accounts and filings are there")
