"""Sessions as Django's `cached_db` keeps them, but without its two ways of failing while Redis is away.

It asks the cache alone whether a new session's key is taken (nobody could log in), and it writes what it read from the database into
the cache without asking whether that works (no page would open). The database answers both. `delete` stays strict: a session that is
ended must not come back from the cache.
"""

from typing import Any

from django.contrib.sessions.backends.cached_db import SessionStore as CachedDatabaseStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from redis.exceptions import RedisError


class SessionStore(CachedDatabaseStore):
    """See the module."""

    def exists(self, session_key: str) -> bool:
        return DatabaseStore.exists(self, session_key)

    def load(self) -> dict[str, Any]:
        try:
            return super().load()
        except RedisError:
            return DatabaseStore.load(self)
