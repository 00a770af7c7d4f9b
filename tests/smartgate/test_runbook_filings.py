"""docs/operations/relay.md, tried with real filings: each of their checks, what an operator is told to do, and that it mends them."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from structlog.testing import capture_logs

from accounts.models import User
from core.workflow import ActionRefused
from relay import registry
from relay import services as relay_services
from relay.services.operations import housekeeping
from smartgate import services
from smartgate.models import Filing, FilingStatus
from tests.relay.runbook import commands_in, findings, row, tries, type_in
from tests.relay.test_operations_housekeeping import LATER
from tests.smartgate.test_settling import contradicted, declared, now, refused, state_of
from tests.smartgate.wire import receive_receipt, receive_technical_receipt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.covers("RLY-04", "OPS-04")]

PAGE = "looking-for-what-does-not-fit"


def sql(text: str, *values: object) -> None:
    """A hand in the database, or a backup that holds the one table and not the other."""
    with connection.cursor() as cursor:
        cursor.execute(text, values)


@tries(f"{PAGE}/smartgate.no_message")
def test_the_message_is_not_there(operator: User) -> None:
    filing = declared(operator)
    Filing.unscoped.update(message_id=uuid4())
    (found,) = findings("smartgate.no_message")
    assert filing.data_center_no in found["about"]
    assert "ask customs by SeqNo" in found["to_do"]
    Filing.unscoped.update(message_id=filing.message_id)
    assert findings("smartgate.no_message") == []


@tries(f"{PAGE}/smartgate.wrong_message")
def test_the_message_is_about_another(operator: User) -> None:
    filing, other = declared(operator), declared(operator, bind_key_info="辽B54321")
    Filing.unscoped.filter(pk=filing.pk).update(message_id=other.message_id)
    Filing.unscoped.filter(pk=other.pk).update(message_id=filing.message_id)
    assert len(findings("smartgate.wrong_message")) == 2
    assert all(commands_in(found["to_do"]) == [] for found in findings("smartgate.wrong_message"))
    Filing.unscoped.filter(pk=filing.pk).update(message_id=filing.message_id)
    Filing.unscoped.filter(pk=other.pk).update(message_id=other.message_id)
    assert findings("smartgate.wrong_message") == []


@tries(f"{PAGE}/smartgate.behind_delivery")
def test_a_filing_has_not_heard_of_the_delivery(operator: User) -> None:
    filing = declared(operator)
    sql("UPDATE relay_outboundmessage SET state = 'delivered', finished_at = now()")
    (found,) = findings("smartgate.behind_delivery")
    (settle,) = commands_in(found["to_do"])
    type_in(settle)
    assert now(filing).status == FilingStatus.RELAYED
    assert findings("smartgate.behind_delivery") == []


@tries(f"{PAGE}/smartgate.behind_refusal")
@pytest.mark.parametrize("again", [True, False])
def test_a_filing_has_not_heard_of_the_refusal(operator: User, again: bool) -> None:
    filing = declared(operator)
    sql("UPDATE relay_outboundmessage SET state = 'refused', finished_at = now()")
    (found,) = findings("smartgate.behind_refusal")
    resend, settle_not = commands_in(found["to_do"])
    type_in(resend if again else settle_not)
    assert now(filing).status == (FilingStatus.DECLARED if again else FilingStatus.RELAY_FAILED)
    assert findings("smartgate.behind_refusal") == []


@tries(f"{PAGE}/smartgate.ahead")
@pytest.mark.parametrize("holds", [True, False])
@pytest.mark.parametrize("state", ["sent", "refused"])
def test_a_filing_is_ahead_of_its_message(operator: User, state: str, holds: bool) -> None:
    filing = declared(operator)
    sql("UPDATE smartgate_filing SET status = 'relayed'")
    if state == "refused":
        sql("UPDATE relay_outboundmessage SET state = 'refused', finished_at = now()")
    (found,) = findings("smartgate.ahead")
    settle, resend = commands_in(found["to_do"])
    if holds:
        type_in(settle)
    else:
        type_in(resend)
        relay_services.dispatch("customs")
        receive_technical_receipt(filing.message_id)
    assert state_of(filing) == "delivered"
    assert findings("smartgate.ahead") == []


@tries("contradiction", f"{PAGE}/smartgate.contradiction")
@pytest.mark.parametrize("holds", [True, False])
@pytest.mark.parametrize(
    ("by", "says"), [("page", "customs"), ("finding", "customs"), ("page", "its exchange"), ("finding", "its exchange")]
)
def test_customs_has_what_its_exchange_refused(operator: User, holds: bool, by: str, says: str) -> None:
    here = row("contradiction")
    if says == "customs":
        with capture_logs() as log:
            filing = contradicted(operator, "STORED", "LOCKED")
        here.logged(log, "answer_contradicts_refusal")
    else:
        filing = refused(operator)
        receive_technical_receipt(filing.message_id)
        here.says("CONTRADICTS_REFUSAL")
        assert "CONTRADICTS_REFUSAL" in type_in("relay_quarantine list").out
    here.says("smartgate.contradiction")
    with pytest.raises(ActionRefused):
        services.declare_filing(actor=operator, filing_id=filing.pk)
    (found,) = findings("smartgate.contradiction")
    word = "--delivered" if holds else "--not-delivered"
    if by == "page":
        here.type(f"relay_settle MESSAGE_ID {word} ", MESSAGE_ID=filing.message_id)
    else:
        (command,) = [command for command in commands_in(found["to_do"]) if f" {word} " in command]
        type_in(command)
    assert findings("smartgate.contradiction") == []
    if holds:
        assert now(filing).status == (FilingStatus.LOCKED if says == "customs" else FilingStatus.RELAYED), "what came takes effect"
    else:
        assert services.declare_filing(actor=operator, filing_id=filing.pk).status == FilingStatus.DECLARED


@tries(f"{PAGE}/smartgate.answer_set_aside")
@pytest.mark.parametrize("void", [True, False])
def test_an_answer_is_in_quarantine(operator: User, monkeypatch: pytest.MonkeyPatch, settings: Any, void: bool) -> None:
    filing = declared(operator)
    settings.RELAY_HANDLER_ATTEMPTS = 1

    def broken(_message: object) -> str:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setitem(registry._inbound, "SGW102", replace(registry._inbound["SGW102"], handler=broken))
        receive_receipt(filing, "STORED")
    (found,) = findings("smartgate.answer_set_aside")
    show, retry, discard = commands_in(found["to_do"])
    assert "HANDLER_FAILED" in type_in(show).out
    type_in(discard if void else retry)
    relay_services.receive("customs")
    assert findings("smartgate.answer_set_aside") == []
    assert (now(filing).status == FilingStatus.STORED) is not void


@tries(f"{PAGE}/smartgate.superseded")
@pytest.mark.parametrize("has_it", [True, False])
def test_an_earlier_message_is_still_on_its_way(operator: User, has_it: bool) -> None:
    filing = refused(operator)
    again = services.declare_filing(actor=operator, filing_id=filing.pk)
    sql("UPDATE relay_outboundmessage SET state = 'sent', finished_at = NULL WHERE message_id = %s", filing.message_id)
    assert relay_services.dispatch("customs") <= 1
    (found,) = findings("smartgate.superseded")
    assert str(again.message_id) in found["what"]
    settle, settle_not = commands_in(found["to_do"])
    type_in(settle if has_it else settle_not)
    assert findings("smartgate.superseded") == []
    relay_services.dispatch("customs")
    assert state_of(again) == "sent"


# -- What comes up --------------------------------------------------------------------------------


@tries("refused-by-mistake")
def test_a_partner_refused_by_mistake(operator: User) -> None:
    filing, changed = refused(operator), refused(operator, bind_key_info="辽B54321")
    services.declare_filing(actor=operator, filing_id=changed.pk)
    here = row("refused-by-mistake")
    trial, again = here.commands
    assert again == f"{trial} --yes"
    said = type_in(trial).out
    assert "dry run: nothing was changed" in said
    assert "1 queued, 1 forbidden" in said
    assert now(filing).status == FilingStatus.RELAY_FAILED
    type_in(again)
    assert now(filing).status == FilingStatus.DECLARED
    relay_services.dispatch("customs")
    receive_technical_receipt(filing.message_id)
    assert now(filing).status == FilingStatus.RELAYED


# -- Old messages ---------------------------------------------------------------------------------


@tries("never-old")
def test_what_nobody_ends_never_gets_old(operator: User) -> None:
    filing = declared(operator)
    receive_receipt(filing, "STORED")
    (query,) = [code for code in row("never-old").codes(2) if code.startswith("SELECT ")]
    assert housekeeping.empty_old(now=LATER) == (0, 0)
    with connection.cursor() as cursor:
        cursor.execute(query)
        assert cursor.fetchall() == [("stored", 1)]
    receive_receipt(filing, "LOCKED")
    receive_receipt(filing, "CLOSED")
    relay_services.dispatch("customs")
    assert now(filing).status == FilingStatus.CLOSED
    assert housekeeping.empty_old(now=LATER) == (1, 3)
