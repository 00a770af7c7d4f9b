"""pytest plugin (`-p devserver.testing`): a real PostgreSQL and a real Redis for the tests, made in a third of a second.

Started once, before Django reads its settings; the workers of pytest-xdist inherit the addresses. Whoever sets DATABASE_URL
and REDIS_URL gets those instead.
"""

import contextlib
import os
from collections.abc import Generator

import pytest

from devserver import services

_running = contextlib.ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    """Set the mode and start the servers ahead of pytest-django, which imports the settings in this hook, before any conftest."""
    os.environ.setdefault("PORTAL_MODE", "test")
    os.environ.setdefault("CAPTCHA_TEST_MODE", "1")
    if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
        os.environ.update(_running.enter_context(services.ephemeral()).environment())
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        # A database of PostgreSQL each comes from pytest-django; without one of Redis each, they would clear each other's cache.
        number = int(worker.removeprefix("gw")) % 15 + 1
        os.environ["REDIS_URL"] = os.environ["REDIS_URL"].replace("db=0", f"db={number}")
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Stop the servers, after pytest-django has dropped its database."""
    _running.close()
