"""Evidence in the database: it can only grow; `manage.py verify_signature` finds it and what is wrong with it; lists load no CRLs."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings as PortalSettings

from accounts.models import RevocationProof, SignatureEvidence, User
from accounts.services import evidence
from accounts.signatures import revocation, stored
from accounts.signatures.revocation import Answer, Method
from simulators.cards.keys import KeyType
from tests.accounts.signing import TEXT, THEN, TRIP_NO, Signing, card_of_then, chain_of
from tests.cards import HOLDER, Authorities, Card

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture
def sign(operator: User, authorities: Authorities) -> Signing:
    return Signing(operator, authorities)


@pytest.fixture(autouse=True)
def trusted(authorities: Authorities, tmp_path: Path, settings: PortalSettings) -> PortalSettings:
    settings.CARD_TRUST_ANCHORS = authorities.trust(tmp_path / "anchors")
    settings.CARD_REVOCATION = ["ocsp", "crl"]
    settings.CARD_CRL_GRACE_SECONDS = 0
    return settings


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command prints; raises CommandError where it exits 1."""

    def run(*words: str) -> str:
        call_command("verify_signature", *words)
        return capsys.readouterr().out

    return run


@pytest.fixture
def refuses(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command prints before it exits 1, and why it did."""

    def run(*words: str) -> str:
        with pytest.raises(CommandError) as failed:
            call_command("verify_signature", *words)
        assert failed.value.returncode == 1
        return f"{capsys.readouterr().out}{failed.value}"

    return run


def tampered(statement: str, *values: Any) -> None:
    """As somebody does who may set the triggers aside."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement, values)
        assert cursor.rowcount > 0
        cursor.execute("SET session_replication_role = origin")


@pytest.mark.covers("CARD-07")
@pytest.mark.parametrize("table", ["accounts_signatureevidence", "accounts_revocationproof"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_the_database_refuses_every_change(sign: Signing, authorities: Authorities, table: str, statement: str) -> None:
    kept = sign(card_of_then(authorities))
    column = "source" if table.endswith("proof") else "text"
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table, column))
    assert SignatureEvidence.unscoped.get().text == TEXT
    assert RevocationProof.objects.get().source == kept.revocation.source


class TestFiling:
    """--filing"""

    @pytest.mark.covers("CARD-07", "CARD-08")
    @pytest.mark.parametrize("kind", KeyType)
    @pytest.mark.parametrize("method", Method)
    def test_every_version_holds(
        self, sign: Signing, authorities: Authorities, says: Callable[..., str], kind: KeyType, method: Method
    ) -> None:
        card = card_of_then(authorities, kind)
        first, second = sign(card, method=method), sign(card, method=method, text=TEXT + "改正\n", at=THEN + timedelta(hours=3))
        sign(card, document_no="another")
        said = says("--filing", TRIP_NO)
        assert said.count(": holds") == 2
        assert f"version 1, evidence {first.pk}: holds" in said
        assert f"version 2, evidence {second.pk}: holds" in said
        assert f"signature: good, {first.algorithm}" in said
        assert f"signed by: {HOLDER.name}, {HOLDER.enterprise_name}" in said
        assert f"valid at: {THEN.isoformat(timespec='seconds')}" in said
        assert f"not revoked: {method} of " in said
        assert "改正" not in said
        assert HOLDER.id_no not in said

    def test_the_text(self, sign: Signing, authorities: Authorities, says: Callable[..., str]) -> None:
        sign(card_of_then(authorities))
        assert TEXT in says("--filing", TRIP_NO, "--text")
        line = json.loads(says("--filing", TRIP_NO, "--text", "--json"))
        assert line["text"] == TEXT

    def test_none_is_no_good_evidence(self, refuses: Callable[..., str]) -> None:
        assert refuses("--filing", TRIP_NO) == "There is no evidence."
        assert refuses("--all").endswith("There is no evidence.")

    @pytest.mark.parametrize(
        ("statement", "code"),
        [
            ("UPDATE accounts_signatureevidence SET text = text || ' '", "wrong_signature"),
            ("UPDATE accounts_signatureevidence SET signature = 'none'", "wrong_signature"),
            ("UPDATE accounts_signatureevidence SET algorithm = 'RSA-SHA256'", "evidence_altered"),
            ("UPDATE accounts_signatureevidence SET card_no = '2100000000002'", "evidence_altered"),
            ("UPDATE accounts_signatureevidence SET holder_name = '王操作'", "evidence_altered"),
            ("UPDATE accounts_signatureevidence SET certificate_no = '1A2B'", "evidence_altered"),
            ("UPDATE accounts_signatureevidence SET chain = chain[1:1]", "chain_broken"),
            ("UPDATE accounts_signatureevidence SET chain = ARRAY['none'::bytea]", "malformed_certificate"),
            ("UPDATE accounts_signatureevidence SET revocation_id = NULL", "revocation_answer_missing"),
            ("UPDATE accounts_signatureevidence SET signed_at = signed_at - interval '10 years'", "not_yet_valid"),
            ("UPDATE accounts_signatureevidence SET signed_at = signed_at + interval '10 years'", "expired"),
            ("UPDATE accounts_revocationproof SET der = der || 'x'", "evidence_altered"),
            ("UPDATE accounts_revocationproof SET this_update = this_update + interval '1 hour'", "evidence_altered"),
        ],
    )
    @pytest.mark.covers("CARD-07")
    def test_every_lie(self, sign: Signing, authorities: Authorities, refuses: Callable[..., str], statement: str, code: str) -> None:
        sign(card_of_then(authorities))
        tampered(statement)
        said = refuses("--filing", TRIP_NO)
        assert f"DOES NOT HOLD: {code}:" in said
        assert said.endswith("1 of 1 signatures do not hold.")

    @pytest.mark.covers("CARD-07")
    def test_the_signature_of_another_document(self, sign: Signing, authorities: Authorities, refuses: Callable[..., str]) -> None:
        sign(card_of_then(authorities), document_no="202311210000000012026000000009")
        tampered("UPDATE accounts_signatureevidence SET document_no = %s", TRIP_NO)
        assert "DOES NOT HOLD: evidence_altered:" in refuses("--filing", TRIP_NO)

    def test_one_of_two(self, sign: Signing, authorities: Authorities, refuses: Callable[..., str]) -> None:
        card = card_of_then(authorities)
        sign(card)
        bad = sign(card)
        tampered("UPDATE accounts_signatureevidence SET text = 'x' WHERE id = %s", bad.pk)
        *lines, error = refuses("--filing", TRIP_NO, "--json").splitlines()
        good, refused = map(json.loads, lines)
        assert error.startswith("1 of 2")
        assert (good["holds"], good["code"], good["signed_at"]) == (True, None, THEN.isoformat())
        assert (refused["holds"], refused["code"], refused["evidence"]) == (False, "wrong_signature", bad.pk)
        assert good["text_sha256"] != refused["text_sha256"]

    def test_an_anchor_that_is_trusted_no_more(
        self, sign: Signing, says: Callable[..., str], refuses: Callable[..., str], trusted: PortalSettings, tmp_path: Path
    ) -> None:
        authorities = sign.authorities
        sign(card_of_then(authorities))
        trusted.CARD_TRUST_ANCHORS = tmp_path / "absent"
        assert "anchor_not_trusted" in refuses("--filing", TRIP_NO)
        root = authorities.of(KeyType.SM2).home / "root.pem"
        assert "holds" in says("--filing", TRIP_NO, "--anchor", str(root))
        assert "chain: not looked at" in says("--filing", TRIP_NO, "--no-chain")
        (tmp_path / "none.pem").write_text("none")
        for path, text in (("none.pem", "malformed_certificate"), ("absent.pem", "No such file")):
            assert text in refuses("--filing", TRIP_NO, "--anchor", str(tmp_path / path))

    def test_export(self, sign: Signing, authorities: Authorities, says: Callable[..., str], tmp_path: Path) -> None:
        kept = sign(card_of_then(authorities))
        into = tmp_path / "out" / f"version-1-evidence-{kept.pk}"
        assert f"exported: {into}" in says("--filing", TRIP_NO, "--export", str(tmp_path / "out"))
        assert {path.name: path.read_bytes() for path in into.iterdir()} == evidence.files(kept)
        with pytest.raises(CommandError, match="File exists"):
            says("--filing", TRIP_NO, "--export", str(tmp_path / "out"))


class TestAll:
    """--all"""

    @pytest.mark.covers("CARD-07")
    def test_a_summary_and_what_does_not_hold(
        self, sign: Signing, authorities: Authorities, says: Callable[..., str], refuses: Callable[..., str]
    ) -> None:
        card = card_of_then(authorities)
        kept = [sign(card, document_no=f"N{number}") for number in range(3)]
        assert says("--all").strip() == "examined 3, good 3, refused 0"
        tampered("UPDATE accounts_signatureevidence SET text = 'x' WHERE id = %s", kept[1].pk)
        *lines, error = refuses("--all").splitlines()
        assert error.startswith("1 of 3")
        assert lines[0].startswith("N1, ")
        assert "DOES NOT HOLD: wrong_signature" in lines[0]
        assert lines[-1] == "examined 3, good 2, refused 1"
        assert json.loads(refuses("--all", "--json").splitlines()[-2]) == {"examined": 3, "good": 2, "refused": 1}

    def test_since(self, sign: Signing, authorities: Authorities, says: Callable[..., str]) -> None:
        card = card_of_then(authorities)
        sign(card)
        sign(card, at=THEN + timedelta(days=2))
        assert "examined 1," in says("--all", "--since", "2023-11-22")
        with pytest.raises(CommandError, match="no evidence"):
            says("--all", "--since", "2024-01-01")

    def test_a_list_is_read_once_for_all_that_it_speaks_of(
        self, sign: Signing, authorities: Authorities, says: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Memory and time are those of the rows, not of a list of megabytes for each of them."""
        kept = sign(card_of_then(authorities))
        for _ in range(4):
            other = sign(card_of_then(authorities), method=None)
            tampered("UPDATE accounts_signatureevidence SET revocation_id = %s WHERE id = %s", kept.revocation_id, other.pk)
        stored._list.cache_clear()
        with CaptureQueriesContext(connection) as queries:
            says("--all")
        assert sum("accounts_revocationproof" in query["sql"] for query in queries) == 1
        assert stored._list.cache_info().misses == 1


class TestOptions:
    @pytest.mark.parametrize(
        "words",
        [
            [],
            ["--filing", "1", "--all"],
            ["--filing", "1", "--signature", "AAAA"],
            ["--filing", "1", "--since", "2026-01-01"],
            ["--filing", "1", "--at", "2026-01-01"],
            ["--all", "--export", "/tmp/x"],
            ["--all", "--text"],
            ["--certificate", "x"],
            ["--certificate", "x", "--data", "y", "--signature", "AAAA", "--json"],
            ["--certificate", "x", "--data", "y", "--signature", "AAAA", "--anchor", "z"],
        ],
    )
    def test_what_does_not_go_together(self, says: Callable[..., str], words: list[str]) -> None:
        with pytest.raises(CommandError, match=r"go together|does not go|One of"):
            says(*words)


def test_lists_of_megabytes_are_read_for_the_export_only(sign: Signing, authorities: Authorities) -> None:
    card = card_of_then(authorities, KeyType.P256)
    answer = large_answer(card)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(2):
            sign(card, answer=answer)
    assert RevocationProof.objects.count() == 1
    assert [query["sql"] for query in queries if query["sql"].startswith("SELECT") and '"der"' in query["sql"]] == []
    with CaptureQueriesContext(connection) as queries:
        found = list(evidence.of_document(TRIP_NO))
        assert [one.card_no for one in found] == [HOLDER.card_no] * 2
    assert len(queries) == 1
    assert "accounts_revocationproof" not in queries[0]["sql"]
    with CaptureQueriesContext(connection) as queries:
        assert len(evidence.files(found[0])["revocation.crl"]) > 1_000_000
    assert len(queries) == 1


def large_answer(card: Card) -> Answer:
    """A CRL of more than a megabyte that does not name the card."""
    certificate, issuer, _root = chain_of(card)
    builder = x509.CertificateRevocationListBuilder(issuer.parsed.subject, THEN - timedelta(days=1), THEN + timedelta(days=6))
    ballast = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(1_200_000))
    signed = builder.add_extension(ballast, critical=False).sign(card.authority.key.private, hashes.SHA256())
    crl = revocation.load_list(signed.public_bytes(serialization.Encoding.DER))
    return revocation.by_list(crl, certificate=certificate, issuer=issuer, at=THEN, now=THEN, grace=timedelta(), source="test")
