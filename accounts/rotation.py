"""Secrets of second factors as django-allauth keeps them, for a change of keys (`core.rotation`)."""

from collections.abc import Mapping
from typing import Any

from core.fields import rotated

#: Keys of Authenticator.data whose value is encrypted (a list of such values: codes taken over from elsewhere).
_SECRETS = ("secret", "seed", "migrated_codes")


def rotated_secrets(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The data of one authenticator with its secrets encrypted anew; None when there is nothing to do. Raises ValueError when no key
    fits one of them.
    """
    anew: dict[str, Any] = {}
    for name in _SECRETS:
        stored = data.get(name)
        if isinstance(stored, str):
            if (value := rotated(stored)) is not None:
                anew[name] = value
        elif isinstance(stored, list):
            values = [rotated(one) for one in stored]
            if any(value is not None for value in values):
                anew[name] = [value or one for value, one in zip(values, stored, strict=True)]
    return {**data, **anew} if anew else None
