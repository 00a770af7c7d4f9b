"""Evidence of signatures (CARD-07): found again, and exported so that anyone checks it with OpenSSL alone (docs/protocol/evidence.md)."""

import base64
import hashlib
import json
from datetime import UTC

from accounts.models import SignatureEvidence
from accounts.services import evidence_readme
from accounts.signatures import algorithms, certificates
from accounts.signatures.refusals import SignatureRefusedError
from accounts.signatures.revocation import Method


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
    facts: dict[str, object] = {
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
    content["README.txt"] = evidence_readme.readme(facts=facts, authorities=len(chain) - 1, method=method).encode()
    facts["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    content["manifest.json"] = json.dumps(facts, ensure_ascii=False, indent=1).encode() + b"\n"
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
