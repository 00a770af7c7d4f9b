"""`manage.py relay_resume [--partner P] [--type T] [--all] [--json]`: send again what was paused (RLY-04)."""

from argparse import ArgumentParser
from typing import Any

from relay import queries
from relay.management.operating import OperatorCommand, ShellOperator
from relay.models import Pause
from relay.services import operations
from relay.services.operations import OperationRefused


class Command(OperatorCommand):
    """Ends just the pause that relay_pause began with the same --partner and --type; says which others still hold."""

    help = "End a pause: the one begun with the same --partner and --type, or with --all every one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which pause."""
        super().add_arguments(parser)
        parser.add_argument("--partner", default="", help="as given to relay_pause")
        parser.add_argument("--type", default="", help="as given to relay_pause")
        parser.add_argument("--all", action="store_true", help="end every pause")
        parser.add_argument("--reason", default="", help="a note to be kept with it")

    def operate(self, options: dict[str, Any], operator: ShellOperator) -> None:
        """Resume, and say what is paused still."""
        if options["all"]:
            ended = [row for pause in queries.open_pauses() if (row := self._end(pause, options["reason"], operator))]
        else:
            ended = [
                operations.resume(partner=options["partner"], message_type=options["type"], reason=options["reason"], operator=operator)
            ]
        still = queries.open_pauses()
        if options["json"]:
            self.print_json(
                {"resumed": [queries.pause_as_json(row) for row in ended], "still_paused": [queries.pause_as_json(row) for row in still]}
            )
            return
        for row in ended:
            self.stdout.write(f"resumed: partner {row.partner or 'all'}, type {row.message_type or 'all'}")
        for row in still:
            self.stdout.write(f"still paused: partner {row.partner or 'all'}, type {row.message_type or 'all'}: {row.reason}")
        if not ended and not still:
            self.stdout.write("nothing was paused")

    def _end(self, pause: Pause, reason: str, operator: ShellOperator) -> Pause | None:
        """End one of all; None when somebody else has just done so."""
        try:
            return operations.resume(partner=pause.partner, message_type=pause.message_type, reason=reason, operator=operator)
        except OperationRefused:
            return None
