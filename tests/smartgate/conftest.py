"""Fixtures of the smart gate's tests."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from simulators.cards.keys import KeyType
from tests.accounts.conftest import publish_list
from tests.cards import Authorities


@pytest.fixture(autouse=True)
def _exchange(tmp_path: Path, settings: Any) -> None:
    """A directory exchange of the test's own."""
    settings.EXCHANGE_ROOT = tmp_path / "exchange"


@pytest.fixture(autouse=True)
def _no_cards(settings: Any) -> None:
    """Declared without a card, where the card is not what is tested."""
    settings.CARD_REQUIRED = False


@pytest.fixture(autouse=True)
def _code_tables(db: None) -> None:
    """The code tables that the product ships."""
    call_command("seed_reference", verbosity=0)


@pytest.fixture(scope="session")
def card_authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """One authority of each key type."""
    return Authorities(tmp_path_factory.mktemp("card-authorities"))


@pytest.fixture
def cards_required(card_authorities: Authorities, tmp_path: Path, settings: Any, _no_cards: None) -> Authorities:
    """Declaring demands a card of these authorities; a CRL in a file says who is revoked."""
    settings.CARD_REQUIRED = True
    settings.CARD_TRUST_ANCHORS = card_authorities.trust(tmp_path / "anchors")
    settings.CARD_CRL_DIR = tmp_path / "crl"
    settings.CARD_REVOCATION = ["crl"]
    settings.CARD_CRL_DIR.mkdir()
    for kind in KeyType:
        publish_list(card_authorities, settings.CARD_CRL_DIR, kind)
    return card_authorities
