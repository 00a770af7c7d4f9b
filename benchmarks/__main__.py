"""`python -m benchmarks [NAME …] [--rows N] [--json FILE]`: measure, print tables, write JSON."""

import argparse
import importlib
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path

from benchmarks import report
from benchmarks.scale import Scale
from benchmarks.world import opened
from devserver.errors import DevServerError
from devserver.run import var_dir

#: In the order in which they run; each is a module with `run(world)`.
NAMES = (
    "listing",
    "statistics",
    "printing",
    "lookup",
    "saving",
    "importing",
    "logins",
    "relay",
    "delays",
    "memory",
    "indexes",
    "signed",
    "signatures",
    "card_bridge",
)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures the portal; docs/benchmarks.md says what and how.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--rows", type=int, default=Scale.rows, metavar="N", help="filings in the data set (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=Scale.rounds, metavar="N", help="times each page is asked for (default: %(default)s)")
    parser.add_argument("--filings", type=int, default=Scale.filings, metavar="N", help="filings sent to customs (default: %(default)s)")
    parser.add_argument("--codes", type=int, default=Scale.codes, metavar="N", help="codes in the long code table (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=int, default=Scale.seconds, metavar="N", help="seconds of each steady load (default: %(default)s)"
    )
    parser.add_argument(
        "--messages", type=int, default=Scale.messages, metavar="N", help="messages past a worker's memory (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go (default: <VAR_DIR>/bench/results.json)")
    options = parser.parse_args()
    wrong = [name for name in options.names if name not in NAMES]
    if wrong:
        parser.error(f"there is no {', '.join(wrong)}; there are {', '.join(NAMES)}")
    few = [name for name in ("rounds", "filings", "codes", "seconds", "messages") if getattr(options, name) < 1]
    if options.rows < Scale.fewest_rows or few:
        parser.error(f"at least {Scale.fewest_rows} rows, and one of everything else, are needed")
    return options


def main() -> int:
    """Run what was asked for; gives the exit status."""
    options = arguments()
    # As Ctrl-C does: what was started is ended, whatever ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = var_dir(os.environ) / "bench"
    scale = Scale(**{name.name: getattr(options, name.name) for name in fields(Scale)})
    target = options.json or home / "results.json"
    results: list[report.Result] = []
    try:
        with opened(home / f"rows-{scale.rows}", scale) as world:
            # Only now: they are the portal's, and Django is loaded over the servers that were just started.
            modules = {name: importlib.import_module(f"benchmarks.{name}") for name in NAMES if name in (options.names or NAMES)}
            for name, module in modules.items():
                with report.watched(name, module) as result:
                    result.take(module.run(world))
                print(report.as_text(result), flush=True)
                results.append(result)
                report.write_json(target, results, scale, world.facts())
    except DevServerError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(f"\nThe same as JSON: {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
