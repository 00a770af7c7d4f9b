"""A check for each setting that can be wrong; in production the strict ones are errors.

Run by every manage.py command, and by `portal.startup` for gunicorn and Celery, which would not run them by themselves.
"""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

MODES = ("production", "demo", "test")
POSITIVE_NUMBERS = (
    "SESSION_IDLE_SECONDS",
    "SESSION_ABSOLUTE_SECONDS",
    "RELAY_RECEIPT_TIMEOUT_SECONDS",
    "RELAY_LEASE_SECONDS",
    "RELAY_BACKOFF_MAX_SECONDS",
    "RELAY_MAX_MESSAGE_BYTES",
    "RELAY_HANDLER_ATTEMPTS",
)


@register("settings")
def check_mode(**_kwargs: Any) -> list[CheckMessage]:
    """PORTAL_MODE is one of the three."""
    if settings.PORTAL_MODE in MODES:
        return []
    return [Error(f"PORTAL_MODE={settings.PORTAL_MODE!r} is unknown.", hint=f"Use one of {', '.join(MODES)}.", id="portal.E001")]


@register("settings")
def check_production(**_kwargs: Any) -> list[CheckMessage]:
    """Production has a secret of its own, no DEBUG, named hosts and HTTPS."""
    if settings.PORTAL_MODE != "production":
        return []
    errors: list[CheckMessage] = []
    if settings.DEFAULT_SECRET_KEY in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        errors.append(
            Error("SECRET_KEY is missing or the public default.", hint="Set SECRET_KEY to 50 random characters.", id="portal.E002")
        )
    elif len(settings.SECRET_KEY) < 50 or len(set(settings.SECRET_KEY)) < 10:
        errors.append(Error("SECRET_KEY is too short or too plain.", hint="Use at least 50 random characters.", id="portal.E003"))
    if settings.DEBUG:
        errors.append(Error("DEBUG is on in production.", hint="Unset DEBUG.", id="portal.E004"))
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        errors.append(
            Error("ALLOWED_HOSTS is empty or *.", hint="Name the hosts the portal is reached by, parted by commas.", id="portal.E005")
        )
    if not settings.HTTPS:
        errors.append(
            Error("HTTPS is off in production.", hint="Unset HTTPS; behind a proxy that ends TLS set BEHIND_TLS_PROXY=1.", id="portal.E006")
        )
    return errors


@register("settings")
def check_database(**_kwargs: Any) -> list[CheckMessage]:
    """PostgreSQL is the only engine the portal speaks to."""
    engine = settings.DATABASES["default"].get("ENGINE", "")
    if engine == "django.db.backends.postgresql":
        return []
    return [Error(f"DATABASE_URL names {engine or 'no engine'}.", hint="Use postgresql://user:password@host/name.", id="portal.E007")]


@register("settings")
def check_urls(**_kwargs: Any) -> list[CheckMessage]:
    """Redis and broker addresses have a scheme that Celery and the cache know."""
    errors: list[CheckMessage] = []
    if not settings.REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
        errors.append(Error(f"REDIS_URL={settings.REDIS_URL!r} is not a Redis address.", hint="Use redis://host:port/0.", id="portal.E008"))
    if not settings.CELERY_BROKER_URL.startswith(("redis://", "rediss://", "redis+socket://", "amqp://", "amqps://", "memory://")):
        errors.append(Error("CELERY_BROKER_URL has an unknown scheme.", hint="Use redis:// or amqp://.", id="portal.E009"))
    return errors


@register("settings")
def check_numbers(**_kwargs: Any) -> list[CheckMessage]:
    """Times and sizes are positive; an idle time beyond the absolute one would never be reached."""
    errors: list[CheckMessage] = [
        Error(f"{name} must be greater than 0.", id="portal.E010") for name in POSITIVE_NUMBERS if getattr(settings, name) <= 0
    ]
    if settings.SESSION_IDLE_SECONDS > settings.SESSION_ABSOLUTE_SECONDS:
        errors.append(Error("SESSION_IDLE_SECONDS is greater than SESSION_ABSOLUTE_SECONDS.", id="portal.E011"))
    return errors


@register("settings")
def check_folders(**_kwargs: Any) -> list[CheckMessage]:
    """The exchange directory can be written where it exists; a path that is a file cannot."""
    errors: list[CheckMessage] = []
    for name in ("VAR_DIR", "EXCHANGE_ROOT"):
        path: Path = getattr(settings, name)
        if not path.is_absolute():
            errors.append(Error(f"{name}={path} is not an absolute path.", id="portal.E012"))
        elif path.exists() and not (path.is_dir() and os.access(path, os.W_OK)):
            errors.append(Error(f"{name}={path} is not a folder this user may write to.", id="portal.E013"))
    return errors


@register("settings")
def check_logs(**_kwargs: Any) -> list[CheckMessage]:
    """Log format and level are known ones."""
    errors: list[CheckMessage] = []
    if settings.LOG_FORMAT not in ("json", "console"):
        errors.append(Error(f"LOG_FORMAT={settings.LOG_FORMAT!r} is unknown.", hint="Use json or console.", id="portal.E014"))
    if settings.LOG_LEVEL not in settings.LOG_LEVELS:
        errors.append(Error(f"LOG_LEVEL={settings.LOG_LEVEL!r} is unknown.", hint="Use INFO.", id="portal.E015"))
    return errors
