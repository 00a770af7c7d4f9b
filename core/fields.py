"""A model field whose value the database keeps encrypted (ACC-11): passwords of other systems, identity numbers, codes under way.

Fernet (AES-128-CBC with HMAC-SHA-256) with a set of keys: the first of `FIELD_KEYS` encrypts, every one decrypts, so that keys can
be changed while the portal runs (`manage.py rotate_field_keys`).
"""

import base64
import hashlib
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models.lookups import Exact


@lru_cache(maxsize=4)
def _key_set(keys: tuple[str, ...]) -> MultiFernet:
    # Any long text serves as a key; Fernet wants exactly 32 bytes.
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys])


def keys() -> MultiFernet:
    """The key set of this portal. Raises ImproperlyConfigured when there is none."""
    if not settings.FIELD_KEYS:
        raise ImproperlyConfigured("FIELD_KEYS is empty")
    return _key_set(tuple(settings.FIELD_KEYS))


def encrypt(value: str) -> str:
    """The value as the database keeps it."""
    return keys().encrypt(value.encode()).decode("ascii")


def decrypt(stored: str) -> str:
    """The value again. Raises ValueError when none of the keys fits: a wrong key must not look like an empty value."""
    try:
        return keys().decrypt(stored.encode("ascii")).decode()
    except (InvalidToken, UnicodeEncodeError):
        raise ValueError("an encrypted value fits none of FIELD_KEYS") from None


def rotated(stored: str) -> str | None:
    """The stored value encrypted anew with the first key; None when it carries that already. Raises ValueError when no key fits."""
    try:
        _key_set((settings.FIELD_KEYS[0],)).decrypt(stored.encode("ascii"))
    except (InvalidToken, UnicodeEncodeError):
        return encrypt(decrypt(stored))
    return None


class _IsEmpty(Exact):
    """`exact` with an empty text. Any other would find nothing, silently: the same text is stored differently each time."""

    def get_prep_lookup(self) -> Any:
        if self.rhs not in ("", None):
            raise TypeError(f"{self.lhs.output_field.name} is encrypted and cannot be looked up by its value")
        return super().get_prep_lookup()


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # fields take none at run time
    """Text that is plain in the program and encrypted in the database; empty stays empty. It cannot be searched for."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypt(value) if value else value

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        prepared = super().get_db_prep_save(value, connection)
        return encrypt(prepared) if isinstance(prepared, str) and prepared else prepared

    def get_lookup(self, lookup_name: str) -> Any:
        """Only whether there is a value."""
        if lookup_name not in ("isnull", "exact"):
            raise TypeError(f"{self.name} is encrypted and cannot be looked up by {lookup_name}")
        return _IsEmpty if lookup_name == "exact" else super().get_lookup(lookup_name)
