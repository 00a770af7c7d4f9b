"""`manage.py verify_signature`: who signed what with which card, and whether it holds (CARD-07).

--certificate FILE --data FILE --signature BASE64 [--at TIME] [--no-chain]                  three files from anywhere
--filing TRIP_NO [--anchor FILE] [--no-chain] [--text] [--export DIR] [--json]              what is stored of a document
--all [--since DATE] [--anchor FILE] [--no-chain] [--json]                                  all that is stored
"""

import base64
import binascii
import hashlib
import json
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import SignatureEvidence
from accounts.services import evidence
from accounts.signatures import algorithms, cards, certificates, stored
from accounts.signatures.algorithms import Algorithm
from accounts.signatures.cards import Verified
from accounts.signatures.certificates import Certificate
from accounts.signatures.refusals import SignatureRefusedError
from accounts.signatures.revocation import Answer
from accounts.signatures.stored import StoredSignature

#: Which options go with which of the three ways.
FILES = ("certificate", "data", "signature")
ONLY_FILES = (*FILES, "at")
ONLY_STORED = ("anchor", "json")
ONLY_FILING = ("text", "export")


class Command(BaseCommand):
    """Exits 0 when there is something and all of it holds, 1 when not or when it cannot be examined."""

    help = "Verify a card's signature, or the evidence that is kept of a filing's; prints who signed what, with which algorithm, and when."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What was signed, by whom, and how far to look."""
        parser.add_argument("--certificate", type=Path, metavar="FILE", help="DER, PEM or base64 of DER")
        parser.add_argument("--data", type=Path, metavar="FILE", help="exactly the bytes that were signed")
        parser.add_argument("--signature", metavar="BASE64", help="r‖s or DER; PKCS#1 v1.5 of RSA cards")
        parser.add_argument("--at", type=_moment, metavar="TIME", help="when it was signed, as 2026-11-21T08:00+08:00 (default: now)")
        parser.add_argument("--filing", metavar="TRIP_NO", help="the evidence of this document, every version")
        parser.add_argument("--all", action="store_true", help="all evidence: prints what does not hold, and a summary")
        parser.add_argument("--since", type=_moment, metavar="DATE", help="with --all: signed at this time or later")
        parser.add_argument("--anchor", type=Path, action="append", metavar="FILE", help="trusted, too; may be repeated")
        parser.add_argument("--no-chain", action="store_true", help="only signature and key: no issuer, period or revocation")
        parser.add_argument("--text", action="store_true", help="with --filing: print what was signed")
        parser.add_argument("--export", type=Path, metavar="DIR", help="with --filing: write a directory for each signature into DIR")
        parser.add_argument("--json", action="store_true", help="with --filing or --all: a line of JSON for each signature")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Find out what is asked for; verify; print."""
        ways = [any(options[name] for name in FILES), bool(options["filing"]), options["all"]]
        if sum(ways) != 1:
            raise CommandError("One of --filing, --all, or --certificate with --data and --signature.")
        by_files, of_filing, _everything = ways
        allowed = (*FILES, "at") if by_files else (*ONLY_STORED, *(ONLY_FILING if of_filing else ("since",)))
        for name in (*ONLY_FILES, *ONLY_STORED, *ONLY_FILING, "since"):
            if options[name] and name not in allowed:
                raise CommandError(f"--{name} does not go with the other options.")
        if by_files:
            self._files(options)
        else:
            self._stored(options)

    def _files(self, options: dict[str, Any]) -> None:
        if not all(options[name] for name in FILES):
            raise CommandError("--certificate, --data and --signature go together.")
        certificate, data = _read(options["certificate"]), _read(options["data"])
        try:
            signature = base64.b64decode("".join(options["signature"].split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise CommandError("--signature is no base64.") from error
        at = options["at"] or timezone.now()
        try:
            if options["no_chain"]:
                signer = certificates.load(certificate)
                algorithm = algorithms.verify(key=signer.key, data=data, signature=signature, accepts_sha1=settings.CARD_ACCEPT_SHA1)
                self._tell(signer, algorithm, data)
                self.stdout.write("chain: not looked at")
                return
            verified = cards.verify(certificate=certificate, data=data, signature=signature, at=at)
        except SignatureRefusedError as refused:
            raise CommandError(_reason(refused)) from refused
        self._tell_all(verified)

    def _stored(self, options: dict[str, Any]) -> None:
        anchors = [anchor for path in options["anchor"] or () for anchor in _anchors(path)]
        found = evidence.of_document(options["filing"]) if options["filing"] else evidence.since(options["since"])
        examined = refused = 0
        for row, facts in evidence.facts(found):
            examined += 1
            refused += not self._examined(row, facts, anchors, options)
            if options["export"]:
                self._export(row, options["export"], is_quiet=options["json"])
        if options["all"]:
            summary = {"examined": examined, "good": examined - refused, "refused": refused}
            self.stdout.write(json.dumps(summary) if options["json"] else ", ".join(f"{name} {count}" for name, count in summary.items()))
        if not examined:
            raise CommandError("There is no evidence.")
        if refused:
            raise CommandError(f"{refused} of {examined} signatures do not hold.")

    def _examined(self, row: SignatureEvidence, facts: StoredSignature, anchors: Iterable[Certificate], options: dict[str, Any]) -> bool:
        """Whether it holds; says so."""
        verified: Verified | None = None
        refusal: SignatureRefusedError | None = None
        try:
            if options["no_chain"]:
                card, algorithm = stored.verify_signature(facts)
                verified = Verified(card, algorithm, facts.text, facts.signature, (card,), None, facts.signed_at)
            else:
                verified = stored.verify(facts, anchors=anchors)
        except SignatureRefusedError as error:
            refusal = error
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(row, facts, verified, refusal, with_text=options["text"]), ensure_ascii=False))
            return refusal is None
        if refusal is None and options["all"]:
            return True
        said = "holds" if refusal is None else f"DOES NOT HOLD: {_reason(refusal)}"
        self.stdout.write(f"{row.document_no}, {row.kind} {row.subject}, version {row.version}, evidence {row.pk}: {said}")
        if verified is not None:
            self._tell_all(verified)
        else:
            # As the row has it, which may be what is wrong with it.
            self.stdout.write(f"stored: {facts.holder_name}, card {facts.card_no}, {facts.algorithm}, {facts.signed_at.isoformat()}")
        if options["text"]:
            self.stdout.write(facts.text.decode())
        return refusal is None

    def _export(self, row: SignatureEvidence, directory: Path, *, is_quiet: bool) -> None:
        into = directory / f"version-{row.version}-evidence-{row.pk}"
        try:
            into.mkdir(parents=True)
            for name, content in evidence.files(row).items():
                (into / name).write_bytes(content)
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        if not is_quiet:
            self.stdout.write(f"exported: {into}")

    def _tell_all(self, verified: Verified) -> None:
        self._tell(verified.certificate, verified.algorithm, verified.data)
        for authority in verified.chain[1:]:
            self.stdout.write(f"issued by: {authority.subject}, sha256 {authority.fingerprint}")
        if len(verified.chain) == 1:
            self.stdout.write("chain: not looked at")
        else:
            self.stdout.write(f"not revoked: {_said(verified.revocation)}")
        self.stdout.write(f"valid at: {verified.at.isoformat(timespec='seconds')}")

    def _tell(self, signer: Certificate, algorithm: Algorithm, data: bytes) -> None:
        self.stdout.write(f"signature: good, {algorithm}, key {signer.key.name}")
        self.stdout.write(f"signed by: {signer.holder_name}, {signer.enterprise_name}, {signer.organisation_code}")
        self.stdout.write(f"card: {signer.card_no or '-'}, certificate {signer.serial_no}, sha256 {signer.fingerprint}")
        self.stdout.write(f"certificate valid: {signer.valid_from.isoformat()} to {signer.valid_to.isoformat()}")
        self.stdout.write(f"data: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def _as_json(
    row: SignatureEvidence, facts: StoredSignature, verified: Verified | None, refusal: SignatureRefusedError | None, *, with_text: bool
) -> dict[str, Any]:
    """One signature for programs. What the certificate says only where it holds; the rest as the row has it."""
    line: dict[str, Any] = {
        "evidence": row.pk,
        "document_no": row.document_no,
        "kind": row.kind,
        "subject": row.subject,
        "version": row.version,
        "holds": refusal is None,
        "code": refusal.code if refusal is not None else None,
        "reason": " ".join(refusal.messages) if refusal is not None else None,
        "signed_at": facts.signed_at.astimezone(UTC).isoformat(),
        "algorithm": facts.algorithm,
        "card_no": facts.card_no,
        "holder_name": facts.holder_name,
        "certificate_no": facts.certificate_no,
        "text_bytes": len(facts.text),
        "text_sha256": hashlib.sha256(facts.text).hexdigest(),
    }
    if verified is not None:
        line |= {
            "enterprise_name": verified.certificate.enterprise_name,
            "organisation_code": verified.certificate.organisation_code,
            "certificate_sha256": verified.certificate.fingerprint,
            "authorities_sha256": [authority.fingerprint for authority in verified.chain[1:]],
            "revocation": verified.revocation.method if verified.revocation else None,
            "revocation_this_update": verified.revocation.this_update.isoformat() if verified.revocation else None,
        }
    return line | ({"text": facts.text.decode()} if with_text else {})


def _said(answer: Answer | None) -> str:
    return f"{answer.method} of {answer.this_update:%Y-%m-%d %H:%M:%SZ}, {answer.source}" if answer else "not asked (CARD_REVOCATION)"


def _reason(refused: SignatureRefusedError) -> str:
    return f"{refused.code}: {' '.join(refused.messages)}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error


def _anchors(path: Path) -> list[Certificate]:
    content = _read(path)
    try:
        return certificates.load_all(content)
    except SignatureRefusedError as refused:
        raise CommandError(f"{path}: {_reason(refused)}") from refused


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else timezone.make_aware(moment)
