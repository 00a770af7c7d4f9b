"""`python -m devserver.prepare`: bring database and static files up to date, in one process that loads Django once.

The environment says which database. Each step asks first whether there is anything to do.
"""

import io
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from devserver.announce import ACCOUNTS
from devserver.cards import CARDS, CardBox, OpenCard
from devserver.stamps import Stamp, fingerprint
from simulators.cards.certificates import Holder

if TYPE_CHECKING:
    from portal.demo import Signer

ROOT = Path(__file__).resolve().parent.parent


def migrate() -> None:
    """Apply the migrations that the database does not have yet."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        say("Migrating the database")
        quietly("migrate", interactive=False)


def make_cards() -> CardBox:
    """The demo's cards, those that are not there yet; whom they name, the demo data say."""
    from portal import demo

    holders = {
        user.username: Holder(
            name=user.full_name,
            id_no=user.id_no,
            enterprise_name=user.enterprise.name,
            organisation_code=user.enterprise.credit_code[8:17],
            card_no="",
        )
        for user in demo.USERS
        if user.enterprise
    }
    box = CardBox(Path(settings.VAR_DIR))
    box.make(holders, authority_port=authority_port())
    return box


def authority_port() -> int:
    """Where the test authority of this start answers."""
    return int(os.environ["CARD_AUTHORITY_PORT"])


def signer(cards: CardBox) -> "Signer":
    """Signs with the demo's cards, each opened once: its PIN takes a tenth of a second."""
    from accounts.services.card_signing import Presented

    @cache
    def opened(username: str) -> OpenCard:
        return OpenCard(cards.cards()[next(card.number for card in CARDS if card.username == username)])

    def sign(username: str, text: str) -> Presented:
        card = opened(username)
        return Presented(certificate=card.certificate, signature=card.sign(text))

    return sign


def seed(cards: CardBox) -> None:
    """Load the shipped code tables and the demo data; again only when the code or the tables behind them have changed.

    The stamp lies beside the database's files and goes with them. That a database was emptied by hand shows in the accounts.
    """
    stamp = Stamp(Path(settings.VAR_DIR) / "postgres" / "seeded.stamp")
    rooms = sorted({ROOT / app.label for app in apps.get_app_configs() if Path(app.path).parent == ROOT})
    sources = [file for room in rooms for file in sorted(room.rglob("*")) if file.suffix != ".pyc"]
    current = fingerprint([file for file in sources if file.is_file()])
    names = [name for name, _ in ACCOUNTS]
    if stamp.matches(current) and get_user_model()._base_manager.filter(username__in=names).count() == len(names):
        return
    stamp.remove()
    say("Loading code tables and demo data")
    quietly("seed_reference")
    # Whether the cards are revoked is asked of the authority, which runs with the portal only.
    with cards.authority_answering(authority_port()):
        quietly("seed_demo", sign=signer(cards))
    stamp.write(current)


def collect_static() -> None:
    """Gather, name by content and compress the static files; again only when one of them has changed."""
    stamp = Stamp(Path(settings.VAR_DIR) / "run" / "static.stamp")
    found = [Path(storage.path(name)) for finder in get_finders() for name, storage in finder.list([])]
    current = fingerprint(sorted(found), django.__version__, settings.STORAGES["staticfiles"]["BACKEND"])
    if stamp.matches(current) and (Path(settings.STATIC_ROOT) / "staticfiles.json").exists():
        return
    stamp.remove()
    say("Collecting the static files")
    quietly("collectstatic", interactive=False, clear=True)
    stamp.write(current)


def quietly(command: str, **options: object) -> None:
    """Run a management command without what it tells on its way. Raises CommandError with what went wrong."""
    call_command(command, verbosity=0, stdout=io.StringIO(), **options)


def say(what: str) -> None:
    """One line for the person at the terminal."""
    print(what, flush=True)


def main() -> int:
    """Do what is to be done; gives the exit status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    try:
        quietly("check")
        migrate()
        seed(make_cards())
        collect_static()
    except CommandError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
