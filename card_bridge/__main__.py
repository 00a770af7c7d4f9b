"""`python -m card_bridge`: answer web pages that want the user's card, until SIGINT or SIGTERM."""

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from card_bridge import VERSION
from card_bridge.backends import Backend
from card_bridge.origins import DEFAULT, Origins
from card_bridge.server import HOST, MOST_CONNECTIONS, Bridge

#: Where the official control listens for pages.
PORT = 61232
_LOG_BYTES, _LOG_FILES = 1_000_000, 3
#: Files and card connections that are open besides those of pages.
_OTHER_FILES = 64

log = logging.getLogger("card_bridge")


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """The command line. Exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m card_bridge",
        description="Lets web pages use the IC card in this computer's reader (card_bridge/README.md).",
    )
    parser.add_argument(
        "--backend",
        choices=("pcsc", "software"),
        default="pcsc",
        help="cards in readers, or a demonstration card in a file (default: pcsc)",
    )
    parser.add_argument("--card", type=Path, metavar="FILE", help="the software card's file; it may come and go")
    parser.add_argument("--reader", default="", metavar="NAME", help="part of the reader's name, when there are several (default: any)")
    parser.add_argument("--port", type=int, default=PORT, help=f"port of {HOST}; 0 takes any (default: {PORT})")
    parser.add_argument(
        "--origin",
        action="append",
        metavar="ORIGIN",
        help=f"origin whose pages may use the card, as in https://sw.example.cn; repeat for more (default: {' '.join(DEFAULT)})",
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="write the log there too, at most 4 MB of it")
    parser.add_argument("--version", action="version", version=VERSION)
    options = parser.parse_args(line)
    if (options.backend == "software") != (options.card is not None):
        parser.error("--backend software needs --card FILE" if options.card is None else "--card is for --backend software")
    if not 0 <= options.port <= 65535:
        parser.error(f"{options.port} is no port")
    try:
        options.origins = Origins(options.origin or DEFAULT)
    except ValueError as error:
        parser.error(str(error))
    return options


def _backend(options: argparse.Namespace) -> Backend:
    if options.backend == "software":
        from card_bridge.backends.software import SoftwareBackend

        return SoftwareBackend(options.card)
    try:
        from card_bridge.backends.pcsc import PcscBackend
    except ImportError as error:
        raise SystemExit(f"pyscard is not installed ({error}). Type: python -m pip install -r card_bridge/requirements.txt") from error
    return PcscBackend(options.reader)


def _room_for_connections() -> int:
    """As many connections as the operating system lets one process have, up to what we want."""
    try:
        import resource
    except ImportError:  # Windows counts no files
        return MOST_CONNECTIONS
    wanted = MOST_CONNECTIONS + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MOST_CONNECTIONS, soft - _OTHER_FILES))


async def _serve(options: argparse.Namespace, backend: Backend) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has none of this; there Ctrl-C ends the program by itself.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    bridge = Bridge(backend, options.origins, most_connections=_room_for_connections())
    server = await bridge.listen(options.port)
    port = server.sockets[0].getsockname()[1]
    log.info("listening on ws://%s:%s for pages of %s; cards: %s", HOST, port, options.origins, options.backend)
    try:
        await stop.wait()
    finally:
        server.close()
        await server.wait_closed()


def main() -> int:
    """Serve until told to stop; gives the exit status."""
    options = arguments()
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if options.log:
        handlers.append(RotatingFileHandler(options.log, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s card_bridge %(levelname)s %(message)s", handlers=handlers)
    try:
        asyncio.run(_serve(options, _backend(options)))
    except OSError as error:
        log.error("cannot listen on port %s of %s: %s", options.port, HOST, error)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
