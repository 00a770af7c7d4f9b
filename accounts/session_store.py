"""Sessions as Django's `cached_db` keeps them, but without its ways of failing while Redis or the database is away.

It asks the cache alone whether a new session's key is taken (nobody could log in), and it writes what it read from the database into
the cache without asking whether that works (no page would open). The database answers both. `delete` stays strict: a session that is
ended must not come back from the cache. And it takes a database that does not answer for a session that was ended by somebody: the user
would read that his request was wrong (400), and whoever watches that all is well.
"""

from typing import Any

from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.cached_db import SessionStore as CachedDatabaseStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError


class SessionStore(CachedDatabaseStore):
    """See the module."""

    def exists(self, session_key: str) -> bool:
        return DatabaseStore.exists(self, session_key)

    def save(self, must_create: bool = False) -> None:
        try:
            super().save(must_create)
        except UpdateError as error:
            if isinstance(error.__context__, OperationalError | InterfaceError):
                raise error.__context__ from None
            raise

    def load(self) -> dict[str, Any]:
        try:
            return super().load()
        except RedisError:
            return DatabaseStore.load(self)
