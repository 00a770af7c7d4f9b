"""`python -m simulators.standard_edition`: the standard edition's login as a process of its own, until SIGINT or SIGTERM."""

import argparse
import logging
import signal
from pathlib import Path
from types import FrameType

from werkzeug.serving import BaseWSGIServer, make_server

from simulators.standard_edition.accounts import ACCOUNTS
from simulators.standard_edition.app import create_app
from simulators.standard_edition.keys import SigningKey
from simulators.standard_edition.provider import Client, Provider

log = logging.getLogger("standard-edition")
HOST = "127.0.0.1"
CALLBACK = "/accounts/oidc/standard_edition/login/callback/"
SIGNED_OUT = "/accounts/standard-edition/signed-out/"
BACKCHANNEL = "/accounts/standard-edition/backchannel-logout/"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.standard_edition",
        description="Plays the login of 中央标准版: an OpenID Connect provider with demo accounts (docs/operations/accounts.md).",
    )
    parser.add_argument("--port", type=int, required=True, help=f"port of {HOST} to listen on")
    parser.add_argument("--issuer", required=True, help="its own address as clients know it")
    parser.add_argument("--client-id", required=True, help="the portal's id as a client")
    parser.add_argument("--client-secret", required=True, help="the portal's secret")
    parser.add_argument(
        "--redirect-prefix", required=True, action="append", metavar="URL", help="address of the portal; may be given again for another"
    )
    parser.add_argument("--key", type=Path, help="file that keeps the signing key over restarts (default: a new key each time)")
    return parser.parse_args()


def registered(client_id: str, secret: str, prefixes: list[str]) -> Client:
    """The portal as a client that may be reached at any of these addresses; the first hears of logouts."""
    prefixes = [prefix.rstrip("/") for prefix in prefixes]
    return Client(
        client_id=client_id,
        secret=secret,
        redirect_uris=frozenset(f"{prefix}{CALLBACK}" for prefix in prefixes),
        post_logout_redirect_uris=frozenset(f"{prefix}{SIGNED_OUT}" for prefix in prefixes),
        backchannel_logout_uri=f"{prefixes[0]}{BACKCHANNEL}",
    )


def server(provider: Provider, port: int, portal_url: str = "") -> BaseWSGIServer:
    """Listens from now on; `serve_forever` answers."""
    # werkzeug tells of every request; here only trouble is worth a line.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    return make_server(HOST, port, create_app(provider, portal_url=portal_url), threaded=True)


def main() -> None:
    """Serve until told to stop."""
    options = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s standard-edition %(levelname)s %(message)s")
    key = SigningKey.kept_in(options.key) if options.key else SigningKey.new()
    client = registered(options.client_id, options.client_secret, options.redirect_prefix)
    provider = Provider(issuer=options.issuer, key=key, clients=[client], accounts=ACCOUNTS)
    listening = server(provider, options.port, options.redirect_prefix[0].rstrip("/"))

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        listening.serve_forever()
    finally:
        listening.server_close()


if __name__ == "__main__":
    main()
