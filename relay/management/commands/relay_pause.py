"""`manage.py relay_pause [--partner P] [--type T] --reason TEXT [--json]`: send nothing more (RLY-04)."""

from argparse import ArgumentParser
from typing import Any

from relay import queries
from relay.management.operating import OperatorCommand, ShellOperator
from relay.services import operations


class Command(OperatorCommand):
    """What is being sent at this moment goes out; what comes in is taken in. See docs/operations/relay.md."""

    help = "Stop sending to a partner (without --partner: to all), one type of message or all, until relay_resume."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to pause, and why."""
        super().add_arguments(parser)
        parser.add_argument("--partner", default="", help="only what goes to this partner")
        parser.add_argument("--type", default="", help="only messages of this type, for example SGW101")
        parser.add_argument("--reason", required=True, help="why; kept, and shown to whoever looks")

    def operate(self, options: dict[str, Any], operator: ShellOperator) -> None:
        """Pause, and say so."""
        row = operations.pause(partner=options["partner"], message_type=options["type"], reason=options["reason"], operator=operator)
        if options["json"]:
            self.print_json({"paused": queries.pause_as_json(row)})
        else:
            self.stdout.write(f"paused: partner {row.partner or 'all'}, type {row.message_type or 'all'}")
