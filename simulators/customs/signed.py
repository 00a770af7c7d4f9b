"""What a declarant signed, as customs sees it: whether the text says what the message says, and whether the signature is one over it.

Written from docs/protocol/signed-text.md alone. Whose certificate it is, and whether it counts, is not asked here.
"""

import base64
import re
from collections.abc import Mapping

from asn1crypto import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from lxml import etree

from simulators.cards import sm2
from simulators.cards.keys import SM2_CURVE

TITLE = "智能卡口散杂货申报单"
DECLARATION = "声明："
#: Elements whose value is a code, followed by its name.
CODES = {
    "Function",
    "CustomsMaster",
    "BindKeyType",
    "RdCode",
    "DeclTrafMode",
    "IEFlag",
    "BayonetRdCode",
    "IEDirection",
    "BindObjType",
    "BillType",
}
_FACT = re.compile(r"[^ ：]+ ([A-Za-z0-9]+)：(.+)")
_LIST = re.compile("表体信息 List：共 ([0-9]+) 条")
_ITEM = re.compile("表体第 ([0-9]+) 条 Item")
_ESCAPE = re.compile(r"\\(?:([\\nrt])|u([0-9A-F]{4})|U([0-9A-F]{8})|.?)", re.DOTALL)
_LETTERS = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
    "SHA1": hashes.SHA1(),
}

Fact = tuple[str, str]


class NotSignedSoError(ValueError):
    """A signed message that customs does not take; `code` stands in docs/protocol/README.md."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def check(business: etree._Element, sign_info: Mapping[str, str]) -> None:
    """Nothing for an unsigned message, or one whose text and signature are right. Raises NotSignedSoError.

    A signature without a text (over the canonical element) is not looked at: the portal makes none.
    """
    text = sign_info.get("signed_text")
    if text is None:
        return
    said, sent = facts_of_text(text), facts_of_element(business)
    if said != sent:
        # What stands at the first place that differs, of the text or else of the element.
        wrong = next((a or b for a, b in zip(said + [None] * len(sent), sent + [None] * len(said), strict=False) if a != b), None)
        raise NotSignedSoError("SIGNED_TEXT", f"text and element differ at {wrong!r:.200}")
    try:
        key = x509.Certificate.load(base64.b64decode(sign_info["certificate"])).public_key
        signature = base64.b64decode(sign_info["signature"])
        is_right = _is_signed(key.dump(), str(key.native["algorithm"]["parameters"]), sign_info["algorithm"], text.encode(), signature)
    except (KeyError, TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise NotSignedSoError("SIGNATURE", f"certificate or signature cannot be read: {error}") from error
    if not is_right:
        raise NotSignedSoError("SIGNATURE", "the signature is none of this certificate's key over signed_text")


def facts_of_text(text: str) -> list[Fact]:
    """Wire name and value of each line in order; Head, List and Item with nothing, the number of lines, the line's number.

    Raises NotSignedSoError for what is no such text.
    """
    lines = text.split("\n")
    if lines[0] != TITLE or not lines[-1].startswith(DECLARATION):
        raise NotSignedSoError("SIGNED_TEXT", "signed_text does not begin and end as it must")
    return [_fact(line) for line in lines[1:-1]]


def _fact(line: str) -> Fact:
    if line == "表头信息 Head":
        return "Head", ""
    for name, pattern in (("List", _LIST), ("Item", _ITEM)):
        if found := pattern.fullmatch(line):
            return name, found[1]
    found = _FACT.fullmatch(line)
    if found is None:
        raise NotSignedSoError("SIGNED_TEXT", f"signed_text has the line {line!r:.200}")
    name, value = found.groups()
    return name, _ESCAPE.sub(_unescaped, value.split(" ")[0] if name in CODES else value)


def _unescaped(found: re.Match[str]) -> str:
    letter, short, long = found.groups()
    if letter:
        return _LETTERS[letter]
    if not (short or long):
        raise NotSignedSoError("SIGNED_TEXT", f"signed_text has the escape {found[0]!r}")
    return chr(int(short or long, 16))


def facts_of_element(business: etree._Element) -> list[Fact]:
    """The same of a business element."""
    facts: list[Fact] = []
    for child in business:
        name = etree.QName(child).localname
        if name == "Head":
            facts += [("Head", ""), *_values(child)]
        elif name == "List":
            facts.append(("List", str(len(child))))
            for number, item in enumerate(child, start=1):
                facts += [("Item", str(number)), *_values(item)]
        else:
            facts.append((name, child.text or ""))
    return facts


def _values(parent: etree._Element) -> list[Fact]:
    return [(etree.QName(child).localname, child.text or "") for child in parent]


def _is_signed(key: bytes, curve: str, algorithm: str, data: bytes, signature: bytes) -> bool:
    """Whether `signature` is one over `data` by the key in a SubjectPublicKeyInfo, made as `algorithm` says."""
    kind, _dash, digest = algorithm.partition("-")
    if kind == "SM2":
        point = key[-64:]
        made_from = sm2.digest_of(point, data)
        return curve in ("sm2", SM2_CURVE) and any(sm2.verify_digest(point, made_from, r, s) for r, s in _pairs(signature, 32))
    public = serialization.load_der_public_key(key)
    how = _HASHES[digest]
    try:
        if kind == "RSA" and isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, data, padding.PKCS1v15(), how)
            return True
        return (
            kind == "ECDSA"
            and isinstance(public, ec.EllipticCurvePublicKey)
            and any(_is_ecdsa(public, how, data, r, s) for r, s in _pairs(signature, public.key_size // 8))
        )
    except InvalidSignature:
        return False


def _is_ecdsa(public: ec.EllipticCurvePublicKey, how: hashes.HashAlgorithm, data: bytes, r: int, s: int) -> bool:
    try:
        public.verify(encode_dss_signature(r, s), data, ec.ECDSA(how))
    except InvalidSignature:
        return False
    return True


def _pairs(signature: bytes, width: int) -> list[tuple[int, int]]:
    """What r and s can be: one after the other, and in DER."""
    pairs = [(int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big"))] if len(signature) == 2 * width else []
    try:
        return [*pairs, decode_dss_signature(signature)]
    except ValueError:
        return pairs
