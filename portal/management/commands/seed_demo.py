"""`manage.py seed_demo`: enterprises, users, filings and announcements to look at, in the trade's own terms."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal import demo


class Command(BaseCommand):
    help = "Make the demo accounts and, once each, the home page's contents and a seeded set of filings. Refused outside demo mode."
    #: Only from Python: `make run` has cards to bind and to declare with (portal.demo.Signer).
    stealth_options = ("sign",)

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--seed", type=int, default=2026, help="seed of the random choices (default 2026)")
        parser.add_argument("--filings", type=int, default=90, help="how many filings to make (default 90)")

    def handle(self, *args: Any, seed: int, filings: int, sign: demo.Signer | None = None, **options: Any) -> None:
        if not settings.DEMO_MODE:
            raise CommandError("Demo accounts have a public password: seed_demo runs only with PORTAL_MODE=demo.")
        demo.make_accounts()
        if sign is not None:
            demo.bind_cards(sign)
        demo.make_content()
        made = demo.make_filings(seed=seed, count=filings, sign=sign)
        demo.make_base_data()
        if not made:
            self.stdout.write("demo accounts and filings are there")
        elif sign is None and settings.CARD_REQUIRED:
            self.stdout.write(f"demo accounts are there, {made} filings made, all of them drafts: declaring takes a card (CARD_REQUIRED)")
        else:
            self.stdout.write(f"demo accounts are there, {made} filings made")
