"""Which pages may use the card: an allow-list of origins (scheme, host, port), as the browser names them in the header Origin."""

from collections.abc import Iterable
from urllib.parse import urlsplit

#: Where `make run` serves the portal on one's own desk.
DEFAULT = ("http://127.0.0.1:8000", "http://localhost:8000")
_PORTS = {"http": 80, "https": 443}


def normalise(origin: str) -> str:
    """An origin in the form in which browsers send it. Raises ValueError when it is none (or the origin `null`, which anybody can have)."""
    parts = urlsplit(origin.strip())
    if (
        parts.scheme not in _PORTS
        or not parts.hostname
        or parts.path not in {"", "/"}
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ValueError(f"{origin!r} is no origin: give scheme, host and port alone, as in https://sw.example.cn")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port
    return f"{parts.scheme}://{host}" if port in {None, _PORTS[parts.scheme]} else f"{parts.scheme}://{host}:{port}"


class Origins:
    """The allow-list."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """Raises ValueError for what is no origin."""
        self._allowed = frozenset(normalise(origin) for origin in allowed)

    def allow(self, origin: str | None) -> bool:
        """Whether a page of this origin may use the card. A connection without an origin is no page, and may not."""
        if origin is None:
            return False
        try:
            return normalise(origin) in self._allowed
        except ValueError:
            return False

    def __str__(self) -> str:
        return " ".join(sorted(self._allowed))
