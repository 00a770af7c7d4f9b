"""README.txt of exported evidence: what each file is, and the OpenSSL commands for its kind of key.

docs/protocol/evidence.md holds the same commands; `tests/accounts/test_evidence_export.py` takes them from there and runs them.
"""

from itertools import pairwise

from django.template.loader import render_to_string

DISTINGUISHING_ID = "distid:1234567812345678"
_SM2_VERIFY = f"openssl pkeyutl -verify -rawin -digest sm3 -pkeyopt {DISTINGUISHING_ID} -pubin"
#: By the family of the algorithm, and its digest in OpenSSL's words.
_DIGESTS = {
    "RSA-SHA1": "sha1",
    "RSA-SHA256": "sha256",
    "RSA-SHA384": "sha384",
    "RSA-SHA512": "sha512",
    "ECDSA-SHA256": "sha256",
    "ECDSA-SHA384": "sha384",
    "ECDSA-SHA512": "sha512",
}
#: Takes one element out of a DER file: the last one that `awk` finds, which is told to stop at the first where that is meant.
_TAKEN_OUT = "openssl asn1parse -inform DER -in {whole} -strparse \"$(awk -F: '{where}' parts.txt)\" -noout -out {out}\n"
_LISTED = "openssl asn1parse -inform DER -in {whole} > parts.txt\n"
_FIRST = "/^ *[0-9]+:d=1 /{print $1+0; exit}"
_SIGNATURE = "/^ *[0-9]+:d=1 .*BIT STRING/{print $1+0}"
_OCTETS = "/^ *[0-9]+:d=3 .*OCTET STRING/{print $1+0; exit}"
_STATUS = "openssl ocsp -issuer chain-1.pem -cert certificate.pem -respin revocation.ocsp -no_nonce -validity_period 9999999999"
_GOOD = 'grep "certificate.pem: good" status.txt\ncat status.txt\n'


def signature_commands(algorithm: str) -> str:
    """The signature over the text."""
    verify = (
        f"openssl dgst -{_DIGESTS[algorithm]} -verify key.pem -signature {signature_name(algorithm)} text.txt\n"
        if algorithm in _DIGESTS
        else f"{_SM2_VERIFY} -inkey key.pem -in text.txt -sigfile {signature_name(algorithm)}\n"
    )
    return "openssl x509 -in certificate.pem -pubkey -noout > key.pem\n" + verify


def chain_commands(algorithm: str, authorities: int) -> str:
    """Each link by itself, at the time of the signature: OpenSSL gives the id of SM2 signers to the first certificate only."""
    extra = "" if algorithm in _DIGESTS else f" -vfyopt {DISTINGUISHING_ID}"
    names = ["certificate.pem", *(f"chain-{number}.pem" for number in range(1, authorities + 1))]
    links = (f'openssl verify -attime "$AT"{extra} -partial_chain -trusted {issuer} {subject}\n' for subject, issuer in pairwise(names))
    return (
        "AT=$(sed -n 's/.*\"signed_at_epoch\": \\([0-9]*\\).*/\\1/p' manifest.json)\n"
        + "".join(links)
        + "openssl x509 -in certificate.pem -noout -ext keyUsage | grep -E 'Digital Signature|Non Repudiation'\n"
        + "openssl x509 -in anchor.pem -noout -subject -fingerprint -sha256\n"
    )


def revocation_commands(algorithm: str, method: str) -> str:
    """What the CRL or the OCSP answer says; for SM2 its body is taken out, as OpenSSL 3 knows no signer's id for either."""
    match method, algorithm in _DIGESTS:
        case "crl", True:
            return (
                "openssl crl -inform DER -in revocation.crl -out crl.pem\n"
                'openssl verify -attime "$AT" -crl_check -CRLfile crl.pem -partial_chain -trusted chain-1.pem certificate.pem\n'
                "openssl crl -inform DER -in revocation.crl -noout -lastupdate -nextupdate\n"
            )
        case "crl", False:
            return (
                _body_verified("revocation.crl")
                + "SERIAL=$(openssl x509 -in certificate.pem -noout -serial | cut -d= -f2)\n"
                + 'test -z "$(openssl crl -inform DER -in revocation.crl -noout -text | grep -w "Serial Number: $SERIAL")"\n'
                + "openssl crl -inform DER -in revocation.crl -noout -issuer -lastupdate -nextupdate\n"
                + "openssl x509 -in chain-1.pem -noout -subject\n"
            )
        case "ocsp", True:
            return f'{_STATUS} \\\n  -VAfile chain-1.pem -CAfile chain-1.pem -partial_chain -attime "$AT" -out status.txt\n{_GOOD}'
    return (
        _LISTED.format(whole="revocation.ocsp")
        + _TAKEN_OUT.format(whole="revocation.ocsp", where=_OCTETS, out="basic.der")
        + _body_verified("basic.der")
        + f"{_STATUS} -noverify -out status.txt\n{_GOOD}"
    )


def _body_verified(whole: str) -> str:
    """The signed part and the signature of an X.509 structure, one verified with the other by SM2 and the issuer's key."""
    return (
        _LISTED.format(whole=whole)
        + _TAKEN_OUT.format(whole=whole, where=_FIRST, out="body.der")
        + _TAKEN_OUT.format(whole=whole, where=_SIGNATURE, out="body.sig")
        + "openssl x509 -in chain-1.pem -pubkey -noout > issuer.pem\n"
        + f"{_SM2_VERIFY} -inkey issuer.pem -in body.der -sigfile body.sig\n"
    )


def signature_name(algorithm: str) -> str:
    """An RSA signature is no DER."""
    return "signature.bin" if algorithm.startswith("RSA") else "signature.der"


def readme(*, facts: dict[str, object], authorities: int, method: str) -> str:
    """The whole text. `facts` are those of the manifest; `authorities` counts the certificates above the card's; `method` is empty where
    revocation was not asked."""
    algorithm = str(facts["algorithm"])
    context = {
        "facts": facts,
        "signature_file": signature_name(algorithm),
        "is_elliptic": not algorithm.startswith("RSA"),
        "method": method,
        "signature": signature_commands(algorithm),
        "chain": chain_commands(algorithm, authorities),
        "revocation": revocation_commands(algorithm, method) if method else "",
    }
    return render_to_string("accounts/evidence_readme.txt", context)
