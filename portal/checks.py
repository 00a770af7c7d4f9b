"""A check for each setting that can be wrong; in production the strict ones are errors.

Run by every manage.py command, and by `portal.startup` for gunicorn and Celery, which would not run them by themselves.
"""

import os
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from portal.environment import UNREADABLE

MODES = ("production", "demo", "test")
#: As docs/protocol/exchange.xsd has it: the name of a partner is also the name of its directory.
PARTNER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,31}")
CHANNELS = ("directory", "amqp")
#: Object identifier (the first arc is 0, 1 or 2) and value.
LEGAL_PERSON_MARK = re.compile(r"[0-2](\.(0|[1-9][0-9]*)){2,}=[^=\s]+")
#: Where the user's own computer answers; wss is what the official control speaks at its other port.
LOOPBACK = re.compile(r"wss?://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?/?")
#: How a file of TrueType outlines begins; one of several fonts begins with ttcf.
_TRUE_TYPE = (b"\x00\x01\x00\x00", b"true", b"ttcf")
POSITIVE_NUMBERS = (
    "SESSION_IDLE_SECONDS",
    "SESSION_ABSOLUTE_SECONDS",
    "RELAY_RECEIPT_TIMEOUT_SECONDS",
    "RELAY_LEASE_SECONDS",
    "RELAY_BACKOFF_MAX_SECONDS",
    "RELAY_MAX_MESSAGE_BYTES",
    "RELAY_HANDLER_ATTEMPTS",
    "RELAY_SWEEP_SECONDS",
    "RELAY_POLL_SECONDS",
    "RELAY_BROKER_TIMEOUT_SECONDS",
    "CONTENT_ATTACHMENT_MAX_BYTES",
    "IMPORT_MAX_BYTES",
    "IMPORT_KEEP_DAYS",
    "LOGIN_FAILURES_PER_ACCOUNT",
    "LOGIN_FAILURES_PER_ADDRESS",
    "LOGIN_CLOSED_SECONDS",
    "CARD_CHALLENGES_PER_ADDRESS_AND_MINUTE",
    "CARD_CRL_REFRESH_SECONDS",
    "CARD_REVOCATION_TIMEOUT_SECONDS",
    "CARD_END_WARNING_DAYS",
    "DORMANT_AFTER_DAYS",
    "DORMANCY_WARNING_DAYS",
    "SMS_GATEWAY_TIMEOUT_SECONDS",
    "SMS_CODES_PER_ADDRESS_AND_HOUR",
    "NOTIFICATION_KEEP_DAYS",
    "RELAY_ALERT_OUTBOUND_SECONDS",
    "RELAY_ALERT_INBOUND_SECONDS",
    "RELAY_ALERT_SILENT_SECONDS",
    "RELAY_ALERT_QUARANTINE_SECONDS",
    "RELAY_ALERT_REFUSED_SECONDS",
    "RELAY_ALERT_CALM_SECONDS",
    "RELAY_ALERT_REMIND_SECONDS",
)
#: A token in the form that HTTP knows (RFC 6750), too long to be guessed.
TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{32,}=*")


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
    database = settings.DATABASES["default"]
    hint = "Use postgresql://user:password@host/name."
    if database.get("ENGINE", "") != "django.db.backends.postgresql":
        return [Error(f"DATABASE_URL names {database.get('ENGINE') or 'no engine'}.", hint=hint, id="portal.E007")]
    errors: list[CheckMessage] = []
    if not database.get("NAME"):
        errors.append(Error("DATABASE_URL names no database.", hint=hint, id="portal.E007"))
    if database["CONN_MAX_AGE"] < 0:
        errors.append(Error("DATABASE_CONN_MAX_AGE is less than 0.", id="portal.E010"))
    return errors


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
    errors += [
        Error(f"{name} is less than 0.", hint="Use 0 to keep everything.", id="portal.E010")
        for name in ("RELAY_KEEP_MONTHS", "SMARTGATE_DROP_KEEP_DAYS")
        if getattr(settings, name) < 0
    ]
    if settings.DORMANCY_WARNING_DAYS >= settings.DORMANT_AFTER_DAYS:
        errors.append(Error("DORMANCY_WARNING_DAYS is not less than DORMANT_AFTER_DAYS.", id="portal.E020"))
    if settings.SESSION_IDLE_SECONDS > settings.SESSION_ABSOLUTE_SECONDS:
        errors.append(Error("SESSION_IDLE_SECONDS is greater than SESSION_ABSOLUTE_SECONDS.", id="portal.E011"))
    return errors


@register("settings")
def check_folders(**_kwargs: Any) -> list[CheckMessage]:
    """The directories for data, exchange and uploads can be written where they exist; a path that is a file cannot."""
    errors: list[CheckMessage] = []
    for name in ("VAR_DIR", "EXCHANGE_ROOT", "FILES_ROOT", "RELAY_ARCHIVE_DIR", "SMARTGATE_DROP_ROOT"):
        path: Path | None = getattr(settings, name)
        if path is None:
            continue
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


