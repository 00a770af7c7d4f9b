"""Fixtures of the smart gate's tests."""

from pathlib import Path

import pytest
from django.core.management import call_command


@pytest.fixture(autouse=True)
def _exchange(tmp_path: Path, settings: pytest.FixtureRequest) -> None:
    """A directory exchange of the test's own."""
    settings.EXCHANGE_ROOT = tmp_path / "exchange"


@pytest.fixture(autouse=True)
def _code_tables(db: None) -> None:
    """The code tables that the product ships."""
    call_command("seed_reference", verbosity=0)
