"""What the operators' commands have in common: who types them, how they answer, and with which exit status.

Exit statuses, the same for every command: 0 done, or nothing to do; 1 refused, and nothing changed; 2 the command was not understood;
3 (`check_consistency`) something was found. With --json one JSON object goes to the standard output, of a refusal, too:
`{"error": {"code": …, "text": …}}`.
"""

import json
import os
import pwd
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from relay.services.operations import OperationRefused
from relay.shown import visible


@dataclass(frozen=True, slots=True)
class ShellOperator:
    """Somebody at a shell. The trail names him `os:account`, so that nobody takes him for an account of the portal of that name."""

    name: str
    pk: None = None

    def get_username(self) -> str:
        """As the trail keeps it."""
        return self.name


def shell_operator(named: str) -> ShellOperator:
    """Who types this: the account of the operating system (before sudo), and the name that he gave himself."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user often has no name
        account = str(os.getuid())
    if os.getuid() == 0:
        account = os.environ.get("SUDO_USER") or account
    return ShellOperator(f"{named.strip()[:100]} (os:{account})" if named.strip() else f"os:{account}")


class OperatorCommand(BaseCommand):
    """A command with --json and --operator; `operate` does it, and what it refuses becomes exit status 1."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options that all of them have."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--operator", default="", metavar="NAME", help="who does this, beside the account of the operating system")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it; a refusal ends with status 1."""
        try:
            self.operate(options, shell_operator(options["operator"]))
        except OperationRefused as refusal:
            if options["json"]:
                self.print_json({"error": {"code": refusal.code, "text": str(refusal)}})
            raise CommandError(f"{refusal.code}: {refusal}", returncode=1) from None

    def operate(self, options: dict[str, Any], operator: ShellOperator) -> None:
        """Do what the command is for. Raises OperationRefused."""
        raise NotImplementedError

    def print_json(self, values: dict[str, Any]) -> None:
        """One object."""
        self.stdout.write(json.dumps(values, indent=2, ensure_ascii=False))


def print_table(out: OutputWrapper, rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, int]]) -> None:
    """A table for people, its columns at least so wide."""
    out.write("".join(name.ljust(width) for name, width in columns).rstrip())
    for row in rows:
        out.write("".join(cell(row[name]).ljust(width - 1) + " " for name, width in columns).rstrip())


def cell(value: Any) -> str:
    """A value of a table: what a partner or an operator wrote cannot drive the terminal."""
    if value is None or value == "":
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else visible(str(value))


def moment(text: str) -> datetime:
    """A time that an operator typed: `2026-03-01`, `2026-03-01T08:00` (of Shanghai) or with a zone. Raises ArgumentTypeError."""
    try:
        found = parse_datetime(text)
        if found is None and (day := parse_date(text)) is not None:
            found = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - made aware below
    except ValueError:
        found = None
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no time; write 2026-03-01 or 2026-03-01T08:00")
    return timezone.make_aware(found) if timezone.is_naive(found) else found
