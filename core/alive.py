"""Which workers and clocks are alive: each says so every few seconds, and is forgotten when it does not (OPS-03).

Times are those of Redis, since several machines have several clocks.
"""

import time
from typing import Final

from core.metrics import redis

#: Who has not said anything for so long is not alive.
SILENT_SECONDS: Final = 20
#: Nobody says it more often than this.
SAY_SECONDS: Final = 5
_FORGOTTEN_SECONDS: Final = 3600

_said: dict[tuple[str, str], float] = {}


def say(kind: str, name: str) -> None:
    """`name` is one of `kind` and alive. Never raises; while Redis is away it costs a second at most, every five."""
    now = time.monotonic()
    if now - _said.get((kind, name), -SAY_SECONDS) < SAY_SECONDS:
        return
    _said[kind, name] = now
    try:
        at = _now()
        with redis().pipeline(transaction=True) as pipe:
            pipe.zadd(_key(kind), {name: at})
            pipe.zremrangebyscore(_key(kind), "-inf", at - _FORGOTTEN_SECONDS)
            pipe.execute()
    except Exception:  # noqa: S110 - said again in a moment; that Redis is away others say
        pass


def number(kind: str) -> int:
    """How many of this kind are alive. Raises redis.RedisError."""
    return int(redis().zcount(_key(kind), _now() - SILENT_SECONDS, "+inf"))


def _now() -> float:
    seconds, microseconds = redis().time()
    return seconds + microseconds / 1_000_000


def _key(kind: str) -> str:
    return f"portal:alive:{kind}"
