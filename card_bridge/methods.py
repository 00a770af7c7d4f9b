"""The methods of `domain.md` §2, by their names without prefix."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import Any

from card_bridge import VERSION, certificate
from card_bridge.backends import Backend, Card
from card_bridge.calls import Call
from card_bridge.certificate import Certificate
from card_bridge.errors import BadArgumentsError, CardFailedError, NoCardError, SignatureMismatchError

PREFIXES = ("cus-sec_", "security_")
_PIN = re.compile(r"[0-9]{6,8}", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_SEPARATOR = "||"

Args = dict[str, Any]
Method = Callable[[Backend, Args], list[Any]]


def find(call: Call) -> tuple[str, Method] | None:
    """The method that a call names, with its name for the log; None when there is none."""
    if call.method in _BARE:
        return call.method, _BARE[call.method]
    for prefix in PREFIXES:
        name = call.method.removeprefix(prefix)
        if name != call.method and name in _METHODS:
            return call.method, _METHODS[name]
    return None


def is_instant(method: Method) -> bool:
    """Whether the method leaves the card alone, so that it need not wait for those who use it."""
    return method in {_version, _nothing, _sha1}


# What the arguments are


def _text(args: Args, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise BadArgumentsError(f"args 中必须有非空的文本参数 {name}。")
    return value


def _utf8(args: Args, name: str) -> bytes:
    try:
        return _text(args, name).encode("utf-8")
    except UnicodeEncodeError:
        raise BadArgumentsError(f"参数 {name} 不是有效的文本（含有不成对的代理字符）。") from None


def _pin(args: Args, name: str) -> str:
    """The PIN of an argument; one that no card can have costs no try."""
    value = args.get(name)
    if value is None or value == "":
        raise BadArgumentsError(f"请给出卡密码（参数 {name}）：读卡程序不保存密码，每次都要输入。")
    if not isinstance(value, str) or not _PIN.fullmatch(value):
        raise BadArgumentsError("卡密码应为 6 到 8 位数字。没有送到卡上，不减少可试次数。")
    return value


def _base64(args: Args, name: str) -> bytes:
    try:
        return base64.b64decode("".join(_text(args, name).split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadArgumentsError(f"参数 {name} 应为 base64 文本。") from None


def _digest(args: Args, name: str) -> bytes:
    text = _text(args, name).strip()
    return bytes.fromhex(text) if _HEX.fullmatch(text) and len(text) in {40, 64, 96, 128} else _base64(args, name)


# What the card says


def _load(der: bytes) -> Certificate:
    try:
        return certificate.load(der)
    except ValueError as error:
        raise CardFailedError("卡中的证书无法识别（支持 SM2、RSA-2048、P-256）。") from error


def _signing(card: Card) -> Certificate:
    return _load(card.signing_certificate())


def _field(value: Callable[[Certificate], Any]) -> Method:
    def method(backend: Backend, _args: Args) -> list[Any]:
        with backend.card() as card:
            return [value(_signing(card))]

    return method


def _card_number(found: Certificate) -> str:
    if not found.card_number:
        raise NoCardError("卡中的证书没有介质号码，不是电子口岸卡，请换卡。")
    return found.card_number


def _joined(*values: str) -> str:
    # A separator inside a value would move all that follow.
    return _SEPARATOR.join(value.replace("|", "｜") for value in values)


def _user_info(found: Certificate) -> str:
    return _joined(found.holder, found.enterprise, found.organisation_code, _card_number(found))


def _user_info_all(backend: Backend, args: Args) -> list[Any]:
    pin = None if args.get("userpin") in (None, "") else _pin(args, "userpin")
    with backend.card() as card:
        if pin is not None:
            card.verify_pin(pin)
        found = _signing(card)
        period = found.period()
        times = period["szStartTime"], period["szEndTime"]
        values = found.number, found.holder, found.enterprise, found.organisation_code, found.id_number, _card_number(found), *times
        return [_joined(*values)]


def _version(backend: Backend, _args: Args) -> list[Any]:
    return [f"{VERSION} {backend.remark}".strip()]


def _nothing(_backend: Backend, _args: Args) -> list[Any]:
    return []


def _open(backend: Backend, _args: Args) -> list[Any]:
    with backend.card():
        return []


def _envelope_certificate(backend: Backend, _args: Args) -> list[Any]:
    with backend.card() as card:
        return [_load(card.envelope_certificate()).base64]


def _period(backend: Backend, args: Args) -> list[Any]:
    given = args.get("cert") or args.get("certByteArray")
    if given:
        return [certificate.load_from_page(given).period()]
    with backend.card() as card:
        return [_signing(card).period()]


# What takes the PIN


def _verify_pin(backend: Backend, args: Args) -> list[Any]:
    pin = _pin(args, "passwd")
    with backend.card() as card:
        card.verify_pin(pin)
        return []


def _change_pin(backend: Backend, args: Args) -> list[Any]:
    old, new = _pin(args, "oldPin"), _pin(args, "newPin")
    with backend.card() as card:
        card.change_pin(old, new)
        return []


def _sign(name: str) -> Method:
    def method(backend: Backend, args: Args) -> list[Any]:
        data, pin = _utf8(args, name), _pin(args, "passwd")
        with backend.card() as card:
            found = _signing(card)
            return _signature(card, found, found.key.digest(data), pin)

    return method


def _sign_digest(backend: Backend, args: Args) -> list[Any]:
    digest, pin = _digest(args, "inData"), _pin(args, "passwd")
    with backend.card() as card:
        found = _signing(card)
        found.key.check_digest(digest)
        return _signature(card, found, digest, pin)


def _signature(card: Card, found: Certificate, digest: bytes, pin: str) -> list[Any]:
    signature = found.key.for_page(card.sign(found.key, digest, pin))
    return [base64.b64encode(signature).decode("ascii"), found.number]


# What takes neither


def _verify_signature(backend: Backend, args: Args) -> list[Any]:
    data, signature = _utf8(args, "inData"), _base64(args, "signData")
    if args.get("certDataPEM"):
        found = certificate.load_from_page(args["certDataPEM"])
    else:
        with backend.card() as card:
            found = _signing(card)
    if not found.key.verifies(data, signature):
        raise SignatureMismatchError
    return []


def _sha1(_backend: Backend, args: Args) -> list[Any]:
    # The old control's digest, kept for pages that call it; nothing here relies on it.
    digest = hashlib.sha1(_utf8(args, "szInfo"), usedforsecurity=False).digest()
    return [base64.b64encode(digest).decode("ascii")]


_BARE: dict[str, Method] = {"ver": _version}
_METHODS: dict[str, Method] = {
    "SpcInitEnvEx": _open,
    "SpcClearEnv": _nothing,
    "SpcGetCardID": _field(_card_number),
    "SpcGetCertNo": _field(lambda found: found.number),
    "SpcGetUName": _field(lambda found: found.holder),
    "SpcGetEntID": _field(lambda found: found.organisation_code),
    "SpcGetEntName": _field(lambda found: found.enterprise),
    "SpcGetEntMode": _field(lambda found: found.enterprise_mode),
    "SpcGetCardUserInfo": _field(_user_info),
    "getGetCardUserInfoAll": _user_info_all,
    "SpcGetSignCertAsPEM": _field(lambda found: found.base64),
    "SpcGetEnvCertAsPEM": _envelope_certificate,
    "SpcGetValidTimeFromCert": _period,
    "SpcVerifyPIN": _verify_pin,
    "SpcVerifyPINAll": _verify_pin,
    "SpcChangePIN": _change_pin,
    "SpcSignDataAsPEM": _sign("inData"),
    "SpcSignDataNoHashAsPEM": _sign_digest,
    "SpcSignRandom": _sign("random"),
    "SpcVerifySignData": _verify_signature,
    "SpcSHA1DigestAsPEM": _sha1,
}
