"""All settings of the portal: one module, every value from the environment.

`docs/operations/settings.md` lists the variables; `portal/checks.py` refuses the values that can be wrong.
People may keep theirs in a file `.env` beside manage.py; a variable of the real environment wins.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _
from kombu import Queue

from portal.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()
Environment.read_env(BASE_DIR / ".env")

# -- What kind of running this is -------------------------------------------------------------
#: production (the default: whoever forgets to say gets the strict one), demo (`make run`) or test.
PORTAL_MODE: str = env.str("PORTAL_MODE", default="production")
DEMO_MODE = PORTAL_MODE == "demo"
DEBUG: bool = env.bool("DEBUG", default=False)
#: Whatever is written here is public; `portal.checks` refuses it in production.
DEFAULT_SECRET_KEY = "not-a-secret-demo-and-tests-only-" + "0" * 32
SECRET_KEY: str = env.str("SECRET_KEY", default="") or DEFAULT_SECRET_KEY
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS", default=[] if PORTAL_MODE == "production" else ["127.0.0.1", "localhost", "testserver", "[::1]"]
)
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
#: Password of every demo account; no account may use it outside the demo.
DEMO_PASSWORD = "Demo12345"  # noqa: S105 - public on purpose

# -- Rooms ------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "portal",
    "smartgate",
    "relay",
    "accounts",
    "notifications",
    "reference",
    "core",
    "portal.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "captcha",
    "crispy_forms",
    "crispy_bootstrap5",
    "csp",
    "django_filters",
    "django_htmx",
    "django_structlog",
    "django_tables2",
    "formtools",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.middleware.RequestIdMiddleware",
    "portal.middleware.RequestCountMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "accounts.middleware.SessionRulesMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.middleware.GateMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.shell.work_area",
            ],
        },
    },
]
#: Widgets of our own have their templates where all others are.
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"
DJANGO_TABLES2_TEMPLATE = "core/listing/table.html"

# -- Database, cache, queue ---------------------------------------------------------------------
DATABASES: dict[str, dict[str, Any]] = {"default": env.db_url("DATABASE_URL", default="postgresql:///portal")}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", default=60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
#: A database that is gone without a word must not hold whoever asks it for ever; DATABASE_URL may say otherwise (…?connect_timeout=10).
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
} | DATABASES["default"].get("OPTIONS", {})
#: PgBouncer in transaction mode cannot carry server-side cursors from one transaction to the next.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = env.bool("DATABASE_BEHIND_PGBOUNCER", default=False)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL: str = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "portal",
        # A Redis that hangs must not hang the pages: sessions fall back to the database, the relay's sweep needs no wake-up.
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
}

CELERY_BROKER_URL: str = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "portal"
CELERY_TASK_QUEUES = [Queue("portal"), Queue("relay"), Queue("notifications")]
CELERY_TASK_ROUTES = {"relay.*": {"queue": "relay"}, "notifications.*": {"queue": "notifications"}}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
#: The web process must not hang on a broker that is away: the sweep finds what was not announced.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 5, "visibility_timeout": 600}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TIMEZONE = "Asia/Shanghai"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
#: How often the relay looks for what nobody announced, and into the partners' InBox.
RELAY_SWEEP_SECONDS: float = env.float("RELAY_SWEEP_SECONDS", default=2.0)
RELAY_POLL_SECONDS: float = env.float("RELAY_POLL_SECONDS", default=0.25)
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "relay-sweep": {"task": "relay.sweep", "schedule": RELAY_SWEEP_SECONDS, "options": {"expires": 10}},
    "relay-receive": {"task": "relay.receive", "schedule": RELAY_POLL_SECONDS, "options": {"expires": 5}},
    "relay-watch": {"task": "relay.watch", "schedule": 60.0, "options": {"expires": 55}},
    "relay-empty-old": {"task": "relay.empty_old", "schedule": crontab(hour=1, minute=30)},
    "notifications-sweep": {"task": "notifications.sweep", "schedule": 5.0, "options": {"expires": 10}},
    "notifications-forget-old": {"task": "notifications.forget_old", "schedule": crontab(hour=3, minute=10)},
    "smartgate-sweep-imports": {"task": "smartgate.sweep_imports", "schedule": 10.0, "options": {"expires": 10}},
    "smartgate-take-drops": {"task": "smartgate.take_drops", "schedule": 5.0, "options": {"expires": 5}},
    "smartgate-forget-imports": {"task": "smartgate.forget_imports", "schedule": crontab(hour=3, minute=40)},
    "accounts-freeze-dormant": {"task": "accounts.freeze_dormant", "schedule": crontab(hour=2, minute=30)},
    "accounts-forget-old": {"task": "accounts.forget_old", "schedule": crontab(hour=3, minute=20)},
    "accounts-warn-card-ends": {"task": "accounts.warn_card_ends", "schedule": crontab(hour=8, minute=30)},
    "accounts-refresh-revocation-lists": {"task": "accounts.refresh_revocation_lists", "schedule": crontab(minute="*/10")},
}

# -- Accounts -----------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.PortalBackend"]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "accounts:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.validators.LettersAndDigitsValidator"},
    {"NAME": "accounts.validators.NotTheDemoPasswordValidator"},
]
if PORTAL_MODE == "test":
    # Tests make users by the hundred and prove nothing about PBKDF2.
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SESSION_ENGINE = "accounts.session_store"
SESSION_COOKIE_NAME = "portal_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
#: A session ends after this many seconds without a request, and in any case after the second number.
SESSION_IDLE_SECONDS: int = env.int("SESSION_IDLE_SECONDS", default=2 * 3600)
SESSION_ABSOLUTE_SECONDS: int = env.int("SESSION_ABSOLUTE_SECONDS", default=12 * 3600)
SESSION_COOKIE_AGE = SESSION_ABSOLUTE_SECONDS
#: 或直接关闭浏览器退出系统 (M1 §3).
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
#: Keys of encrypted fields, parted by commas: the first encrypts, all decrypt (`manage.py rotate_field_keys`).
DEFAULT_FIELD_KEY = "not-a-secret-field-key-demo-and-tests-only"
FIELD_KEYS: list[str] = env.list("FIELD_KEYS", default=[]) or [DEFAULT_FIELD_KEY]
#: auto: who registers may log in at once; manual: staff approve first (ACC-06).
REGISTRATION_REVIEW: str = env.str("REGISTRATION_REVIEW", default="auto")
#: The picture code accepts PASSED; for tests, refused in production.
CAPTCHA_TEST_MODE: bool = env.bool("CAPTCHA_TEST_MODE", default=False)
CAPTCHA_LENGTH = 4
CAPTCHA_TIMEOUT = 5  # minutes
CAPTCHA_FONT_SIZE = 34
CAPTCHA_LETTER_ROTATION = (-20, 20)
CAPTCHA_FOREGROUND_COLOR = "#12365c"
#: Whether platform staff must have a second factor (ACC-14); a newcomer looks around the demo without one.
STAFF_SECOND_FACTOR_REQUIRED: bool = env.bool("STAFF_SECOND_FACTOR_REQUIRED", default=PORTAL_MODE == "production")
#: Wrong passwords until the door closes for this long: per account (browsers that logged in to it before count apart) and per address.
LOGIN_FAILURES_PER_ACCOUNT: int = env.int("LOGIN_FAILURES_PER_ACCOUNT", default=10)
LOGIN_FAILURES_PER_ADDRESS: int = env.int("LOGIN_FAILURES_PER_ADDRESS", default=50)
LOGIN_CLOSED_SECONDS: int = env.int("LOGIN_CLOSED_SECONDS", default=15 * 60)
#: Whether a user is told by SMS and e-mail of a login from a place or with a device unlike those of the last 90 days (ACC-14).
LOGIN_NOTICE: bool = env.bool("LOGIN_NOTICE", default=True)
#: ACC-12: an account unused for so many days is frozen, its user warned so many days before.
DORMANT_AFTER_DAYS: int = env.int("DORMANT_AFTER_DAYS", default=180)
DORMANCY_WARNING_DAYS: int = env.int("DORMANCY_WARNING_DAYS", default=14)

# -- django-allauth: login stages, second factors, sessions, single sign-on ----------------------
ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "accounts.adapters.SocialAccountAdapter"
MFA_ADAPTER = "accounts.adapters.MFAAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
#: Challenges for cards (CARD-02): what an address may ask for in a minute, which an enterprise's people may share, and one browser.
CARD_CHALLENGES_PER_ADDRESS_AND_MINUTE: int = env.int("CARD_CHALLENGES_PER_ADDRESS_AND_MINUTE", default=60)
ACCOUNT_RATE_LIMITS = {
    "card_challenge": f"{CARD_CHALLENGES_PER_ADDRESS_AND_MINUTE}/m/ip",
    "card_challenge_session": "20/m/key",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = _("辽宁单一窗口")
#: Half minutes that a phone's clock may be off; who typed a code slowly is not refused.
MFA_TOTP_TOLERANCE = 1
MFA_RECOVERY_CODE_COUNT = 10
MFA_FORMS = {
    "authenticate": "accounts.forms.second_factor.AuthenticateForm",
    "reauthenticate": "accounts.forms.second_factor.CodeAgainForm",
    "activate_totp": "accounts.forms.second_factor.ActivateTotpForm",
    "authenticate_webauthn": "accounts.forms.second_factor.AuthenticatePasskeyForm",
    "reauthenticate_webauthn": "accounts.forms.second_factor.PasskeyAgainForm",
    "login_webauthn": "accounts.forms.second_factor.PasskeyLoginForm",
    "add_webauthn": "accounts.forms.second_factor.AddPasskeyForm",
    "edit_webauthn": "accounts.forms.second_factor.RenamePasskeyForm",
}
ACCOUNT_FORMS = {"reauthenticate": "accounts.forms.second_factor.PasswordAgainForm"}
#: Address of 中央标准版, as its discovery document names it; empty where there is none to sign on through (ACC-09).
STANDARD_EDITION_ISSUER: str = env.str("STANDARD_EDITION_ISSUER", default="")
STANDARD_EDITION_CLIENT_ID: str = env.str("STANDARD_EDITION_CLIENT_ID", default="")
STANDARD_EDITION_CLIENT_SECRET: str = env.str("STANDARD_EDITION_CLIENT_SECRET", default="")
STANDARD_EDITION = "standard_edition"
STANDARD_EDITION_ORIGIN = "{0.scheme}://{0.netloc}".format(urlsplit(STANDARD_EDITION_ISSUER))
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, Any]] = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": STANDARD_EDITION,
                "name": _("中央标准版"),
                "client_id": STANDARD_EDITION_CLIENT_ID,
                "secret": STANDARD_EDITION_CLIENT_SECRET,
                "settings": {"server_url": STANDARD_EDITION_ISSUER, "token_auth_method": "client_secret_basic"},
            }
        ]
        if STANDARD_EDITION_ISSUER
        else [],
    }
}

# -- SMS and e-mail -----------------------------------------------------------------------------
NOTIFICATION_GATEWAYS = {"sms": "notifications.gateways.sms_http.SmsHttpGateway", "email": "notifications.gateways.email.EmailGateway"}
SMS_GATEWAY_URL: str = env.str("SMS_GATEWAY_URL", default="")
SMS_GATEWAY_TOKEN: str = env.str("SMS_GATEWAY_TOKEN", default="")
SMS_GATEWAY_TIMEOUT_SECONDS: float = env.float("SMS_GATEWAY_TIMEOUT_SECONDS", default=10)
#: Codes that one address may ask for in an hour; an enterprise's people may share one.
SMS_CODES_PER_ADDRESS_AND_HOUR: int = env.int("SMS_CODES_PER_ADDRESS_AND_HOUR", default=30)
NOTIFICATION_KEEP_DAYS: int = env.int("NOTIFICATION_KEEP_DAYS", default=90)
vars().update(env.email_url("EMAIL_URL", default="dummymail://" if PORTAL_MODE == "production" else "memorymail://"))
EMAIL_TIMEOUT: float = env.float("EMAIL_TIMEOUT_SECONDS", default=20)
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="service@lneport.gov.cn")

# -- Relay --------------------------------------------------------------------------------------
#: Root of the directory exchange: <root>/<partner>/OutBox, SentBox, InBox, FailBox (domain.md §7).
EXCHANGE_ROOT = Path(env.str("EXCHANGE_ROOT", default=str(VAR_DIR / "exchange")))
PROTOCOL_DIR = BASE_DIR / "docs" / "protocol"
RELAY_SENDER_ID: str = env.str("RELAY_SENDER_ID", default="LNSW")
#: Seconds without a technical receipt after which the same bytes go again.
RELAY_RECEIPT_TIMEOUT_SECONDS: int = env.int("RELAY_RECEIPT_TIMEOUT_SECONDS", default=60)
RELAY_LEASE_SECONDS: int = env.int("RELAY_LEASE_SECONDS", default=30)
RELAY_BACKOFF_MAX_SECONDS: int = env.int("RELAY_BACKOFF_MAX_SECONDS", default=900)
#: Partners and the channel each is reached by.
RELAY_PARTNERS: dict[str, dict[str, str]] = env.json("RELAY_PARTNERS", default={"customs": {"channel": "directory"}})
#: The brokers' passwords by partner, apart from the addresses, so that nothing that shows those shows them.
RELAY_BROKER_PASSWORDS: dict[str, str] = env.json("RELAY_BROKER_PASSWORDS", default={})
#: How long a partner's broker may take for one answer.
RELAY_BROKER_TIMEOUT_SECONDS: float = env.float("RELAY_BROKER_TIMEOUT_SECONDS", default=10)
#: After so many tries a message that its handler cannot digest is set aside.
RELAY_HANDLER_ATTEMPTS: int = env.int("RELAY_HANDLER_ATTEMPTS", default=10)
#: Larger files are never read; they are set aside whole.
RELAY_MAX_MESSAGE_BYTES: int = env.int("RELAY_MAX_MESSAGE_BYTES", default=10 * 1024 * 1024)
#: Settled messages lose their bytes after so many whole months; 0: never.
RELAY_KEEP_MONTHS: int = env.int("RELAY_KEEP_MONTHS", default=36)
#: Where those bytes are written before; None: nowhere.
RELAY_ARCHIVE_DIR: Path | None = Path(_archive) if (_archive := env.str("RELAY_ARCHIVE_DIR", default="")) else None

# -- Smart gate ---------------------------------------------------------------------------------
#: Where the card bridge, or the official control, answers on the user's own computer.
CARD_BRIDGE_URL: str = env.str("CARD_BRIDGE_URL", default="ws://127.0.0.1:61232")
#: By which private extensions of its certificate a legal person's card is known, as 1.3.6.1.4.1.5315.100.5.12=01 (`domain.md` §2: their
#: meaning is not published). Empty: by the legal person's ID number alone.
CARD_LEGAL_PERSON_MARKS: list[str] = env.list("CARD_LEGAL_PERSON_MARKS", default=[])
#: So long before its end the user is warned of his card's certificate (CARD-08).
CARD_END_WARNING_DAYS: int = env.int("CARD_END_WARNING_DAYS", default=30)
#: Whether 申报 demands a signature of the declarant's bound card (CARD-05).
CARD_REQUIRED: bool = env.bool("CARD_REQUIRED", default=True)
#: Larger workbooks of 批量导入 are refused; ten thousand rows as Excel saves them take 1 to 2 MB.
IMPORT_MAX_BYTES: int = env.int("IMPORT_MAX_BYTES", default=10 * 1024 * 1024)
#: Uploaded workbooks are deleted after so many days; the filings stored from them stay.
IMPORT_KEEP_DAYS: int = env.int("IMPORT_KEEP_DAYS", default=7)
#: Where other software drops drafts, in a directory for each enterprise (docs/protocol/drop-folder.md); None: nowhere.
SMARTGATE_DROP_ROOT: Path | None = Path(_drops) if (_drops := env.str("SMARTGATE_DROP_ROOT", default="")) else None
#: Files in `done`, `failed` and `answers` there are deleted after so many days; 0: never.
SMARTGATE_DROP_KEEP_DAYS: int = env.int("SMARTGATE_DROP_KEEP_DAYS", default=90)

# -- Cards --------------------------------------------------------------------------------------
#: Certificates of those whose cards count; in its folder `intermediate` those that must lead to one of them (docs/operations/cards.md).
CARD_TRUST_ANCHORS = Path(env.str("CARD_TRUST_ANCHORS", default=str(VAR_DIR / "cards" / "anchors")))
#: How it is asked whether a card is revoked, in this order, until there is an answer; no answer, no entry.
CARD_REVOCATION: list[str] = env.list("CARD_REVOCATION", default=["ocsp", "crl"])
#: CRLs that the operator brings himself; beside them, what certificates say where their CRL is.
CARD_CRL_DIR = Path(env.str("CARD_CRL_DIR", default=str(VAR_DIR / "cards" / "crl")))
#: A fetched CRL is looked for anew after so long, and used for so long after its next update should have come.
CARD_CRL_REFRESH_SECONDS: int = env.int("CARD_CRL_REFRESH_SECONDS", default=3600)
CARD_CRL_GRACE_SECONDS: int = env.int("CARD_CRL_GRACE_SECONDS", default=24 * 3600)
CARD_REVOCATION_TIMEOUT_SECONDS: float = env.float("CARD_REVOCATION_TIMEOUT_SECONDS", default=5.0)
#: Whether RSA cards may sign over SHA-1, because their software knows nothing else.
CARD_ACCEPT_SHA1: bool = env.bool("CARD_ACCEPT_SHA1", default=False)

# -- Watching -----------------------------------------------------------------------------------
#: How often a process adds what it has counted to Redis; the tests do it themselves.
METRICS_EVERY_SECONDS: float = 0 if PORTAL_MODE == "test" else 1.0
#: Whoever brings it as bearer token reads /metrics. Empty: only who asks from this machine.
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")
#: How old what goes out and what came in may be, how long a partner may be silent while we wait for it, how long something may lie in
#: quarantine, before operators are told; a refusal is told of, and counts as over when none has come for so long.
RELAY_ALERT_OUTBOUND_SECONDS: int = env.int("RELAY_ALERT_OUTBOUND_SECONDS", default=900)
RELAY_ALERT_INBOUND_SECONDS: int = env.int("RELAY_ALERT_INBOUND_SECONDS", default=300)
RELAY_ALERT_SILENT_SECONDS: int = env.int("RELAY_ALERT_SILENT_SECONDS", default=600)
RELAY_ALERT_QUARANTINE_SECONDS: int = env.int("RELAY_ALERT_QUARANTINE_SECONDS", default=900)
RELAY_ALERT_REFUSED_SECONDS: int = env.int("RELAY_ALERT_REFUSED_SECONDS", default=3600)
#: An alert is over when its cause has been gone for so long; while it lasts, its mail is repeated after so long.
RELAY_ALERT_CALM_SECONDS: int = env.int("RELAY_ALERT_CALM_SECONDS", default=300)
RELAY_ALERT_REMIND_SECONDS: int = env.int("RELAY_ALERT_REMIND_SECONDS", default=4 * 3600)
#: Who is mailed.
RELAY_ALERT_EMAILS: list[str] = env.list("RELAY_ALERT_EMAILS", default=[])

# -- Language, time, numbers --------------------------------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("简体中文"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"

# -- Static and uploaded files ------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
#: The npm packages' files that are used, copied there by `python -m devserver vendor`.
VENDOR_DIR = VAR_DIR / "vendor"
STATICFILES_DIRS = [BASE_DIR / "static", *((f"vendor/{name}", VENDOR_DIR / name) for name in ("tabler", "htmx"))]
#: Fonts that printed documents embed (TrueType); of several the first that has a character draws it.
PRINT_FONTS: list[str] = env.list("PRINT_FONTS", default=[str(VENDOR_DIR / "fonts" / "NotoSansSC-Regular.ttf")])
#: Where the default storage keeps uploaded files. No address leads there: a view hands each out to whom it is meant for.
MEDIA_ROOT = FILES_ROOT = Path(env.str("FILES_ROOT", default=str(VAR_DIR / "files")))
#: Larger attachments of announcements and downloads are refused.
CONTENT_ATTACHMENT_MAX_BYTES: int = env.int("CONTENT_ATTACHMENT_MAX_BYTES", default=100 * 1024 * 1024)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if PORTAL_MODE == "test"
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
#: Tests need no `collectstatic`: files are found where they are written.
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = PORTAL_MODE == "test"

# -- Security -----------------------------------------------------------------------------------
#: Whether the portal is reached over HTTPS; only the demo and the tests may say no.
HTTPS: bool = env.bool("HTTPS", default=PORTAL_MODE == "production")
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
#: A proxy of ours ends TLS and says in X-Forwarded-Proto and X-Forwarded-For how and from where the request came.
BEHIND_TLS_PROXY: bool = env.bool("BEHIND_TLS_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS_PROXY else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
#: These two bind every other host of the domain, for a year and more: whoever runs the portal says so, not the portal.
SECURE_HSTS_INCLUDE_SUBDOMAINS: bool = env.bool("HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD: bool = env.bool("HSTS_PRELOAD", default=False)
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
#: A passkey belongs to a host that is reached over HTTPS; only the demo and the tests do without.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
CSRF_FAILURE_VIEW = "portal.views.csrf_failure"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        # The user's own computer reads his card, not the portal's.
        "connect-src": [SELF, CARD_BRIDGE_URL],
        # A browser follows this rule through redirects: signing on and off passes through the standard edition's own address.
        "form-action": [SELF, *([STANDARD_EDITION_ORIGIN] if STANDARD_EDITION_ISSUER else [])],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "manifest-src": [SELF],
    }
}
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024

# -- Logs ---------------------------------------------------------------------------------------
LOG_FORMAT: str = env.str("LOG_FORMAT", default="json" if PORTAL_MODE == "production" else "console")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_LEVEL: str = env.str("LOG_LEVEL", default="INFO")
#: An unknown level is told by the settings check, which has to be able to run.
_KNOWN_LEVEL = LOG_LEVEL if LOG_LEVEL in LOG_LEVELS else "INFO"
_SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structured": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False)
                if LOG_FORMAT == "json"
                else structlog.dev.ConsoleRenderer(colors=False),
            ],
            "foreign_pre_chain": _SHARED_PROCESSORS,
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
    "root": {"handlers": ["console"], "level": _KNOWN_LEVEL},
    "loggers": {
        "django.security.DisallowedHost": {"level": "ERROR"},
        # A 403 or 404 is told by django-structlog with its request; Django would add the traceback of the refusal.
        "django.request": {"level": "ERROR"},
        # It warns of its test mode at every start; portal.E025 refuses that where it matters.
        "captcha.conf.settings": {"level": "CRITICAL"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        # Who tries the demo wants to see the address and the accounts, not a line for every request.
        "django_structlog": {"level": "WARNING" if DEMO_MODE else _KNOWN_LEVEL},
    },
}
structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *_SHARED_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
DJANGO_STRUCTLOG_CELERY_ENABLED = True
#: What is upstream here is `portal.middleware.RequestIdMiddleware`, which lets nothing of the client's pass.
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = 20
DJANGO_STRUCTLOG_USER_ID_FIELD = "username"
