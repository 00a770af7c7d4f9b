"""What was kept with a filing, verified by `manage.py verify_signature` and by OpenSSL alone (CARD-07)."""

import subprocess
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import User
from accounts.signatures.revocation import Method
from simulators.cards.keys import KeyType
from smartgate import services
from smartgate.models import Filing
from tests.accounts.card_holders import bind, card_of, signed
from tests.accounts.test_evidence_export import steps
from tests.cards import Authorities
from tests.smartgate.factories import make_filing


@pytest.mark.django_db(transaction=True)
@pytest.mark.covers("CARD-07", "CARD-08")
@pytest.mark.parametrize("kind", KeyType)
def test_a_declared_filing(
    operator: User, cards_required: Authorities, kind: KeyType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = card_of(operator.enterprise, cards_required, kind=kind)
    bind(operator, card)
    actor = User.objects.get(pk=operator.pk)
    filing: Filing = make_filing(actor)
    text = services.text_to_sign(actor=actor, filing=Filing.unscoped.get(pk=filing.pk))
    services.declare_filing(actor=actor, filing_id=filing.pk, presented=signed(card, text))

    call_command("verify_signature", "--filing", filing.trip_no, "--text", "--export", str(tmp_path / "out"))
    said = capsys.readouterr().out
    assert said.startswith(f"{filing.trip_no}, filing {filing.subject}, version 1, evidence ")
    assert ": holds" in said
    assert text in said
    (exported,) = (tmp_path / "out").iterdir()
    assert (exported / "text.txt").read_bytes() == text.encode()
    (revocation,) = exported.glob("revocation.*")
    commands = "".join(steps(kind, Method(revocation.suffix[1:])))
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=exported, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE accounts_signatureevidence SET text = replace(text, '千克', '吨')")
        cursor.execute("SET session_replication_role = origin")
    with pytest.raises(CommandError, match="1 of 1"):
        call_command("verify_signature", "--filing", filing.trip_no)
