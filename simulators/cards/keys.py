"""Keys of the three kinds: made, kept as PKCS#8, named in certificates, signing as authorities and as cards do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from asn1crypto import algos, core, keys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from simulators.cards import sm2

EC_PUBLIC_KEY = "1.2.840.10045.2.1"
SM2_CURVE = "1.2.156.10197.1.301"
SM2_WITH_SM3 = "1.2.156.10197.1.501"
keys.NamedCurve.register("sm2", SM2_CURVE, 32)


class KeyType(StrEnum):
    """What a card's keys are: SM2 since July 2022, the others before."""

    SM2 = "sm2"
    RSA_2048 = "rsa2048"
    P256 = "p256"


@dataclass(frozen=True)
class Key:
    """A private key: the number d of SM2, or what `cryptography` holds of the other two."""

    key_type: KeyType
    private: Any

    @classmethod
    def generate(cls, key_type: KeyType) -> Self:
        """A new random key."""
        match key_type:
            case KeyType.SM2:
                return cls(key_type, sm2.new_private_key())
            case KeyType.RSA_2048:
                return cls(key_type, rsa.generate_private_key(public_exponent=65537, key_size=2048))
            case KeyType.P256:
                return cls(key_type, ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pkcs8(cls, der: bytes) -> Self:
        """The key in a PKCS#8 structure of `pkcs8()`; raises ValueError for another kind."""
        info = keys.PrivateKeyInfo.load(der, strict=True)
        algorithm = info["private_key_algorithm"]
        if algorithm["algorithm"].dotted == EC_PUBLIC_KEY and algorithm["parameters"].chosen.dotted == SM2_CURVE:
            return cls(KeyType.SM2, int(info["private_key"].parsed["private_key"].native))
        private = serialization.load_der_private_key(der, None)
        if isinstance(private, rsa.RSAPrivateKey) and private.key_size == 2048:
            return cls(KeyType.RSA_2048, private)
        if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
            return cls(KeyType.P256, private)
        raise ValueError("The key is neither SM2 nor RSA-2048 nor P-256.")

    def pkcs8(self) -> bytes:
        """DER, as OpenSSL reads and writes it, not encrypted."""
        if self.key_type != KeyType.SM2:
            return bytes(
                self.private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            )
        point = b"\x04" + sm2.public_key_of(self.private)
        number = keys.IntegerOctetString(self.private)
        number.set_encoded_width(32)
        inner = keys.ECPrivateKey({"version": 1, "private_key": number, "public_key": keys.ECPointBitString(point)})
        return bytes(
            keys.PrivateKeyInfo(
                {
                    "version": 0,
                    "private_key_algorithm": {
                        "algorithm": "ec",
                        "parameters": keys.ECDomainParameters(name="named", value=keys.NamedCurve(SM2_CURVE)),
                    },
                    "private_key": core.ParsableOctetString(inner.dump()),
                }
            ).dump()
        )

    def public_point(self) -> bytes:
        """x‖y of an elliptic-curve key, 64 bytes."""
        if self.key_type == KeyType.SM2:
            return sm2.public_key_of(self.private)
        point = self.private.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return bytes(point[1:])

    def public_info(self) -> keys.PublicKeyInfo:
        """SubjectPublicKeyInfo."""
        if self.key_type != KeyType.SM2:
            der = self.private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            return keys.PublicKeyInfo.load(der)
        return keys.PublicKeyInfo(
            {
                "algorithm": {
                    "algorithm": "ec",
                    "parameters": keys.ECDomainParameters(name="named", value=keys.NamedCurve(SM2_CURVE)),
                },
                "public_key": keys.ECPointBitString(b"\x04" + self.public_point()),
            }
        )

    def signature_algorithm(self) -> algos.SignedDigestAlgorithm:
        """How an authority with this key signs certificates, CRLs and OCSP answers."""
        match self.key_type:
            case KeyType.SM2:
                return algos.SignedDigestAlgorithm({"algorithm": SM2_WITH_SM3})
            case KeyType.RSA_2048:
                return algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa"})
            case KeyType.P256:
                return algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})

    def sign(self, data: bytes) -> bytes:
        """A signature as X.509 has it: SM2 and P-256 in DER, RSA PKCS#1 v1.5 over SHA-256."""
        match self.key_type:
            case KeyType.SM2:
                return utils.encode_dss_signature(*sm2.sign_digest(self.private, sm2.digest_of(self.public_point(), data)))
            case KeyType.RSA_2048:
                return bytes(self.private.sign(data, padding.PKCS1v15(), hashes.SHA256()))
            case KeyType.P256:
                return bytes(self.private.sign(data, ec.ECDSA(hashes.SHA256())))

    def card_operation(self, block: bytes) -> bytes:
        """What a card does with what the host hands it: RSA raw on 256 bytes, P-256 and SM2 a DER signature over a digest of 32 bytes.

        Raises ValueError for a block that does not fit the key.
        """
        if self.key_type == KeyType.RSA_2048:
            numbers = self.private.private_numbers()
            number = int.from_bytes(block, "big")
            modulus = numbers.public_numbers.n
            if len(block) != 256 or number >= modulus:
                raise ValueError("An RSA-2048 key takes 256 bytes below its modulus.")
            return pow(number, numbers.d, modulus).to_bytes(256, "big")
        if len(block) != 32:
            raise ValueError("The key takes a digest of 32 bytes.")
        if self.key_type == KeyType.SM2:
            return utils.encode_dss_signature(*sm2.sign_digest(self.private, block))
        return bytes(self.private.sign(block, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
