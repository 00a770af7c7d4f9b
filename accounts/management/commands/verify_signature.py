"""`manage.py verify_signature --certificate FILE --data FILE --signature BASE64 [--no-chain]`: who signed what, and how (CARD-07)."""

import base64
import binascii
import hashlib
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.signatures import algorithms, cards, certificates
from accounts.signatures.algorithms import Algorithm
from accounts.signatures.certificates import Certificate
from accounts.signatures.refusals import SignatureRefusedError


class Command(BaseCommand):
    """Exits 0 for a signature that counts, 1 for one that does not or that cannot be examined."""

    help = "Verify a card's signature; prints who signed what, with which algorithm."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What was signed, by whom, and how far to look."""
        parser.add_argument("--certificate", type=Path, required=True, metavar="FILE", help="DER, PEM or base64 of DER")
        parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="exactly the bytes that were signed")
        parser.add_argument("--signature", required=True, metavar="BASE64", help="r‖s or DER; PKCS#1 v1.5 of RSA cards")
        parser.add_argument("--no-chain", action="store_true", help="only signature and key: no issuer, period, use or revocation")
        parser.add_argument("--at", type=_moment, metavar="TIME", help="when it was signed, as 2026-11-21T08:00+08:00 (default: now)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read, verify, print."""
        try:
            certificate, data = options["certificate"].read_bytes(), options["data"].read_bytes()
            signature = base64.b64decode("".join(options["signature"].split()), validate=True)
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
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
            raise CommandError(f"{refused.code}: {' '.join(refused.messages)}") from refused
        self._tell(verified.certificate, verified.algorithm, data)
        for authority in verified.chain[1:]:
            self.stdout.write(f"issued by: {authority.subject}, sha256 {authority.fingerprint}")
        answer = verified.revocation
        said = f"{answer.method} of {answer.this_update:%Y-%m-%d %H:%M:%SZ}, {answer.source}" if answer else "not asked (CARD_REVOCATION)"
        self.stdout.write(f"not revoked: {said}")
        self.stdout.write(f"valid at: {at.isoformat(timespec='seconds')}")

    def _tell(self, signer: Certificate, algorithm: Algorithm, data: bytes) -> None:
        self.stdout.write(f"signature: good, {algorithm}, key {signer.key.name}")
        self.stdout.write(f"signed by: {signer.holder_name}, {signer.enterprise_name}, {signer.organisation_code}")
        self.stdout.write(f"card: {signer.card_no or '-'}, certificate {signer.serial_no}, sha256 {signer.fingerprint}")
        self.stdout.write(f"certificate valid: {signer.valid_from.isoformat()} to {signer.valid_to.isoformat()}")
        self.stdout.write(f"data: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else timezone.make_aware(moment)