@register("settings")
def check_watching(**_kwargs: Any) -> list[CheckMessage]:
    """The token of /metrics can stand in a header and cannot be guessed; alerts go to addresses."""
    errors: list[CheckMessage] = []
    if settings.METRICS_TOKEN and not TOKEN.fullmatch(settings.METRICS_TOKEN):
        hint = 'Use 32 or more letters and digits: python -c "import secrets; print(secrets.token_urlsafe(32))".'
        errors.append(Error("METRICS_TOKEN is too short, or no bearer token.", hint=hint, id="portal.E050"))
    for address in settings.RELAY_ALERT_EMAILS:
        try:
            validate_email(address)
        except ValidationError:
            errors.append(Error(f"RELAY_ALERT_EMAILS: {address!r} is no e-mail address.", id="portal.E051"))
    return errors


@register("settings")
def check_readable(**_kwargs: Any) -> list[CheckMessage]:
    """Every value could be read as what it should be (a number, JSON …)."""
    return [Error(text, hint="See docs/operations/settings.md.", id="portal.E016") for text in UNREADABLE]


@register("settings")
def check_partners(**_kwargs: Any) -> list[CheckMessage]:
    """The relay's own id and its partners' can stand in an envelope; each partner has a channel that there is; customs is one."""
    errors: list[CheckMessage] = []
    if not PARTNER_ID.fullmatch(settings.RELAY_SENDER_ID):
        errors.append(Error(f"RELAY_SENDER_ID={settings.RELAY_SENDER_ID!r} cannot stand in an envelope.", id="portal.E017"))
    partners = settings.RELAY_PARTNERS
    if not isinstance(partners, dict) or "customs" not in partners:
        hint = 'Use {"customs": {"channel": "directory"}}.'
        return [*errors, Error("RELAY_PARTNERS is no JSON object with a partner `customs`.", hint=hint, id="portal.E018")]
    for name, options in partners.items():
        if not PARTNER_ID.fullmatch(name):
            errors.append(Error(f"RELAY_PARTNERS: {name!r} is not a partner's id.", id="portal.E018"))
        if not isinstance(options, dict) or options.get("channel") not in CHANNELS:
            errors.append(Error(f"RELAY_PARTNERS: {name!r} has no channel out of {', '.join(CHANNELS)}.", id="portal.E018"))
        elif options["channel"] == "amqp":
            errors += _check_broker(name, options)
    return errors


def _check_broker(partner: str, options: dict[str, str]) -> list[CheckMessage]:
    from relay.channels.broker import BadBrokerOptionsError, BrokerOptions

    passwords = settings.RELAY_BROKER_PASSWORDS
    if not isinstance(passwords, dict):
        return [Error("RELAY_BROKER_PASSWORDS is no JSON object.", hint='Use {"customs": "…"}.', id="portal.E027")]
    try:
        broker = BrokerOptions.read(partner, options, passwords)
    except BadBrokerOptionsError as error:
        return [Error(f"RELAY_PARTNERS: {partner!r}: {error}.", hint="See docs/operations/settings.md.", id="portal.E027")]
    errors: list[CheckMessage] = []
    if settings.PORTAL_MODE == "production" and broker.tls is None and broker.host not in ("localhost", "127.0.0.1", "::1"):
        hint = "Use amqps://, or a proxy on this machine that speaks TLS."
        errors.append(Error(f"RELAY_PARTNERS: {partner!r} is reached over the network without TLS.", hint=hint, id="portal.E028"))
    if settings.RELAY_BROKER_TIMEOUT_SECONDS * 2 > settings.RELAY_LEASE_SECONDS:
        hint = "Another worker would take the messages while this one still waits for the broker."
        errors.append(Error("RELAY_BROKER_TIMEOUT_SECONDS is more than half of RELAY_LEASE_SECONDS.", hint=hint, id="portal.E029"))
    return errors


@register("settings")
def check_vendor_files(**_kwargs: Any) -> list[CheckMessage]:
    """The icons that pages draw are there: without them no page can be shown."""
    if settings.PORTAL_MODE != "production" or (settings.VENDOR_DIR / "icons").is_dir():
        return []
    return [Error(f"{settings.VENDOR_DIR} lacks the pages' icons.", hint="Run `make setup` with this VAR_DIR.", id="portal.E019")]


