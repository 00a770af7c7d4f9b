"""`manage.py relay_settle MESSAGE_ID --delivered|--not-delivered --reason TEXT [--yes] [--json]`: what the partner said by telephone."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from relay.management.operating import OperatorCommand, ShellOperator
from relay.services import operations


class Command(OperatorCommand):
    """For a message whose fate the exchange itself does not tell; when to use it stands in docs/operations/relay.md."""

    help = "Put down that the partner has a message, or has not and never will. Ask the partner first. Without --yes nothing happens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which message, and what was heard."""
        super().add_arguments(parser)
        parser.add_argument("message_id", type=UUID)
        heard = parser.add_mutually_exclusive_group(required=True)
        heard.add_argument("--delivered", action="store_true", help="the partner has it")
        heard.add_argument("--not-delivered", action="store_true", help="the partner has it not, and will not take it")
        parser.add_argument("--reason", required=True, help="who said so, and when; kept")
        parser.add_argument("--yes", action="store_true", help="do it")

    def operate(self, options: dict[str, Any], operator: ShellOperator) -> None:
        """Settle, or say whether it would be possible."""
        message = operations.settle(
            message_id=options["message_id"],
            delivered=options["delivered"],
            reason=options["reason"],
            operator=operator,
            dry_run=not options["yes"],
        )
        if options["json"]:
            values = {"message_id": str(message.message_id), "subject": message.subject, "state": str(message.state)}
            self.print_json({"dry_run": not options["yes"], **values})
            return
        self.stdout.write(f"{message} about {message.subject or '-'}: {message.state}")
        if not options["yes"]:
            self.stdout.write("dry run: nothing was changed; with --yes it is done")
