"""`python -m tests.chaos.world`: the database of a chaos run: tables, code tables, enterprises, the clients' accounts and their cards."""

import shutil
from pathlib import Path

import django

django.setup()

from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from accounts.models import CardPurpose, Enterprise, User
from accounts.rights import ApplicationKey, Role
from accounts.services import bound_cards, card_challenges
from accounts.services.card_signing import Presented
from devserver.cards import OpenCard
from simulators.cards.__main__ import make_card
from simulators.cards.authority import Authority
from simulators.cards.cardfile import CardFile
from simulators.cards.certificates import Holder
from simulators.cards.keys import KeyType
from tests.chaos.clients import CLIENTS, USERNAMES, card_of
from tests.factories import credit_code, identity_number


def main() -> None:
    """Make everything; the database is empty."""
    call_command("migrate", verbosity=0, interactive=False)
    call_command("seed_reference", verbosity=0)
    for number in range(CLIENTS):
        code = credit_code(number + 1)
        enterprise = Enterprise.objects.create(
            name=f"大连混沌测试{number + 1}有限公司", credit_code=code, organisation_code=code[8:17], applications=ApplicationKey.values
        )
        user = User.objects.create_user(
            USERNAMES[number],
            password=settings.DEMO_PASSWORD,
            full_name=f"测试{number + 1}",
            role=Role.OPERATOR,
            enterprise=enterprise,
            applications=ApplicationKey.values,
            first_login_verified_at=timezone.now(),
        )
        bind(user, card_no=f"21000000010{number:02d}")


def bind(user: User, *, card_no: str) -> None:
    """Make a card for this user, and bind it by what it signs."""
    enterprise = user.enterprise
    assert enterprise is not None
    path = card_of(Path(settings.VAR_DIR), user.username)
    authorities = path.parent.parent / "authority"
    holder = Holder(user.full_name, identity_number(user.pk), enterprise.name, enterprise.organisation_code, card_no)
    made = make_card(out=path.parent, authorities=authorities, key_type=KeyType.SM2, holder=holder)
    made.path.rename(path)
    trust(Authority.load(authorities / KeyType.SM2))
    card = OpenCard(CardFile.load(path))
    challenge = card_challenges.issue(purpose=CardPurpose.BIND, bound_to=user.username)
    presented = Presented(card.certificate, card.sign(challenge))
    bound_cards.bind(actor=user, proof=bound_cards.prove(actor=user, challenge=challenge, bound_to=user.username, presented=presented))


def trust(authority: Authority) -> None:
    """What its cards sign counts from here on."""
    anchors, lists = settings.CARD_TRUST_ANCHORS, settings.CARD_CRL_DIR
    for directory in (anchors / "intermediate", lists):
        directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(authority.home / "root.pem", anchors / "root.pem")
    shutil.copy(authority.home / "ca.pem", anchors / "intermediate" / "ca.pem")
    shutil.copy(authority.home / "ca.crl", lists / "ca.crl")


if __name__ == "__main__":
    main()
