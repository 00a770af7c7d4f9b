"""`manage.py relay_resend MESSAGE_ID | filters [--yes] [--json]`: the same id, the same bytes, once more (RLY-04)."""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from relay.management.operating import OperatorCommand, ShellOperator, moment, print_table
from relay.models import OutboundState
from relay.services import operations
from relay.services.operations import ResendOutcome, Resent, Selection

_COLUMNS = (
    ("message_id", 38),
    ("message_type", 13),
    ("partner", 10),
    ("subject", 36),
    ("state", 10),
    ("created_at", 34),
    ("outcome", 16),
    ("text", 0),
)
_FILTERS = ("partner", "type", "state", "since", "until", "subject")


class Command(OperatorCommand):
    """A dry run without --yes: it prints what would become of each message, and nothing happens."""

    help = "Send messages again under the same id. Without --yes: only say which, and what would become of each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One message, or a set of them."""
        super().add_arguments(parser)
        parser.add_argument("message_id", nargs="?", type=UUID, help="one message")
        parser.add_argument("--partner", default="")
        parser.add_argument("--type", default="")
        parser.add_argument(
            "--state",
            default="",
            choices=["", *OutboundState.values],
            help="without it: what has not ended; `sent`: what waits for a receipt, with --since our technical receipts, too",
        )
        parser.add_argument("--since", type=moment, help="made at this time or later: 2026-03-01, 2026-03-01T08:00")
        parser.add_argument("--until", type=moment, help="made before this time")
        parser.add_argument("--subject", default="", help="about this record, for example smartgate.filing:202600000000000001")
        parser.add_argument("--reason", default="", help="why; kept in the audit trail")
        parser.add_argument("--yes", action="store_true", help="do it")

    def operate(self, options: dict[str, Any], operator: ShellOperator) -> None:
        """Resend or say what would be."""
        one: UUID | None = options["message_id"]
        if one is not None and any(options[name] for name in _FILTERS):
            raise CommandError("give either a message id or filters, not both", returncode=2)
        dry_run = not options["yes"]
        if one is not None:
            results: Iterable[Resent] = [operations.resend(message_id=one, operator=operator, dry_run=dry_run, reason=options["reason"])]
        else:
            selection = Selection(
                partner=options["partner"],
                message_type=options["type"],
                state=options["state"],
                since=options["since"],
                until=options["until"],
                subject=options["subject"],
            )
            results = operations.resend_selected(selection, operator=operator, dry_run=dry_run, reason=options["reason"])
        found = [result.as_json() for result in results]
        counts = Counter(str(row["outcome"]) for row in found)
        if options["json"]:
            self.print_json({"dry_run": dry_run, "counts": {one.value: counts[one] for one in ResendOutcome}, "messages": found})
            return
        print_table(self.stdout, found, _COLUMNS)
        self.stdout.write(", ".join(f"{number} {outcome}" for outcome, number in counts.items()) or "no message fits")
        if dry_run and found:
            self.stdout.write("dry run: nothing was changed; with --yes it is done")