@register("settings")
def check_print_fonts(**_kwargs: Any) -> list[CheckMessage]:
    """The fonts of printed documents are there and can be embedded: without them nothing can be printed."""
    # Elsewhere a document says so when it is printed; a desk need not have copied them to run a command.
    if settings.PORTAL_MODE != "production":
        return []
    hint = "Run `make setup` with this VAR_DIR, or name TrueType files in PRINT_FONTS."
    if not settings.PRINT_FONTS:
        return [Error("PRINT_FONTS is empty.", hint=hint, id="portal.E030")]
    errors: list[CheckMessage] = []
    for path in settings.PRINT_FONTS:
        try:
            with Path(path).open("rb") as file:
                kind = file.read(4)
        except OSError as error:
            errors.append(Error(f"PRINT_FONTS: {path} cannot be read: {error.strerror}.", hint=hint, id="portal.E030"))
            continue
        if kind not in _TRUE_TYPE:
            errors.append(Error(f"PRINT_FONTS: {path} is no TrueType font (.ttf, .ttc).", hint=hint, id="portal.E030"))
    return errors


@register("settings")
def check_accounts(**_kwargs: Any) -> list[CheckMessage]:
    """Registration and login: known words, keys of one's own, gateways that can be reached, no open picture code in production."""
    errors: list[CheckMessage] = []
    if settings.REGISTRATION_REVIEW not in ("auto", "manual"):
        errors.append(Error(f"REGISTRATION_REVIEW={settings.REGISTRATION_REVIEW!r} is neither auto nor manual.", id="portal.E021"))
    errors += _check_url("SMS_GATEWAY_URL", "portal.E022") + _check_url("STANDARD_EDITION_ISSUER", "portal.E023")
    if settings.STANDARD_EDITION_ISSUER and not settings.STANDARD_EDITION_CLIENT_ID:
        errors.append(Error("STANDARD_EDITION_ISSUER is set, STANDARD_EDITION_CLIENT_ID is not.", id="portal.E023"))
    if settings.PORTAL_MODE != "production":
        return errors
    if settings.DEFAULT_FIELD_KEY in settings.FIELD_KEYS or any(len(key) < 32 for key in settings.FIELD_KEYS):
        errors.append(Error("FIELD_KEYS is missing, the public default, or holds a key of fewer than 32 characters.", id="portal.E024"))
    if settings.CAPTCHA_TEST_MODE:
        errors.append(Error("CAPTCHA_TEST_MODE is on in production.", hint="Unset CAPTCHA_TEST_MODE.", id="portal.E025"))
    if not (settings.SMS_GATEWAY_URL and settings.SMS_GATEWAY_TOKEN):
        errors.append(Error("SMS_GATEWAY_URL or SMS_GATEWAY_TOKEN is missing: nobody could register or log in.", id="portal.E026"))
    return errors


@register("settings")
def check_cards(**_kwargs: Any) -> list[CheckMessage]:
    """Cards: revocation is asked in known ways, in production in one at least, and there is somebody whose cards count where they must."""
    errors: list[CheckMessage] = []
    wrong = [word for word in settings.CARD_REVOCATION if word not in ("ocsp", "crl")]
    if wrong or (settings.PORTAL_MODE == "production" and not settings.CARD_REVOCATION):
        hint = "Use ocsp, crl, or both, parted by a comma."
        errors.append(Error(f"CARD_REVOCATION={','.join(settings.CARD_REVOCATION)!r} is no way to ask.", hint=hint, id="portal.E040"))
    if settings.CARD_CRL_GRACE_SECONDS < 0:
        errors.append(Error("CARD_CRL_GRACE_SECONDS is less than 0.", id="portal.E041"))
    wrong = [mark for mark in settings.CARD_LEGAL_PERSON_MARKS if not LEGAL_PERSON_MARK.fullmatch(mark)]
    if wrong:
        hint = "Use an extension and its value, as 1.3.6.1.4.1.5315.100.5.12=01."
        errors.append(Error(f"CARD_LEGAL_PERSON_MARKS={','.join(wrong)!r} is no mark of a card.", hint=hint, id="portal.E045"))
    if not LOOPBACK.fullmatch(settings.CARD_BRIDGE_URL):
        hint = "Use ws://127.0.0.1:61232: PINs go there, and must not leave the user's computer."
        errors.append(Error(f"CARD_BRIDGE_URL={settings.CARD_BRIDGE_URL!r} is not the user's own computer.", hint=hint, id="portal.E046"))
    anchors = settings.CARD_TRUST_ANCHORS
    if settings.PORTAL_MODE == "production" and settings.CARD_REQUIRED and not (anchors.is_dir() and any(anchors.iterdir())):
        hint = "Put the certificates of the authority whose cards count there, see docs/operations/cards.md."
        errors.append(Error(f"CARD_REQUIRED is on and CARD_TRUST_ANCHORS={anchors} holds no certificate.", hint=hint, id="portal.E042"))
    return errors


def _check_url(name: str, check_id: str) -> list[CheckMessage]:
    """An address of another system: empty, or HTTPS; the demo and the tests speak to simulators on this machine."""
    value = getattr(settings, name)
    schemes = ("https://",) if settings.PORTAL_MODE == "production" else ("https://", "http://")
    if not value or value.startswith(schemes):
        return []
    return [Error(f"{name}={value!r} does not begin with {' or '.join(schemes)}.", id=check_id)]
