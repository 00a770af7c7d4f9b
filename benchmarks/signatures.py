"""Verifying cards' signatures: the bare library, one signature, and the whole examination, for each kind of card."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from django.test import override_settings

from accounts.signatures import algorithms, cards, certificates, sm2
from benchmarks.measure import in_turns
from benchmarks.report import Row
from benchmarks.world import World
from simulators.cards.authority import Authority
from simulators.cards.certificates import SIGNING_USES, Holder
from simulators.cards.keys import Key, KeyType

#: About what the readable text of a filing with ten lines has.
TEXT = ("申报 I2026000001：鲁B12345，大连测试国际货运代理有限公司\n" * 40).encode()
REVOKED = 5_000
HOLDER = Holder("李操作", "210202199001010016", "大连测试国际货运代理有限公司", "202600012", "2100000000001")


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure all kinds; the CRL is a file, so that no network is measured."""
    with tempfile.TemporaryDirectory(prefix="bench-cards-") as directory:
        home = Path(directory)
        issued = {kind: _card(home, kind) for kind in KeyType}
        with override_settings(CARD_TRUST_ANCHORS=home / "anchors", CARD_CRL_DIR=home / "crl", CARD_REVOCATION=["crl"]):
            return _measured(issued, world.scale.rounds), _notes()


def _measured(issued: dict[KeyType, tuple[Key, bytes]], rounds: int) -> list[Row]:
    rows: list[Row] = []
    for kind, (key, der) in issued.items():
        signature = key.sign(TEXT)
        public = certificates.load(der).key
        subjects: dict[str, Callable[[], object]] = {
            "bare library": _bare(kind, key, signature),
            "one signature": partial(algorithms.verify, key=public, data=TEXT, signature=signature),
            "whole, with chain and CRL": partial(cards.verify, certificate=der, data=TEXT, signature=signature, at=datetime.now(UTC)),
        }
        if kind == KeyType.SM2:
            point, (r, s) = key.public_point(), decode_dss_signature(signature)
            subjects["one signature, without gmssl-pyx"] = partial(sm2._by_gmalg, point, sm2.digest_of(point, TEXT), r, s)
        taken = in_turns(subjects, rounds * 5)
        bare = taken["bare library"].median
        rows += [
            {
                "what": f"{kind.value}: {name}",
                "per_second": round(1000 / timing.median),
                "median_ms": round(timing.median, 3),
                "p95_ms": round(timing.p95, 3),
                "best_ms": round(timing.best, 3),
                "times bare": round(timing.median / bare, 2),
            }
            for name, timing in taken.items()
        ]
    return rows


def _bare(kind: KeyType, key: Key, signature: bytes) -> Callable[[], object]:
    """The library's own call, with everything ready for it; raises or gives False where it does not accept."""
    if kind == KeyType.SM2:
        digest = sm2.digest_of(key.public_point(), TEXT)
        return partial(
            sm2._by_gmssl if sm2.sm2_verify_sm3_digest else sm2._by_gmalg, key.public_point(), digest, *decode_dss_signature(signature)
        )
    public = key.private.public_key()
    if kind == KeyType.RSA_2048:
        return lambda: public.verify(signature, TEXT, padding.PKCS1v15(), hashes.SHA256())
    return lambda: public.verify(signature, TEXT, ec.ECDSA(hashes.SHA256()))


def _card(home: Path, kind: KeyType) -> tuple[Key, bytes]:
    """A card, its authority among the anchors, and a CRL that names many others."""
    authority = Authority.create(home / kind.value, kind, url="http://127.0.0.1:9")
    key = Key.generate(kind)
    now = datetime.now(UTC)
    made = authority.issue(holder=HOLDER, key=key, uses=SIGNING_USES, valid_from=now - timedelta(days=1), valid_to=now + timedelta(days=9))
    for name, folder in (("root.pem", "anchors"), ("ca.pem", "anchors/intermediate")):
        (home / folder).mkdir(parents=True, exist_ok=True)
        (home / folder / f"{kind.value}.pem").write_bytes((authority.home / name).read_bytes())
    note = json.loads((authority.home / "issued.json").read_text())
    serials = (hashlib.sha256(str(number).encode()).hexdigest()[:15].upper() for number in range(REVOKED))
    note["certificates"] |= {f"1{serial}": {"card_no": "", "revoked_at": now.isoformat()} for serial in serials}
    (authority.home / "issued.json").write_text(json.dumps(note))
    (home / "crl").mkdir(exist_ok=True)
    (home / "crl" / f"{kind.value}.crl").write_bytes(authority.write_crl())
    return key, made.dump()


def _notes() -> list[str]:
    return [
        f"text of {len(TEXT):,} bytes; one core; SM2 by {'gmssl-pyx' if sm2.sm2_verify_sm3_digest else 'gmalg'}",
        f"whole: certificate read, use, signature, chain of three (its links remembered), a CRL of {REVOKED:,} entries from a file,",
        "which is read and verified once; what is not measured is the network",
    ]
