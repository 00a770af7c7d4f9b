"""`manage.py relay_quarantine list|show|retry|discard [--json]`: what was set aside, and what to do with it (RLY-04)."""

from argparse import ArgumentParser
from base64 import b64encode
from pathlib import Path
from typing import Any

from django.utils import timezone

from relay import queries
from relay.management.operating import OperatorCommand, ShellOperator, moment, print_table
from relay.models import InboundMessage
from relay.services import NotInQuarantineError, discard_quarantined, retry_quarantined
from relay.services.operations import OperationRefused
from relay.shown import shown, visible

_COLUMNS = (
    ("id", 10),
    ("partner", 10),
    ("message_type", 13),
    ("reason_code", 18),
    ("size", 10),
    ("repeats", 8),
    ("received_at", 34),
    ("file_name", 0),
)


class Command(OperatorCommand):
    """The number of a message is that of its row, as `list` gives it."""

    help = "List, show, run again or give up messages in quarantine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One of four."""
        actions = parser.add_subparsers(dest="action", required=True)
        chosen = {name: actions.add_parser(name, help=text) for name, text in _ACTIONS.items()}
        for sub in chosen.values():
            super().add_arguments(sub)
        listing = chosen["list"]
        listing.add_argument("--partner", default="")
        listing.add_argument("--type", default=None, help="of this type; an empty one is what could not be read far enough")
        listing.add_argument("--code", default="", help="for this reason, for example SCHEMA")
        listing.add_argument("--until", type=moment, help="received before this time")
        listing.add_argument("--after", type=int, default=0, metavar="ID", help="those behind this number")
        listing.add_argument("--limit", type=int, default=100, help="at most so many (100)")
        chosen["show"].add_argument("id", type=int)
        chosen["show"].add_argument("--to", type=Path, metavar="FILE", help="write the bytes to this new file, as they came")
        chosen["retry"].add_argument("id", type=int, nargs="+")
        chosen["discard"].add_argument("id", type=int, nargs="+")
        chosen["discard"].add_argument("--reason", required=True, help="why; kept with the message")

    def operate(self, options: dict[str, Any], operator: ShellOperator) -> None:
        """Do the one that was asked for."""
        match options["action"]:
            case "list":
                self._list(options)
            case "show":
                self._show(options)
            case action:
                self._decide(action, options, operator)

    def _list(self, options: dict[str, Any]) -> None:
        rows = queries.quarantined(partner=options["partner"], message_type=options["type"], code=options["code"], until=options["until"])
        limit = max(options["limit"], 1)
        found = [queries.inbound_as_json(row) for row in rows.filter(pk__gt=options["after"])[: limit + 1]]
        more = found[limit - 1]["id"] if len(found) > limit else None
        if options["json"]:
            self.print_json({"at": timezone.now().isoformat(), "messages": found[:limit], "more_after": more})
            return
        print_table(self.stdout, found[:limit], _COLUMNS)
        if more is not None:
            self.stdout.write(f"there are more: --after {more}")

    def _show(self, options: dict[str, Any]) -> None:
        message = _get(options["id"])
        values = queries.inbound_as_json(message)
        content = bytes(message.content)
        if options["to"] is not None:
            self._write(options["to"], content)
            values["written_to"] = str(options["to"])
        seen = shown(content)
        if options["json"]:
            values["content"] = {"kind": seen.kind, "text": seen.text, "shown": seen.shown, "is_cut": seen.is_cut}
            values["content"]["base64"] = b64encode(content[: seen.shown]).decode()
            self.print_json(values)
            return
        for name, value in values.items():
            self.stdout.write(f"{name}: {'-' if value in (None, '') else visible(str(value))}")
        self.stdout.write(f"content ({seen.kind}, {seen.shown} of {len(content)} bytes):")
        self.stdout.write(seen.text)

    def _write(self, path: Path, content: bytes) -> None:
        try:
            with path.open("xb") as file:  # never over something that is there
                file.write(content)
        except OSError as error:
            raise OperationRefused("NOT_WRITTEN", f"{path}: {error.strerror}") from error

    def _decide(self, action: str, options: dict[str, Any], operator: ShellOperator) -> None:
        done: list[int] = []
        refused: list[dict[str, Any]] = []
        for number in dict.fromkeys(options["id"]):
            try:
                if action == "retry":
                    retry_quarantined(number, actor=operator)
                else:
                    discard_quarantined(number, operator=operator, reason=options["reason"])
                done.append(number)
            except InboundMessage.DoesNotExist:
                refused.append({"id": number, "code": "UNKNOWN_MESSAGE", "text": "there is no such message"})
            except NotInQuarantineError as error:
                refused.append({"id": number, "code": "NOT_IN_QUARANTINE", "text": visible(str(error))})
        if options["json"]:
            self.print_json({"action": action, "done": done, "refused": refused})
        else:
            for number in done:
                self.stdout.write(f"{number}: {'to be read again' if action == 'retry' else 'discarded'}")
        if refused:
            self.stderr.write("\n".join(f"{one['id']}: {one['code']}: {one['text']}" for one in refused))
            raise SystemExit(1)


_ACTIONS = {
    "list": "what is in quarantine, oldest first",
    "show": "one message with its bytes, shown safely",
    "retry": "have messages read from the beginning",
    "discard": "give messages up; they stay, and count no longer",
}


def _get(number: int) -> InboundMessage:
    message = InboundMessage.objects.defer("send_time").filter(pk=number).first()
    if message is None:
        raise OperationRefused("UNKNOWN_MESSAGE", f"there is no message {number}")
    return message
