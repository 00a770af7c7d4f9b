"""Where CRLs and OCSP answers come from: files, copies in the database, the addresses in certificates; nothing inside a transaction."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.cache import cache
from django.db import transaction
from pytest_django import Settings as PortalSettings

from accounts.models import RevocationListCopy
from accounts.signatures import cards, sources
from accounts.signatures.refusals import RevocationListTooOldError, RevocationUnknownError, RevokedError
from accounts.tasks import refresh_revocation_lists
from simulators.cards.keys import KeyType
from tests.cards import Authorities, Card

TEXT = b"text"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Authorities]:
    """Authorities whose CRL and OCSP are answered for."""
    authorities = Authorities(tmp_path / "authorities")
    with authorities.serving():
        yield authorities


@pytest.fixture
def trusted(served: Authorities, tmp_path: Path, settings: PortalSettings) -> PortalSettings:
    settings.CARD_TRUST_ANCHORS = served.trust(tmp_path / "anchors", KeyType.SM2)
    settings.CARD_CRL_DIR = tmp_path / "crl"
    settings.CARD_CRL_DIR.mkdir()
    settings.CARD_CRL_GRACE_SECONDS = 0
    return settings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were asked."""
    urls: list[str] = []
    request = requests.request

    def noted(method: str, url: str, **options: Any) -> requests.Response:
        urls.append(f"{method} {url.rsplit('/', 1)[1]}")
        return request(method, url, **options)

    monkeypatch.setattr(requests, "request", noted)
    return urls


