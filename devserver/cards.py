"""The demo's cards under VAR_DIR/cards, and which of them is in the software reader. Needs no Django.

authority/KEY_TYPE/             test authorities and their CRLs (simulators/cards/README.md)
demo-anchors/, demo-crl/        what the demo's portal takes for its authorities and CRLs. Not `anchors` and `crl`, where the portal
                                looks by itself: nobody who relies on a portal may find the test authorities among those he trusts
NUMBER.json, KEY_TYPE/NUMBER.json   the cards
in-reader.json                  link to the card in the software reader; not there, no card
"""

import base64
import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from asn1crypto import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from devserver.errors import DevServerError
from simulators.cards import web
from simulators.cards.__main__ import DEMO_PIN, make_card
from simulators.cards.authority import Authority
from simulators.cards.cardfile import CardFile
from simulators.cards.certificates import Holder
from simulators.cards.keys import Key, KeyType

HOST = "127.0.0.1"
NO_CARD = "none"
#: The PIN of the demo's cards is in the README: many rounds would protect nothing, and take longer than a card takes to sign.
DEMO_ITERATIONS = 20_000


@dataclass(frozen=True)
class DemoCard:
    """A card of the demo: its number, the account whose holder it names, what the start says of it."""

    number: str
    username: str
    remark: str


CARDS = (
    DemoCard("2100000000001", "demo_operator", "李操作, bound to demo_operator"),
    DemoCard("2100000000002", "demo_admin", "王管理, for demo_admin to bind"),
    DemoCard("2100000000003", "other_operator", "赵操作, bound to other_operator"),
)
#: The first card is there with these keys, too: cards before July 2022, and those of the standard.
OTHER_KEYS = (KeyType.RSA_2048, KeyType.P256)


class CardBox:
    """The cards and authorities of one VAR_DIR."""

    def __init__(self, directory: Path) -> None:
        """`directory` is the portal's VAR_DIR."""
        self.home = directory / "cards"
        self.authorities = self.home / "authority"
        self.anchors = self.home / "demo-anchors"
        self.lists = self.home / "demo-crl"
        self.reader = self.home / "in-reader.json"

    def authority_port(self) -> int | None:
        """The port at which the certificates made here say that CRL and OCSP are; None where there are none yet."""
        try:
            issued = json.loads((self.authorities / KeyType.SM2 / "issued.json").read_text(encoding="utf-8"))
            return urlsplit(issued["url"]).port
        except (OSError, ValueError, KeyError):
            return None

    def make(self, holders: Mapping[str, Holder], *, authority_port: int) -> None:
        """Make what is not there yet: `holders` says by user name whom the cards name. Runs at every start: CRLs last a week."""
        url = f"http://{HOST}:{authority_port}"
        # Cards of an authority that is gone prove nothing to the next one.
        orphaned = {kind for kind in KeyType if not (self.authorities / kind / "issued.json").exists()}
        wanted = [(card, KeyType.SM2) for card in CARDS] + [(CARDS[0], kind) for kind in OTHER_KEYS]
        for card, kind in wanted:
            out = self.home if kind is KeyType.SM2 else self.home / kind
            if (out / f"{card.number}.json").exists() and kind not in orphaned:
                continue
            holder = replace(holders[card.username], card_no=card.number)
            made = make_card(
                out=out, authorities=self.authorities, key_type=kind, holder=holder, pin=DEMO_PIN, url=url, iterations=DEMO_ITERATIONS
            )
            if (card, kind) == wanted[0]:
                _link(self.reader, made.path)
        (self.anchors / "intermediate").mkdir(parents=True, exist_ok=True)
        self.lists.mkdir(parents=True, exist_ok=True)
        for kind in KeyType:
            authority = Authority.load(self.authorities / kind)
            authority.write_crl()
            _link(self.anchors / f"{kind}.pem", authority.home / "root.pem")
            _link(self.anchors / "intermediate" / f"{kind}.pem", authority.home / "ca.pem")
            # So that revocation is known, too, where a later start does not get the port that the certificates name.
            _link(self.lists / f"{kind}.crl", authority.home / "ca.crl")

    def cards(self) -> dict[str, CardFile]:
        """Every card by its name: NUMBER, or KEY_TYPE/NUMBER."""
        found = {}
        for path in [*sorted(self.home.glob("*.json")), *sorted(self.home.glob("*/*.json"))]:
            if path != self.reader:
                with contextlib.suppress(OSError, ValueError):
                    found[path.relative_to(self.home).with_suffix("").as_posix()] = CardFile.load(path)
        return found

    def in_reader(self) -> str | None:
        """The name of the card in the software reader, or the path of a file that is none of ours; None without one."""
        if not self.reader.exists():
            return None
        inside = self.reader.resolve()
        return next((name for name, card in self.cards().items() if card.path.resolve() == inside), str(inside))

    def put(self, name: str) -> None:
        """Put a card into the software reader, in place of the one that is there; `none` takes that out. Raises DevServerError."""
        if name == NO_CARD:
            self.reader.unlink(missing_ok=True)
            return
        cards = self.cards()
        if not cards:
            raise DevServerError(f"There are no cards in {self.home}: make run makes them.")
        if name not in cards:
            raise DevServerError(f"There is no card {name} in {self.home}, only {', '.join(cards)}.")
        _link(self.reader, cards[name].path)

    @contextlib.contextmanager
    def authority_answering(self, port: int) -> Iterator[None]:
        """CRL and OCSP at `port` while it lasts, ahead of the process that answers later."""
        server = web.server({kind.value: self.authorities / kind for kind in KeyType}, host=HOST, port=port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class OpenCard:
    """A card whose PIN has been given: signs as the card bridge does, without asking again."""

    def __init__(self, card: CardFile) -> None:
        self.certificate = base64.b64encode(card.certificate).decode()
        self._key: Key = card.open(DEMO_PIN).signing

    def sign(self, text: str) -> str:
        """The signature over a text in base64; r‖s for SM2."""
        signature = self._key.sign(text.encode())
        if self._key.key_type is KeyType.SM2:
            signature = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))
        return base64.b64encode(signature).decode()


def command(directory: Path, name: str = "") -> int:
    """`python -m devserver card [NUMBER|none]`: say what is in the software reader, after a change where one is asked for. Gives 0.

    Raises DevServerError.
    """
    box = CardBox(directory)
    if name:
        box.put(name)
    current = box.in_reader()
    for known, card in box.cards().items():
        holder = x509.Certificate.load(card.certificate).subject.native["common_name"]
        print(f"{'in the reader' if known == current else '':<13}  {known:<21}  {holder}")
    if current is None:
        print("No card is in the reader.")
    return 0


def _link(path: Path, target: Path) -> None:
    """`path` leads to `target` from now on; whoever looks meanwhile finds the old or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(os.path.relpath(target, path.parent))
    beside.replace(path)
