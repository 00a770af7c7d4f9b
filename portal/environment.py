"""Reading the environment without falling over a value that is none: the settings check tells what is wrong, all at once."""

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

#: What could not be read, as a line for people each; `portal.checks` reports them.
UNREADABLE: list[str] = []

_YES = frozenset({"1", "true", "on", "yes", "ok", "y"})
_NO = frozenset({"0", "false", "off", "no", "n", ""})
_KINDS = {"int": "a whole number", "float": "a number", "loads": "JSON"}


class Environment(environ.Env):
    """django-environ, but a value that cannot be read counts as not given and is noted in UNREADABLE."""

    def get_value(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False) -> Any:
        try:
            return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
        except ValueError:
            if default is environ.Env.NOTSET:
                raise
            name = getattr(cast, "__name__", str(cast))
            self._note(var, _KINDS.get(name, name))
            return default

    def bool(self, var: str, default: Any = environ.Env.NOTSET) -> bool:
        """A switch. Words that are neither yes nor no are noted: `CARD_REQUIRED=enabled` must not mean off."""
        text = self.str(var, default="")
        if var in self.ENVIRON and text.strip().lower() not in _YES | _NO:
            self._note(var, "a switch (1 or 0)")
            return bool(default)
        return super().bool(var, default=default)

    def db_url(self, var: str, default: Any = environ.Env.NOTSET, engine: Any = None) -> Any:
        """The database's address as Django's settings."""
        try:
            return super().db_url(var, default=default, engine=engine)
        except (ValueError, ImproperlyConfigured):
            self._note(var, "an address")
            return self.db_url_config(default)

    def _note(self, var: str, kind: str) -> None:
        UNREADABLE.append(f"{var}={self.ENVIRON.get(var)!r} cannot be read as {kind}.")
