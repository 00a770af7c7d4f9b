"""`python -m simulators.cards make|run|serve|revoke`: cards without hardware (README.md)."""

import argparse
import logging
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asn1crypto import x509

from simulators.cards import web
from simulators.cards.authority import DEFAULT_URL, Authority
from simulators.cards.cardfile import CardFile, Keys
from simulators.cards.certificates import ENVELOPE_USES, SIGNING_USES, Holder
from simulators.cards.keys import Key, KeyType
from simulators.cards.vpcd import Reader

HOST = "127.0.0.1"
DEMO_PIN = "88888888"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m simulators.cards", description="Cards without hardware, for tests and the demo.")
    commands = parser.add_subparsers(dest="command", required=True)

    make = commands.add_parser("make", help="make a card file, and its authority where there is none yet")
    make.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the card file goes: DIR/<card number>.json")
    make.add_argument("--authority", type=Path, metavar="DIR", help="directory of the authorities (default: OUT/authority)")
    make.add_argument("--key-type", choices=[kind.value for kind in KeyType], default=KeyType.SM2.value)
    make.add_argument("--card-no", default="2100000000001", help="13 digits or capitals (default: %(default)s)")
    make.add_argument("--holder", default="李操作", help="operator's name (default: %(default)s)")
    make.add_argument("--id-no", default="210202199001010016", help="operator's ID number")
    make.add_argument("--enterprise", default="大连示范国际货运代理有限公司", help="default: %(default)s")
    make.add_argument("--credit-code", default="912102002026000129", help="its 统一社会信用代码; characters 9 to 17 go on the card")
    make.add_argument("--pin", default=DEMO_PIN, help="6 to 8 digits (default: %(default)s)")
    make.add_argument("--days", type=int, default=3 * 365, help="how long the certificates are good (default: %(default)s)")
    make.add_argument("--begins", type=int, default=0, metavar="DAYS", help="from so many days from now on; negative: since then")
    make.add_argument("--url", default=DEFAULT_URL, help="address of `serve`, for CRL and OCSP in new authorities (default: %(default)s)")
    make.add_argument("--keep", action="store_true", help="leave a card file that is there already as it is")

    run = commands.add_parser("run", help="put a card into the virtual reader of vsmartcard-vpcd")
    run.add_argument("card", type=Path)
    run.add_argument("--vpcd-host", default=HOST)
    run.add_argument("--vpcd-port", type=int, default=35963)
    run.add_argument(
        "--control", type=Path, metavar="SOCKET", help="Unix socket that takes: remove, insert [CARDFILE], remove-at INS, status"
    )
    run.add_argument("--verbose", action="store_true", help="log each command's first four bytes and status")

    serve = commands.add_parser("serve", help="answer for CRL and OCSP")
    serve.add_argument("--authority", type=Path, required=True, metavar="DIR")
    serve.add_argument("--port", type=int, default=18990, help="default: %(default)s; 0 takes any")

    revoke = commands.add_parser("revoke", help="revoke a card's certificates and write the CRL anew")
    revoke.add_argument("card", type=Path)
    revoke.add_argument("--authority", type=Path, required=True, metavar="DIR")
    return parser.parse_args(words)


def make_card(
    *,
    out: Path,
    authorities: Path,
    key_type: KeyType,
    holder: Holder,
    pin: str = DEMO_PIN,
    valid_from: datetime | None = None,
    days: int = 3 * 365,
    url: str = DEFAULT_URL,
    iterations: int | None = None,
) -> CardFile:
    """Make a card with both certificates, and the authority of its key type where there is none; gives the card file.

    `iterations` is what `CardFile.create` says.
    """
    valid_from = valid_from or datetime.now(UTC) - timedelta(minutes=5)
    authority = Authority.in_directory(authorities / key_type.value, key_type, url=f"{url}/{key_type.value}")
    keys = Keys(signing=Key.generate(key_type), envelope=Key.generate(key_type))
    signing, envelope = (
        authority.issue(holder=holder, key=key, uses=uses, valid_from=valid_from, valid_to=valid_from + timedelta(days=days))
        for key, uses in ((keys.signing, SIGNING_USES), (keys.envelope, ENVELOPE_USES))
    )
    out.mkdir(parents=True, exist_ok=True)
    return CardFile.create(
        out / f"{holder.card_no}.json",
        card_no=holder.card_no,
        pin=pin,
        certificate=signing.dump(),
        envelope_certificate=envelope.dump(),
        keys=keys,
        iterations=iterations,
    )


def revoke_card(*, card: CardFile, authorities: Path) -> None:
    """Revoke both certificates of a card."""
    authority = Authority.load(authorities / card.key_type.value)
    for der in (card.certificate, card.envelope_certificate):
        authority.revoke(x509.Certificate.load(der).serial_number)


def main() -> int:
    """Do what was asked; gives the exit status."""
    options = arguments()
    level = logging.DEBUG if getattr(options, "verbose", False) else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        return {"make": _make, "run": _run, "serve": _serve, "revoke": _revoke}[options.command](options)
    except (ValueError, OSError, KeyError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _make(options: argparse.Namespace) -> int:
    path = options.out / f"{options.card_no}.json"
    if options.keep and path.exists():
        print(path)
        return 0
    if len(options.card_no) != 13 or len(options.credit_code) != 18:
        raise ValueError("A card number has 13 characters, a credit code 18.")
    holder = Holder(
        name=options.holder,
        id_no=options.id_no,
        enterprise_name=options.enterprise,
        organisation_code=options.credit_code[8:17],
        card_no=options.card_no,
    )
    begins = datetime.now(UTC) + timedelta(days=options.begins) if options.begins else None
    card = make_card(
        out=options.out,
        authorities=options.authority or options.out / "authority",
        key_type=KeyType(options.key_type),
        holder=holder,
        pin=options.pin,
        valid_from=begins,
        days=options.days,
        url=options.url,
    )
    print(card.path)
    return 0


def _run(options: argparse.Namespace) -> int:
    reader = Reader(host=options.vpcd_host, port=options.vpcd_port, card=options.card, control=options.control)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: reader.stop())
    signal.signal(signal.SIGUSR1, lambda *_: reader.order(reader.pull_out))
    signal.signal(signal.SIGUSR2, lambda *_: reader.order(reader.put_in))
    reader.run()
    return 0


def _serve(options: argparse.Namespace) -> int:
    homes = {path.name: path for path in sorted(options.authority.iterdir()) if (path / "issued.json").exists()}
    server = web.server(homes, host=HOST, port=options.port)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    logging.getLogger("authority").info("http://%s:%d/ answers for %s", HOST, server.server_port, ", ".join(homes))
    stop.wait()
    server.shutdown()
    server.server_close()
    return 0


def _revoke(options: argparse.Namespace) -> int:
    revoke_card(card=CardFile.load(options.card), authorities=options.authority)
    return 0


if __name__ == "__main__":
    sys.exit(main())
