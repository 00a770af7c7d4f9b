"""Evidence of signatures (CARD-07): found again, and exported so that anyone checks it with OpenSSL alone (docs/protocol/evidence.md)."""

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from accounts.models import RevocationProof, SignatureEvidence
from accounts.services import evidence_readme
from accounts.signatures import algorithms, certificates
from accounts.signatures.refusals import SignatureRefusedError
from accounts.signatures.revocation import Method
from accounts.signatures.stored import StoredAnswer, StoredSignature

if TYPE_CHECKING:
    from django.db.models import QuerySet


def of_document(document_no: str) -> "QuerySet[SignatureEvidence]":
    """Every signature of a document, in the order of signing; for `manage.py`, which asks for no user."""
    return cast("QuerySet[SignatureEvidence]", SignatureEvidence.unscoped.filter(document_no=document_no).order_by("signed_at", "pk"))


def since(moment: datetime | None) -> "QuerySet[SignatureEvidence]":
    """Every signature of any document, since a moment; for `manage.py`."""
    found = SignatureEvidence.unscoped.order_by("pk")
    return cast("QuerySet[SignatureEvidence]", found if moment is None else found.filter(signed_at__gte=moment))


def facts(found: "QuerySet[SignatureEvidence]") -> Iterator[tuple[SignatureEvidence, StoredSignature]]:
    """Each with what `stored.verify` takes. Memory stays flat, however many: rows stream, and few revocation answers are held."""
    # Neighbours were mostly signed under the same list.
    answer = lru_cache(maxsize=2)(_answer)
    for evidence in found.iterator(chunk_size=100):
        yield (
            evidence,
            StoredSignature(
                document_no=evidence.document_no,
                text=evidence.text.encode(),
                signature=bytes(evidence.signature),
                algorithm=evidence.algorithm,
                card_no=evidence.card_no,
                holder_name=evidence.holder_name,
                certificate_no=evidence.certificate_no,
                chain=tuple(bytes(one) for one in evidence.chain),
                revocation=answer(evidence.revocation_id) if evidence.revocation_id is not None else None,
                signed_at=evidence.signed_at,
            ),
        )


def _answer(sha256: str) -> StoredAnswer:
    proof = RevocationProof.objects.get(sha256=sha256)
    return StoredAnswer(
        sha256=proof.sha256,
        method=proof.method,
        source=proof.source,
        der=bytes(proof.der),
        this_update=proof.this_update,
        next_update=proof.next_update,
    )


def files(evidence: SignatureEvidence) -> dict[str, bytes]:
    """What is exported, file name → contents: text, signature, certificates, revocation answer, README.txt, manifest.json.

    Says nothing about whether the evidence holds, and raises nothing where it does not: what is broken is exported as it is.
    """
    chain = [bytes(one) for one in evidence.chain]
    text, signature = evidence.text.encode(), bytes(evidence.signature)
    content = {
        "text.txt": text,
        "signature.b64": base64.b64encode(signature) + b"\n",
        evidence_readme.signature_name(evidence.algorithm): _for_openssl(chain, text, signature),
    }
    names = ["certificate.pem", *(f"chain-{number}.pem" for number in range(1, len(chain)))]
    content |= {name: _pem(der) for name, der in zip(names, chain, strict=False)}
    if len(chain) > 1:
        content["anchor.pem"] = _pem(chain[-1])
    proof = evidence.revocation
    # Only what is known becomes part of a file's name.
    method = proof.method if proof is not None and proof.method in list(Method) else ""
    if proof is not None:
        content[f"revocation.{method or 'der'}"] = bytes(proof.der)
    manifest: dict[str, object] = {
        "document_no": evidence.document_no,
        "kind": evidence.kind,
        "subject": evidence.subject,
        "version": evidence.version,
        "algorithm": evidence.algorithm,
        "card_no": evidence.card_no,
        "holder_name": evidence.holder_name,
        "certificate_no": evidence.certificate_no,
        "signed_at": evidence.signed_at.astimezone(UTC).isoformat(),
        "signed_at_epoch": int(evidence.signed_at.timestamp()),
    }
    content["README.txt"] = evidence_readme.readme(facts=manifest, authorities=len(chain) - 1, method=method).encode()
    manifest["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    content["manifest.json"] = json.dumps(manifest, ensure_ascii=False, indent=1).encode() + b"\n"
    return content


def _for_openssl(chain: list[bytes], text: bytes, signature: bytes) -> bytes:
    """The signature as OpenSSL takes it; as it is where the certificate cannot be read."""
    try:
        return algorithms.for_openssl(key=certificates.load(chain[0]).key, data=text, signature=signature)
    except (SignatureRefusedError, IndexError):
        return signature


def _pem(der: bytes) -> bytes:
    """Armour only: also what is no certificate any more is exported."""
    encoded = base64.b64encode(der)
    lines = [encoded[at : at + 64] for at in range(0, len(encoded), 64)]
    return b"\n".join([b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""])
