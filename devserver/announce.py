"""`python -m devserver.announce URL PASSWORD`: say that the portal is up, once it is. The rest is in the environment of the processes."""

import os
import shlex
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from devserver.cards import CARDS, DEMO_PIN, CardBox

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 120
ACCOUNTS = (
    ("demo_admin", "大连示范国际货运代理有限公司, administrator"),
    ("demo_operator", "大连示范国际货运代理有限公司, operator"),
    ("other_operator", "another enterprise, operator"),
    ("demo_terminal", "a terminal at 大窑湾"),
    ("demo_customs", "customs"),
    ("demo_ccpit", "CCPIT"),
    ("demo_staff", "the platform's own staff"),
)


def is_up(url: str) -> bool:
    """Whether the portal at `url` says that it and what it stands on are ready."""
    # Without the machine's proxy settings, which need not know that loopback is here.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def box(url: str, password: str, environment: Mapping[str, str]) -> str:
    """What a person needs to begin, in a frame."""
    directory = Path(environment["VAR_DIR"])
    lines = [f"The portal is ready: {url}/", "", f"Log in with one of these (password {password}):"]
    lines += [f"  {name:<15} {who}" for name, who in ACCOUNTS]
    lines += ["", *_cards(directory, environment)]
    lines += ["", f"Read SMS codes at http://127.0.0.1:{environment['SMS_SIMULATOR_PORT']}/"]
    lines += [f"The standard edition and its accounts: {environment['STANDARD_EDITION_ISSUER']}/"]
    lines += [f"Read e-mails in {directory / 'mail'}"]
    lines += ["", "Ctrl-C stops everything; the data stay for the next start."]
    rule = "=" * 72
    return "\n".join(["", rule, *(f"  {line}".rstrip() for line in lines), rule, ""])


def _cards(directory: Path, environment: Mapping[str, str]) -> list[str]:
    """Which cards pages can use."""
    if environment["CARD_BACKEND"] == "pcsc":
        return [f"Cards in this computer's readers, used by pages through {environment['CARD_BRIDGE_URL']}"]
    lines = [f"Cards (PIN {DEMO_PIN}), used by pages through {environment['CARD_BRIDGE_URL']}:"]
    in_reader = CardBox(directory).in_reader()
    lines += [f"  {card.number}   {card.remark}{' <- in the reader' if card.number == in_reader else ''}" for card in CARDS]
    if in_reader not in {card.number for card in CARDS}:
        lines += [f"  in the reader: {in_reader or 'none'}"]
    elsewhere = "" if directory == ROOT / "var" else f" VAR_DIR={shlex.quote(str(directory))}"
    return [*lines, f"Another card into the reader: make card{elsewhere} NO={CARDS[1].number} (NO=none takes it out)"]


def main() -> int:
    """Wait for the portal and print the box; says so when it does not come. Ends when its parent does."""
    url, password = sys.argv[1:]
    parent, until = os.getppid(), time.monotonic() + WAIT_SECONDS
    while os.getppid() == parent:
        if is_up(url):
            print(box(url, password, os.environ), flush=True)
            return 0
        if time.monotonic() > until:
            print(f"\nThe portal does not answer at {url}/readyz. The lines above should say why.\n", flush=True)
            return 1
        time.sleep(0.2)
    return 1


if __name__ == "__main__":
    sys.exit(main())
