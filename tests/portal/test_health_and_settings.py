"""Health addresses, and the refusal to start on settings that are wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command

from accounts.models import User
from core.models import AuditEntry
from devserver import vendor
from portal import health
from relay.models import OutboundMessage
from tests.smartgate.pages import NEW, entry_post

SECRET = "q8Zk1v7Rm3Xw9Tb5Yc2Nf6Hd4Jg0LsPaUeIoKtMvBxCzQrWyEn"
GOOD = {
    "PORTAL_MODE": "production",
    "SECRET_KEY": SECRET,
    "ALLOWED_HOSTS": "portal.example",
    "DATABASE_URL": "postgresql://portal@db/portal",
    "REDIS_URL": "redis://redis:6379/0",
    "FIELD_KEYS": "one-key-of-forty-characters-0123456789ab",
    "SMS_GATEWAY_URL": "https://sms.example/send",
    "SMS_GATEWAY_TOKEN": "token",
    # Whose cards count lies in a directory, of which a test has none.
    "CARD_REQUIRED": "0",
}
BROKER = '{"channel": "amqp", "url": "amqps://lnsw@mq.customs.example/exchange"}'
BROKER_PASSWORDS = {"RELAY_BROKER_PASSWORDS": '{"customs": "sesame"}'}
BAD = {
    "dormancy": ({"DORMANCY_WARNING_DAYS": "180"}, "portal.E020"),
    "registration review": ({"REGISTRATION_REVIEW": "perhaps"}, "portal.E021"),
    "SMS gateway without TLS": ({"SMS_GATEWAY_URL": "http://sms.example/send"}, "portal.E022"),
    "standard edition without TLS": (
        {"STANDARD_EDITION_ISSUER": "http://sso.example", "STANDARD_EDITION_CLIENT_ID": "lnsw"},
        "portal.E023",
    ),
    "standard edition without client": ({"STANDARD_EDITION_ISSUER": "https://sso.example"}, "portal.E023"),
    "no field key": ({"FIELD_KEYS": ""}, "portal.E024"),
    "short field key": ({"FIELD_KEYS": "one-key-of-forty-characters-0123456789ab,short"}, "portal.E024"),
    "open picture code": ({"CAPTCHA_TEST_MODE": "1"}, "portal.E025"),
    "no SMS gateway": ({"SMS_GATEWAY_TOKEN": ""}, "portal.E026"),
    "revocation asked in no known way": ({"CARD_REVOCATION": "ocsp,telephone"}, "portal.E040"),
    "revocation not asked": ({"CARD_REVOCATION": ""}, "portal.E040"),
    "revocation list of the future": ({"CARD_CRL_GRACE_SECONDS": "-1"}, "portal.E041"),
    "cards of nobody": ({"CARD_REQUIRED": "1"}, "portal.E042"),
    "card bridge elsewhere": ({"CARD_BRIDGE_URL": "wss://127.0.0.1.example:61232"}, "portal.E046"),
    "mark of no extension": ({"CARD_LEGAL_PERSON_MARKS": "5.12=01,legal person"}, "portal.E045"),
    "mark without a value": ({"CARD_LEGAL_PERSON_MARKS": "1.3.6.1.4.1.5315.100.5.12="}, "portal.E045"),
    "mode": ({"PORTAL_MODE": "debug"}, "portal.E001"),
    "no secret": ({"SECRET_KEY": ""}, "portal.E002"),
    "default secret": ({"SECRET_KEY": django_settings.DEFAULT_SECRET_KEY}, "portal.E002"),
    "default secret as fallback": ({"SECRET_KEY_FALLBACKS": django_settings.DEFAULT_SECRET_KEY}, "portal.E002"),
    "short secret": ({"SECRET_KEY": "abc"}, "portal.E003"),
    "debug": ({"DEBUG": "1"}, "portal.E004"),
    "no host": ({"ALLOWED_HOSTS": ""}, "portal.E005"),
    "any host": ({"ALLOWED_HOSTS": "*"}, "portal.E005"),
    "no https": ({"HTTPS": "0"}, "portal.E006"),
    "sqlite": ({"DATABASE_URL": "sqlite:///x.db"}, "portal.E007"),
    "redis": ({"REDIS_URL": "http://redis"}, "portal.E008"),
    "broker": ({"CELERY_BROKER_URL": "sqs://x"}, "portal.E009"),
    "number": ({"RELAY_LEASE_SECONDS": "0"}, "portal.E010"),
    "idle beyond absolute": ({"SESSION_IDLE_SECONDS": "99999999"}, "portal.E011"),
    "relative path": ({"VAR_DIR": "var"}, "portal.E012"),
    "path is a file": ({"EXCHANGE_ROOT": __file__}, "portal.E013"),
    "uploads go into a file": ({"FILES_ROOT": __file__}, "portal.E013"),
    "no attachment at all": ({"CONTENT_ATTACHMENT_MAX_BYTES": "0"}, "portal.E010"),
    "no workbook at all": ({"IMPORT_MAX_BYTES": "0"}, "portal.E010"),
    "workbooks forgotten at once": ({"IMPORT_KEEP_DAYS": "0"}, "portal.E010"),
    "log format": ({"LOG_FORMAT": "yaml"}, "portal.E014"),
    "log level": ({"LOG_LEVEL": "LOUD"}, "portal.E015"),
    "no number": ({"SESSION_IDLE_SECONDS": "2h"}, "portal.E016"),
    "no switch": ({"CARD_REQUIRED": "enabled"}, "portal.E016"),
    "no switch in the trade's own language": ({"BEHIND_TLS_PROXY": "是"}, "portal.E016"),
    "no port": ({"DATABASE_URL": "postgresql://u:p@db:port/portal"}, "portal.E016"),
    "no JSON": ({"RELAY_PARTNERS": "customs"}, "portal.E016"),
    "database without a name": ({"DATABASE_URL": "postgresql://db"}, "portal.E007"),
    "negative age": ({"DATABASE_CONN_MAX_AGE": "-5"}, "portal.E010"),
    "sweep": ({"RELAY_SWEEP_SECONDS": "-1"}, "portal.E010"),
    "poll": ({"RELAY_POLL_SECONDS": "0"}, "portal.E010"),
    "less than no months": ({"RELAY_KEEP_MONTHS": "-1"}, "portal.E010"),
    "less than no days": ({"SMARTGATE_DROP_KEEP_DAYS": "-1"}, "portal.E010"),
    "relative archive": ({"RELAY_ARCHIVE_DIR": "archive"}, "portal.E012"),
    "relative drop folder": ({"SMARTGATE_DROP_ROOT": "drops"}, "portal.E012"),
    "sender": ({"RELAY_SENDER_ID": "LN SW!"}, "portal.E017"),
    "partners are no object": ({"RELAY_PARTNERS": '["customs"]'}, "portal.E018"),
    "no customs": ({"RELAY_PARTNERS": "{}"}, "portal.E018"),
    "partner outside the exchange": (
        {"RELAY_PARTNERS": '{"customs": {"channel": "directory"}, "../../etc": {"channel": "directory"}}'},
        "portal.E018",
    ),
    "unknown channel": ({"RELAY_PARTNERS": '{"customs": {"channel": "pigeon"}}'}, "portal.E018"),
    "broker without an address": ({"RELAY_PARTNERS": '{"customs": {"channel": "amqp"}}', **BROKER_PASSWORDS}, "portal.E027"),
    "broker without a password": ({"RELAY_PARTNERS": f'{{"customs": {BROKER}}}'}, "portal.E027"),
    "password in the address": (
        {"RELAY_PARTNERS": f'{{"customs": {BROKER.replace("lnsw@", "lnsw:sesame@")}}}', **BROKER_PASSWORDS},
        "portal.E027",
    ),
    "passwords are no object": ({"RELAY_PARTNERS": f'{{"customs": {BROKER}}}', "RELAY_BROKER_PASSWORDS": '["x"]'}, "portal.E027"),
    "broker without TLS": ({"RELAY_PARTNERS": f'{{"customs": {BROKER.replace("amqps:", "amqp:")}}}', **BROKER_PASSWORDS}, "portal.E028"),
    "lease shorter than a broker's answer": (
        {"RELAY_PARTNERS": f'{{"customs": {BROKER}}}', "RELAY_BROKER_TIMEOUT_SECONDS": "20", **BROKER_PASSWORDS},
        "portal.E029",
    ),
    "no icons": ({}, "portal.E019"),
    "token that can be guessed": ({"METRICS_TOKEN": "prometheus"}, "portal.E050"),
    "token that no header carries": ({"METRICS_TOKEN": "海关" * 20}, "portal.E050"),
    "alerts to nobody": ({"RELAY_ALERT_EMAILS": "ops@example.com,operators"}, "portal.E051"),
    "alert at once": ({"RELAY_ALERT_SILENT_SECONDS": "0"}, "portal.E010"),
    "no font": ({}, "portal.E030"),
    "no fonts at all": ({"PRINT_FONTS": ""}, "portal.E030"),
    "a font that is none": ({"PRINT_FONTS": __file__}, "portal.E030"),
}


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return subprocess.run(
        [sys.executable, *command], cwd=Path(django_settings.BASE_DIR), env=clean | environment, capture_output=True, text=True, check=False
    )


def test_check_deploy_is_clean_in_production(tmp_path):
    vendor.copy(tmp_path / "vendor")
    done = run(["manage.py", "check", "--deploy", "--fail-level", "WARNING"], **GOOD, VAR_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize(("change", "code"), BAD.values(), ids=BAD.keys())
def test_each_value_that_can_be_wrong_is_refused(change, code, tmp_path):
    done = run(["manage.py", "check"], **{**GOOD, "VAR_DIR": str(tmp_path), **change})
    assert done.returncode != 0
    assert code in done.stderr


@pytest.mark.covers("CARD-05")
def test_cards_are_demanded_unless_somebody_says_otherwise(tmp_path):
    """And then there has to be somebody whose cards count."""
    silent = {name: value for name, value in GOOD.items() if name != "CARD_REQUIRED"}
    assert "portal.E042" in run(["manage.py", "check"], **silent, VAR_DIR=str(tmp_path)).stderr


STARTS = {
    "web": ["-c", "import portal.wsgi"],
    "worker": ["-m", "celery", "-A", "portal", "worker"],
    "beat": ["-m", "celery", "-A", "portal", "beat"],
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_nothing_starts_on_wrong_settings(start, tmp_path):
    done = run(start, **{**GOOD, "VAR_DIR": str(tmp_path), "ALLOWED_HOSTS": "", "DJANGO_SETTINGS_MODULE": "portal.settings"})
    assert done.returncode != 0
    assert "portal.E005" in done.stderr


@pytest.mark.covers("OPS-01")
@pytest.mark.django_db
def test_demo_data_is_refused_outside_the_demo():
    with pytest.raises(CommandError, match="PORTAL_MODE=demo"):
        call_command("seed_demo")
    assert not User.objects.exists()


@pytest.mark.covers("OPS-03")
def test_healthz_needs_nothing(client):
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok")


@pytest.mark.covers("OPS-03")
@pytest.mark.django_db
def test_readyz_names_every_part(client):
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"ready": True, "parts": {"database": "ok", "migrations": "ok", "redis": "ok"}})


@pytest.mark.covers("OPS-03")
@pytest.mark.django_db
@pytest.mark.parametrize("part", health.CHECKS)
def test_readyz_says_503_and_which_part_but_not_why(client, monkeypatch, part):
    def broken() -> None:
        raise OSError("connection to 10.1.2.3 refused")

    monkeypatch.setitem(health.CHECKS, part, broken)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"][part] == "failed"
    assert "10.1.2.3" not in response.content.decode()


@pytest.mark.covers("OPS-03")
@pytest.mark.django_db
def test_the_request_id_reaches_the_message(operator, operator_client, settings):
    call_command("seed_reference", verbosity=0)
    settings.CARD_REQUIRED = False
    operator_client.post(NEW, entry_post("declare_confirmed"))
    message = OutboundMessage.objects.get()
    assert len(message.request_id) > 30
    assert message.request_id == AuditEntry.unscoped.get(action="smartgate.filing.declare").request_id
    assert f">{message.request_id}<".encode() in bytes(message.content)
