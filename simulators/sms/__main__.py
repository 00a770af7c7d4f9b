"""`python -m simulators.sms`: an SMS provider as a process of its own, until SIGINT or SIGTERM."""

import argparse
import logging
import signal
import threading
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from simulators.sms.behaviours import BEHAVIOURS
from simulators.sms.messages import Messages
from simulators.sms.web import make_application

log = logging.getLogger("sms")
HOST = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    """No line for each request: the page asks for itself every few seconds."""

    def log_request(self, *_args: object) -> None:
        pass


def arguments() -> argparse.Namespace:
    """The command line."""
    endings = "\n".join(f"  …{behaviour.ending}  {behaviour.name}" for behaviour in BEHAVIOURS)
    parser = argparse.ArgumentParser(
        prog="python -m simulators.sms",
        description="Plays an SMS provider (docs/protocol/sms.md) and shows what would have been sent.",
        epilog=f"A number that ends so chooses its own behaviour:\n{endings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, required=True, help=f"port of {HOST}; 0 takes any")
    parser.add_argument("--token", required=True, help="bearer token that who sends must show")
    parser.add_argument("--journal", type=Path, required=True, help="JSON lines, one per text that was taken")
    parser.add_argument(
        "--hold", type=float, default=60.0, metavar="S", help="seconds until a number that never answers does (default: 60)"
    )
    return parser.parse_args()


def main() -> None:
    """Serve until told to stop."""
    options = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s sms %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    messages = Messages(options.journal)
    application = make_application(messages, token=options.token, hold=options.hold)
    server = make_server(HOST, options.port, application, threaded=True, request_handler=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log.info("what would have been sent is read at http://%s:%s/", HOST, server.server_port)
    stop.wait()
    server.shutdown()
    server.server_close()
    messages.close()


if __name__ == "__main__":
    main()
