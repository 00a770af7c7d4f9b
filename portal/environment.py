"""Reading the environment without falling over a value that is none: the settings check tells what is wrong, all at once."""

from typing import Any

import environ

#: What could not be read, as a line for people each; `portal.checks` reports them.
UNREADABLE: list[str] = []


class Environment(environ.Env):
    """django-environ, but a value that cannot be read counts as not given and is noted in UNREADABLE."""

    def get_value(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False) -> Any:
        try:
            return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
        except ValueError:
            if default is environ.Env.NOTSET:
                raise
            UNREADABLE.append(f"{var}={self.ENVIRON.get(var)!r} cannot be read as {getattr(cast, '__name__', cast)}.")
            return default
