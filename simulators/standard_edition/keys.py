"""The provider's signing key, and what it signs."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

ALGORITHM = "RS256"


class SigningKey:
    """One RSA key; what it signs carries the key's thumbprint as `kid`."""

    def __init__(self, key: RSAKey) -> None:
        self._key = key
        self.kid = key.thumbprint()

    @classmethod
    def new(cls) -> "SigningKey":
        """A key for this run."""
        return cls(RSAKey.generate_key(2048))

    @classmethod
    def kept_in(cls, path: Path) -> "SigningKey":
        """The key in a file, so that a restart signs with the same; made, readable by its owner only, when there is none."""
        with contextlib.suppress(FileNotFoundError):
            return cls(RSAKey.import_key(path.read_bytes()))
        path.parent.mkdir(parents=True, exist_ok=True)
        key = RSAKey.generate_key(2048)
        # mkstemp: nobody but the owner may read it, and the file appears whole or not at all.
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(key.as_pem(private=True))
        Path(draft).replace(path)
        return cls(key)

    def jwks(self) -> dict[str, Any]:
        """The public part, as clients fetch it."""
        return {"keys": [{**self._key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": ALGORITHM}]}

    def sign(self, claims: dict[str, Any], *, kind: str = "JWT") -> str:
        """A signed token of these claims; `kind` is its `typ`."""
        return jwt.encode({"alg": ALGORITHM, "typ": kind, "kid": self.kid}, claims, self._key, algorithms=[ALGORITHM])

    def read(self, token: str) -> dict[str, Any] | None:
        """The claims of a token of ours, however old; None for anything else."""
        try:
            return dict(jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims)
        except (JoseError, ValueError, TypeError):
            return None
