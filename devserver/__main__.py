"""`python -m devserver COMMAND`; without one it lists them."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable

from devserver import cards, checks, clean, pin, run, services, system, vendor
from devserver.errors import DevServerError


def copy_vendor() -> int:
    """Copy the npm packages' files to VAR_DIR/vendor."""
    target = run.var_dir(os.environ) / "vendor"
    changes = vendor.copy(target)
    if changes:
        print(f"{changes} files of npm packages brought up to date in {target}")
    return 0


def show_services() -> int:
    """PostgreSQL and Redis, empty and for a while: prints their addresses for a shell, ends with Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    with services.ephemeral() as addresses:
        for name, value in addresses.environment().items():
            print(f"export {name}={shlex.quote(value)}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


def remove() -> int:
    """Remove what a portal made under VAR_DIR."""
    return clean.run(run.var_dir(os.environ))


def card(name: str = "") -> int:
    """Show which card is in the software reader, put another one in, take it out."""
    return cards.command(run.var_dir(os.environ), name)


COMMANDS: dict[str, tuple[Callable[..., int], str]] = {
    "run": (run.main, "bring up the portal with everything it needs (make run)"),
    "vendor": (copy_vendor, "copy the npm packages' files that pages use to VAR_DIR/vendor"),
    "services": (show_services, "an empty PostgreSQL and Redis for as long as the command runs"),
    "system": (system.install, "install what the browser tests need of the operating system, or say what to type"),
    "check": (checks.run, "everything short of the tests (make check)"),
    "pin": (pin.run, "pin the newest versions allowed (make lock)"),
    "card": (card, "the card in the software reader: shown, changed by a number, taken out by `none` (make card)"),
    "clean": (remove, "remove what a portal made under VAR_DIR (make clean)"),
}


def main() -> int:
    """Give the exit status of the command named."""
    parser = argparse.ArgumentParser(prog="python -m devserver")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name == "card":
            command.add_argument("words", nargs="?", metavar="NUMBER|none", default="", help="which card is to be in it")
    options = vars(parser.parse_args())
    chosen = COMMANDS[options["command"]][0]
    try:
        return chosen(options["words"]) if "words" in options else chosen()
    except DevServerError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
