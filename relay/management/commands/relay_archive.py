"""`manage.py relay_archive list|show [--json]`: the bytes of old messages, read back from RELAY_ARCHIVE_DIR (RLY-04)."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from base64 import b64encode
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from relay.management.operating import OperatorCommand, ShellOperator, print_table
from relay.services.operations import OperationRefused, archive
from relay.shown import SHOWN_BYTES, shown, visible

_COLUMNS = (
    ("row", 16),
    ("partner", 10),
    ("message_type", 13),
    ("message_id", 38),
    ("state", 11),
    ("at", 34),
    ("subject", 0),
)


class Command(OperatorCommand):
    """Only reads. A message is named by its id, or by its row as `list` gives it (`in:4711`): what could not be read has no id."""

    help = "List and show messages whose bytes were taken out of the database, as RELAY_ARCHIVE_DIR has them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One of two."""
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="what the archive holds, oldest month first")
        showing = actions.add_parser("show", help="one message with its bytes, shown safely, held against the digest of its row")
        for sub in (listing, showing):
            super().add_arguments(sub)
        listing.add_argument("--month", type=_month, help="of this month only: 2023-04")
        listing.add_argument("--subject", default="", help="about this record: smartgate.filing:202600000000000001, or its number alone")
        listing.add_argument("--limit", type=int, default=100, help="at most so many (100)")
        showing.add_argument("message", type=_which, metavar="MESSAGE_ID", help="its id, or its row: in:4711, out:4711")
        showing.add_argument("--to", type=Path, metavar="FILE", help="write the bytes to this new file, as they were")

    def operate(self, options: dict[str, Any], operator: ShellOperator) -> None:
        """Do the one that was asked for."""
        damaged = archive.Damaged()
        if options["action"] == "list":
            self._list(options, damaged)
        else:
            self._show(options, damaged)
        for file, error in sorted(damaged.files.items()):
            self.stderr.write(f"cannot be read to its end: {file}: {visible(error)}")
        if damaged.files and options["action"] == "list":
            raise SystemExit(1)

    def _list(self, options: dict[str, Any], damaged: archive.Damaged) -> None:
        limit = max(options["limit"], 1)
        entries = archive.listing(month=options["month"] or "", subject=options["subject"], damaged=damaged)
        found = [{"row": f"{values['direction']}:{values['id']}", **values} for values in islice(entries, limit + 1)]
        if options["json"]:
            self.print_json({"messages": found[:limit], "more": len(found) > limit, "damaged": damaged.files})
            return
        print_table(self.stdout, found[:limit], _COLUMNS)
        if len(found) > limit:
            self.stdout.write("there are more: --month, --subject or a larger --limit")

    def _show(self, options: dict[str, Any], damaged: archive.Damaged) -> None:
        path: Path | None = options["to"]
        if path is None:
            found = archive.read(options["message"], keep=SHOWN_BYTES, damaged=damaged)
        else:
            found = self._written(options["message"], path, damaged)
        values = {"row": f"{found.values['direction']}:{found.values['id']}", **found.values}
        values |= {"file": str(found.file), "size": found.size, "sha256": found.sha256, "verified": found.is_verified}
        if path is not None:
            values["written_to"] = str(path)
        seen = shown(found.beginning, size=found.size)
        if options["json"]:
            values["content"] = {"kind": seen.kind, "text": seen.text, "shown": seen.shown, "is_cut": seen.is_cut}
            values["content"]["base64"] = b64encode(found.beginning[: seen.shown]).decode()
            self.print_json(values)
            return
        values["verified"] = {True: "yes", False: "no", None: "the database has no digest to hold it against"}[found.is_verified]
        for name, value in values.items():
            self.stdout.write(f"{name}: {'-' if value in (None, '') else visible(str(value))}")
        self.stdout.write(f"content ({seen.kind}, {seen.shown} of {found.size} bytes):")
        self.stdout.write(seen.text)

    def _written(self, which: UUID | archive.Key, path: Path, damaged: archive.Damaged) -> archive.Read:
        """Read it into a new file, of which nothing is left unless it is whole."""
        try:
            with path.open("xb") as file:  # never over something that is there
                try:
                    return archive.read(which, keep=SHOWN_BYTES, into=file, damaged=damaged)
                except BaseException:
                    with suppress(OSError):
                        path.unlink()
                    raise
        except OSError as error:
            raise OperationRefused("NOT_WRITTEN", f"{path}: {error.strerror}") from error


def _month(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}", text):
        raise ArgumentTypeError(f"{text!r} is no month; write 2023-04")
    return text


def _which(text: str) -> UUID | archive.Key:
    if named := re.fullmatch(r"(in|out):(\d{1,18})", text):
        return archive.Key(named[1], int(named[2]))
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is neither a message id nor a row such as in:4711") from None