@contextmanager
def dripping() -> Iterator[str]:
    """An address that answers a byte every tenth of a second, for ten seconds."""
    ended = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            with suppress(OSError):
                for _byte in range(100):
                    self.wfile.write(b"0")
                    if ended.wait(0.1):
                        return

        def log_message(self, *_said: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


def verify(card: Card) -> cards.Verified:
    return cards.verify(certificate=card.as_text, data=TEXT, signature=card.sign(TEXT), at=datetime.now(UTC))


def answer_of(card: Card) -> sources.Answer:
    found = verify(card).revocation
    assert found is not None
    return found


@pytest.mark.django_db
class TestOcsp:
    def test_good_and_revoked(self, served: Authorities, trusted: PortalSettings, asked: list[str]) -> None:
        card = served.card()
        assert answer_of(card).method == "ocsp"
        card.authority.revoke(card.serial)
        with pytest.raises(RevokedError):
            verify(card)
        assert asked == ["POST ocsp"] * 2

    def test_where_ocsp_fails_the_list_is_asked(
        self, served: Authorities, trusted: PortalSettings, asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        card = served.card()
        monkeypatch.setattr("simulators.cards.authority.Authority.answer_ocsp", lambda *_args, **_options: b"no answer")
        assert answer_of(card).method == "crl"
        card.authority.revoke(card.serial)
        RevocationListCopy.objects.all().delete()
        with pytest.raises(RevokedError):
            verify(card)

    def test_a_stranger_makes_nobody_call(self, served: Authorities, trusted: PortalSettings, asked: list[str], tmp_path: Path) -> None:
        """The addresses in a certificate are followed only when an anchor vouches for it."""
        from accounts.signatures.refusals import UnknownIssuerError

        stranger = Authorities(tmp_path / "stranger", served.url).card()
        with pytest.raises(UnknownIssuerError):
            verify(stranger)
        assert asked == []


@pytest.mark.django_db
class TestLists:
    @pytest.fixture(autouse=True)
    def _lists_only(self, trusted: PortalSettings) -> None:
        trusted.CARD_REVOCATION = ["crl"]

    def test_one_fetch_serves_many(self, served: Authorities, asked: list[str]) -> None:
        first, second = served.card(), served.card()
        assert answer_of(first).source.endswith("/sm2/crl")
        verify(second)
        assert asked == ["GET crl"]
        assert RevocationListCopy.objects.count() == 1

    def test_a_copy_is_looked_for_anew_after_a_while(self, served: Authorities, asked: list[str]) -> None:
        card = served.card()
        verify(card)
        card.authority.revoke(card.serial)
        verify(card)  # the copy does not know yet
        RevocationListCopy.objects.update(fetched_at=datetime.now(UTC) - timedelta(hours=2))
        with pytest.raises(RevokedError):
            verify(card)
        assert asked == ["GET crl"] * 2

    def test_the_worker_fetches_anew(self, served: Authorities, asked: list[str]) -> None:
        card = served.card()
        verify(card)
        refresh_revocation_lists()
        assert asked == ["GET crl"]
        RevocationListCopy.objects.update(fetched_at=datetime.now(UTC) - timedelta(minutes=50))
        card.authority.revoke(card.serial)
        refresh_revocation_lists()
        with pytest.raises(RevokedError):
            verify(card)
        assert asked == ["GET crl"] * 2

    def test_an_address_that_gives_nothing_any_more_is_forgotten(self, served: Authorities, asked: list[str]) -> None:
        verify(served.card())
        RevocationListCopy.objects.update(fetched_at=datetime.now(UTC) - timedelta(days=31))
        refresh_revocation_lists()
        assert not RevocationListCopy.objects.exists()
        assert asked == ["GET crl"]

    def test_an_authority_that_is_away(self, served: Authorities, trusted: PortalSettings, asked: list[str], tmp_path: Path) -> None:
        """The copy serves as long as it may; then nobody gets in; the address is not asked again and again."""
        card = served.card()
        verify(card)
        (card.authority.home / "ca.crl").write_text("<html>maintenance</html>")
        RevocationListCopy.objects.update(fetched_at=datetime.now(UTC) - timedelta(hours=2))
        assert answer_of(card)
        old = card.authority.write_crl(now=datetime.now(UTC) - timedelta(days=8), days=7)
        RevocationListCopy.objects.update(
            der=old, this_update=datetime.now(UTC) - timedelta(days=8), next_update=datetime.now(UTC) - timedelta(days=1)
        )
        RevocationListCopy.objects.update(fetched_at=datetime.now(UTC) - timedelta(hours=3))
        with pytest.raises(RevocationListTooOldError):
            verify(card)
        trusted.CARD_CRL_GRACE_SECONDS = 2 * 86400
        assert answer_of(card)

    def test_an_address_that_fails_is_left_alone_for_a_while(self, tmp_path: Path, trusted: PortalSettings, asked: list[str]) -> None:
        lonely = Authorities(tmp_path / "lonely", url="http://127.0.0.1:1")
        trusted.CARD_TRUST_ANCHORS = lonely.trust(tmp_path / "lonely-anchors", KeyType.SM2)
        card = lonely.card()
        for _round in range(3):
            with pytest.raises(RevocationUnknownError, match=r"稍后再试|几分钟后再试"):
                verify(card)
        assert asked == ["GET crl"]
        cache.clear()
        with pytest.raises(RevocationUnknownError):
            verify(card)
        assert asked == ["GET crl"] * 2

    def test_the_operators_files(self, tmp_path: Path, trusted: PortalSettings, asked: list[str]) -> None:
        lonely = Authorities(tmp_path / "lonely", url="http://127.0.0.1:1")
        trusted.CARD_TRUST_ANCHORS = lonely.trust(tmp_path / "lonely-anchors", KeyType.SM2)
        card = lonely.card()
        target = trusted.CARD_CRL_DIR / "sm2.crl"
        target.write_bytes(card.authority.write_crl())
        (trusted.CARD_CRL_DIR / "notes.pem").write_text("not a list")
        assert answer_of(card).source == "sm2.crl"
        card.authority.revoke(card.serial)
        target.write_bytes((card.authority.home / "ca.crl").read_bytes())
        with pytest.raises(RevokedError):
            verify(card)

    def test_an_older_list_never_takes_the_place_of_a_newer(self, served: Authorities) -> None:
        card = served.card()
        card.authority.write_crl()
        verify(card)
        newest = RevocationListCopy.objects.get().this_update
        card.authority.write_crl(now=datetime.now(UTC) - timedelta(days=1))
        RevocationListCopy.objects.update(fetched_at=datetime.now(UTC) - timedelta(hours=2))
        assert answer_of(card).this_update == newest
        refresh_revocation_lists()
        assert RevocationListCopy.objects.get().this_update == newest

    def test_an_address_that_drips_is_given_up(self, tmp_path: Path, trusted: PortalSettings) -> None:
        """A byte now and then keeps every single wait short: who logs in does not wait for the whole of it."""
        trusted.CARD_REVOCATION_TIMEOUT_SECONDS = 0.25
        with dripping() as url:
            slow = Authorities(tmp_path / "slow", url=url)
            trusted.CARD_TRUST_ANCHORS = slow.trust(tmp_path / "slow-anchors", KeyType.SM2)
            began = time.monotonic()
            with pytest.raises(RevocationUnknownError):
                verify(slow.card())
            assert time.monotonic() - began < 5

    def test_redis_away_keeps_nobody_out(self, served: Authorities, trusted: PortalSettings, asked: list[str]) -> None:
        """What failed is remembered there, and nothing more."""
        trusted.CACHES = {"default": {**trusted.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
        assert answer_of(served.card())
        (served.of(KeyType.SM2).home / "ca.crl").write_text("<html>maintenance</html>")
        RevocationListCopy.objects.all().delete()
        with pytest.raises(RevocationUnknownError):
            verify(served.card())

    def test_a_list_larger_than_any(self, served: Authorities, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sources, "LARGEST_LIST", 100)
        with pytest.raises(RevocationUnknownError):
            verify(served.card())


@pytest.mark.django_db(transaction=True)
def test_nothing_is_asked_inside_a_transaction(served: Authorities, trusted: PortalSettings, asked: list[str]) -> None:
    card = served.card()
    with transaction.atomic(), pytest.raises(RuntimeError):
        verify(card)
    assert asked == []
    assert answer_of(card)
