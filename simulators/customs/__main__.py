"""`python -m simulators.customs`: customs as a process of its own, until SIGINT or SIGTERM."""

import argparse
import logging
import signal
import threading
from pathlib import Path

from simulators.customs.behaviours import BEHAVIOURS, BY_NAME
from simulators.customs.boxes import Boxes
from simulators.customs.customs import Customs, Exchange
from simulators.customs.wire import Wire

log = logging.getLogger("customs")
SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "protocol"


def arguments() -> argparse.Namespace:
    """The command line."""
    plates = "\n".join(f"  {behaviour.token}  {behaviour.name}" for behaviour in BEHAVIOURS)
    parser = argparse.ArgumentParser(
        prog="python -m simulators.customs",
        description="Plays customs on one exchange directory, or at a message broker (docs/protocol/README.md).",
        epilog=f"A plate that ends in one of these and two digits chooses its own behaviour:\n{plates}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--root", type=Path, help="directory with OutBox, SentBox, InBox and FailBox")
    place.add_argument("--amqp", metavar="URL", help="broker with the queues <me>.out, <me>.in and <me>.fail: amqp://user:password@host/")
    parser.add_argument("--journal", type=Path, required=True, help="JSON lines, one per accepted filing")
    parser.add_argument("--behaviour", choices=sorted(BY_NAME), default="accept", help="for plates that choose none (default: accept)")
    parser.add_argument("--answer-delay", type=float, default=0.0, metavar="S", help="seconds from filing to answer (default: 0)")
    parser.add_argument(
        "--resend-after", type=float, default=60.0, metavar="S", help="answers that nobody confirmed go again (default: 60)"
    )
    parser.add_argument("--poll", type=float, default=0.2, metavar="S", help="seconds between looks for what is new (default: 0.2)")
    parser.add_argument("--schemas", type=Path, default=SCHEMAS, metavar="DIR", help="the published XSDs")
    parser.add_argument("--me", default="customs", help="customs' id in envelopes (default: customs)")
    parser.add_argument("--portal", default="LNSW", help="the portal's id in envelopes (default: LNSW)")
    return parser.parse_args()


def main() -> None:
    """Run until told to stop. A full disk, a vanished directory or a broker that is away is waited out: the journal says where to go on."""
    options = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s customs %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    wire = Wire(options.schemas, options.me, options.portal)
    while not stop.is_set():
        try:
            _serve(options, wire, stop)
        except OSError:
            log.exception("the exchange fails; trying again")
            stop.wait(1)


def _serve(options: argparse.Namespace, wire: Wire, stop: threading.Event) -> None:
    exchange = _exchange(options)
    customs = Customs(
        exchange=exchange,
        journal=options.journal,
        wire=wire,
        behaviour=BY_NAME[options.behaviour],
        answer_delay=options.answer_delay,
        resend_after=options.resend_after,
    )
    log.info("serving %s, behaviour %s", options.root or f"{options.me}.out at the broker", options.behaviour)
    try:
        while not stop.is_set():
            if not customs.step():
                stop.wait(options.poll)
    finally:
        customs.close()


def _exchange(options: argparse.Namespace) -> Exchange:
    if options.root is not None:
        return Boxes(options.root)
    from simulators.customs.queues import Queues

    return Queues(options.amqp, options.me)


if __name__ == "__main__":
    main()
