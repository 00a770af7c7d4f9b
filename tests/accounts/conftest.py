"""What tests of the account pages share beside tests/conftest.py: authorities whose cards the portal trusts."""

from pathlib import Path
from typing import Any

import pytest

from simulators.cards.keys import KeyType
from tests.cards import Authorities


@pytest.fixture(scope="session")
def card_authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """One authority of each key type; nobody serves their CRLs."""
    return Authorities(tmp_path_factory.mktemp("card-authorities"))


@pytest.fixture
def trusted_cards(card_authorities: Authorities, tmp_path: Path, settings: Any) -> Authorities:
    """The portal trusts them, and knows who is revoked from a CRL in a file (`publish_list` brings the newest)."""
    settings.CARD_TRUST_ANCHORS = card_authorities.trust(tmp_path / "anchors", KeyType.SM2, KeyType.P256)
    settings.CARD_CRL_DIR = tmp_path / "crl"
    settings.CARD_REVOCATION = ["crl"]
    settings.CARD_CRL_DIR.mkdir()
    for kind in (KeyType.SM2, KeyType.P256):
        publish_list(card_authorities, settings.CARD_CRL_DIR, kind)
    return card_authorities


def publish_list(authorities: Authorities, directory: Path, kind: KeyType) -> None:
    """What a job of the operator's does: the authority's newest CRL as a file."""
    target = directory / f"{kind.value}.crl"
    target.unlink(missing_ok=True)
    target.write_bytes((authorities.of(kind).home / "ca.crl").read_bytes())
