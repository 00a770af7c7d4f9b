"""What operators put right between relay and filing: sent again, settled after customs was asked; and what check_consistency finds."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from core.models import AuditEntry
from core.workflow import ActionRefused
from relay import services as relay_services
from relay.models import InboundMessage, OutboundMessage, OutboundState
from smartgate import services
from smartgate.models import Filing, FilingReceipt, FilingStatus, FilingVersion
from tests.relay.commands import Typed, typed
from tests.smartgate.factories import header, line, make_filing
from tests.smartgate.wire import receive_receipt, receive_technical_receipt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.covers("RLY-04")]


def declared(operator: Any, **changed: Any) -> Filing:
    """A filing whose message lies with customs."""
    filing = make_filing(operator, **changed)
    filing = services.declare_filing(actor=operator, filing_id=filing.pk)
    relay_services.dispatch("customs")
    return filing


def refused(operator: Any, **changed: Any) -> Filing:
    """A filing whose message customs' exchange refused."""
    filing = declared(operator, **changed)
    receive_technical_receipt(filing.message_id, "REJECTED")
    filing.refresh_from_db()
    assert filing.status == FilingStatus.RELAY_FAILED
    return filing


def contradicted(operator: Any, *events: str, **changed: Any) -> Filing:
    """A filing that customs answered although its exchange had refused it."""
    filing = refused(operator, **changed)
    for event in events or ("STORED",):
        receive_receipt(filing, event)
    filing.refresh_from_db()
    assert filing.status == FilingStatus.RELAY_FAILED
    return filing


def settle(filing: Filing, word: str) -> Typed:
    """What customs said of it."""
    return typed("relay_settle", filing.message_id, word, "--reason", "海关王科电话答复", "--yes", "--json")


def resend(filing: Filing) -> dict[str, Any]:
    """What became of sending its message again."""
    found: dict[str, Any] = typed("relay_resend", filing.message_id, "--yes", "--json").json["messages"][0]
    return found


def now(filing: Filing) -> Filing:
    """As the database has it."""
    return Filing.unscoped.get(pk=filing.pk)


def state_of(filing: Filing) -> str:
    """Of its message."""
    return OutboundMessage.objects.get(message_id=filing.message_id).state


def found(**expected: str) -> list[tuple[str, str]]:
    """What check_consistency finds: check and what to do."""
    answer = typed("check_consistency", "--json")
    assert answer.status == (3 if answer.json["findings"] else 0)
    return [(one["check"], one["to_do"]) for one in answer.json["findings"]]


def test_a_refused_filing_sent_again_waits_like_any_other(operator):
    filing = refused(operator)
    assert resend(filing)["outcome"] == "queued"
    row = now(filing)
    assert (row.status, row.version, row.message_id) == (FilingStatus.DECLARED, 1, filing.message_id)
    assert "重新发往内网" in row.status_note
    relay_services.dispatch("customs")
    receive_technical_receipt(filing.message_id)
    receive_receipt(filing, "STORED")
    assert now(filing).status == FilingStatus.STORED
    actions = AuditEntry.unscoped.filter(object_type="smartgate.filing", object_id=str(filing.pk)).values_list("action", flat=True)
    assert "smartgate.filing.send_again" in actions
    assert found() == []


def test_what_was_declared_anew_is_not_sent_again(operator):
    filing = refused(operator)
    services.declare_filing(actor=operator, filing_id=filing.pk)
    result = resend(filing)
    assert result["outcome"] == "forbidden"
    assert "已重新申报" in result["text"]
    assert state_of(filing) == OutboundState.REFUSED


def test_what_was_deleted_or_changed_is_not_sent_again(operator):
    gone, changed = refused(operator), refused(operator, bind_key_info="辽B54321")
    services.delete_filing(actor=operator, filing_id=gone.pk)
    services.save_filing(actor=operator, filing_id=changed.pk, header=header(remark="改过", bind_key_info="辽B54321"), lines=[line()])
    assert "已被企业删除" in resend(gone)["text"]
    assert "已修改" in resend(changed)["text"]
    assert {now(gone).status, now(changed).status} == {FilingStatus.RELAY_FAILED}


def test_what_customs_answered_is_not_sent_again(operator):
    result = resend(contradicted(operator))
    assert result["outcome"] == "forbidden"
    assert "relay_settle" in result["text"]


def test_a_second_filing_of_the_vehicle_stands_in_the_way(operator, other_operator):
    filing = refused(operator)
    declared(other_operator)
    assert "另一票" in resend(filing)["text"]
    assert now(filing).status == FilingStatus.RELAY_FAILED
    assert settle(filing, "--delivered").json["error"]["code"] == "FORBIDDEN"
    assert state_of(filing) == OutboundState.REFUSED


def test_customs_holds_it_the_answers_take_effect_in_their_order(operator):
    filing = contradicted(operator, "STORED", "LOCKED")
    (finding,) = found()
    assert finding[0] == "smartgate.contradiction"
    assert f"relay_settle {filing.message_id} --delivered" in finding[1]
    assert settle(filing, "--delivered").status == 0
    assert now(filing).status == FilingStatus.LOCKED
    assert state_of(filing) == OutboundState.DELIVERED
    assert set(FilingReceipt.unscoped.values_list("applied", "not_applied_reason")) == {(True, "")}
    assert found() == []
    receive_receipt(filing, "UNLOCKED")
    assert now(filing).status == FilingStatus.UNLOCKED
    assert settle(filing, "--delivered").status == 0, "twice changes nothing"
    assert now(filing).status == FilingStatus.UNLOCKED


def test_customs_holds_it_though_the_enterprise_changed_it_since(operator):
    filing = contradicted(operator)
    before = services.snapshot(now(filing))
    services.save_filing(
        actor=operator,
        filing_id=filing.pk,
        header=header(remark="", vehicle_weight="1", bind_key_info="辽B99999"),
        lines=[line(object_id="OTHER", pickup_weight=None), line(object_id="MORE")],
    )
    assert settle(filing, "--delivered").status == 0
    row = now(filing)
    after = services.snapshot(row)
    assert row.status == FilingStatus.STORED
    assert {**after, "status": ""} == {**before, "status": ""}
    assert AuditEntry.unscoped.get(action="smartgate.filing.restore").before["remark"] == ""


def test_the_vehicle_that_customs_holds_is_nobodys_whatever_was_typed_since(operator, other_operator):
    """The contents are the enterprise's to change; what it had sent is what customs may hold (docs/adr/0117)."""
    filing = contradicted(operator)
    services.save_filing(actor=operator, filing_id=filing.pk, header=header(bind_key_info="辽B99999"), lines=[line()])
    for user, text in ((operator, filing.trip_no), (other_operator, "由其他企业提交")):
        with pytest.raises(ActionRefused, match=text) as refusal:
            services.declare_filing(actor=user, filing_id=make_filing(user).pk)
    assert filing.trip_no not in str(refusal.value)
    with pytest.raises(ActionRefused, match="为避免重复申报"):
        services.declare_filing(actor=operator, filing_id=filing.pk)
    assert settle(filing, "--delivered").status == 0
    assert (now(filing).status, now(filing).bind_key_info) == (FilingStatus.STORED, "辽B12345")


def test_what_was_typed_since_locks_out_nobody(operator, other_operator):
    filing = contradicted(operator)
    services.save_filing(actor=operator, filing_id=filing.pk, header=header(bind_key_info="辽B99999"), lines=[line()])
    assert declared(other_operator, bind_key_info="辽B99999").status == FilingStatus.DECLARED


def test_the_vehicle_of_what_was_declared_before_versions_were_kept(operator, other_operator):
    """What stands in the filing is all that is known."""
    filing = contradicted(operator)
    FilingVersion.unscoped.filter(filing=filing).delete()
    with pytest.raises(ActionRefused, match="由其他企业提交"):
        services.declare_filing(actor=other_operator, filing_id=make_filing(other_operator).pk)


def test_the_vehicle_of_what_was_deleted_in_between_is_nobodys_either(operator, other_operator):
    filing = refused(operator)
    services.delete_filing(actor=operator, filing_id=filing.pk)
    receive_receipt(filing, "STORED")
    with pytest.raises(ActionRefused, match="由其他企业提交"):
        services.declare_filing(actor=other_operator, filing_id=make_filing(other_operator).pk)
    assert settle(filing, "--not-delivered").status == 0
    assert declared(other_operator).status == FilingStatus.DECLARED


def test_other_drafts_of_the_vehicle_can_be_deleted(operator):
    filing, innocent = contradicted(operator), make_filing(operator)
    with pytest.raises(ActionRefused, match="海关可能持有该票，不能删除"):
        services.delete_filing(actor=operator, filing_id=filing.pk)
    services.delete_filing(actor=operator, filing_id=innocent.pk)
    assert now(innocent).deleted_at is not None


def test_what_customs_sent_back_is_not_sent_again(operator):
    """It would bring the receipt that is there already, and the filing would wait for ever."""
    filing = contradicted(operator, "REJECTED")
    assert "relay_settle" in resend(filing)["text"]
    assert found() == []
    assert settle(filing, "--delivered").status == 0
    assert now(filing).status == FilingStatus.REJECTED


@pytest.mark.covers("SGW-11")
@pytest.mark.parametrize(("sent", "typed_since"), [("平北12345", "辽B99999"), ("辽B12345", "平北12345")])
def test_what_customs_holds_comes_back_with_who_vouched_for_its_plate(operator, sent, typed_since):
    def vouched(plate: str) -> dict[str, Any]:
        return {"bind_key_info": plate, "plate_verified": plate == "平北12345"}

    filing = contradicted(operator, **vouched(sent))
    services.save_filing(actor=operator, filing_id=filing.pk, header=header(**vouched(typed_since)), lines=[line()])
    assert settle(filing, "--delivered").status == 0
    assert {name: getattr(now(filing), name) for name in vouched(sent)} == vouched(sent)


def test_customs_holds_what_the_enterprise_deleted_in_between(operator):
    filing = refused(operator)
    services.delete_filing(actor=operator, filing_id=filing.pk)
    receive_receipt(filing, "STORED")
    assert [name for name, _ in found()] == ["smartgate.contradiction"]
    assert settle(filing, "--delivered").status == 0
    assert (now(filing).status, now(filing).deleted_at) == (FilingStatus.STORED, None)


def test_customs_holds_it_not_the_enterprise_may_declare_again(operator):
    filing = contradicted(operator)
    assert settle(filing, "--not-delivered").status == 0
    row = now(filing)
    assert row.status == FilingStatus.RELAY_FAILED
    assert "海关没有收到" in row.status_note
    assert FilingReceipt.unscoped.get().disowned
    assert found() == []
    again = services.declare_filing(actor=operator, filing_id=filing.pk)
    assert (again.status, again.version) == (FilingStatus.DECLARED, 2)


def test_customs_holds_an_old_declaration_of_what_was_declared_anew(operator):
    filing = refused(operator)
    services.declare_filing(actor=operator, filing_id=filing.pk)
    assert "已重新申报" in settle(filing, "--delivered").json["error"]["text"]
    assert settle(filing, "--not-delivered").status == 0
    assert now(filing).status == FilingStatus.DECLARED


@pytest.mark.covers("OPS-04")
def test_all_is_well(operator):
    filing = declared(operator)
    receive_technical_receipt(filing.message_id)
    receive_receipt(filing, "STORED")
    make_filing(operator)
    assert found() == []
    assert typed("check_consistency").out.strip() == "all is well"


def test_a_resent_filing_that_waits_is_no_finding(operator):
    filing = declared(operator)
    receive_technical_receipt(filing.message_id)
    assert resend(filing)["outcome"] == "queued"
    assert found() == []


@pytest.mark.covers("OPS-04")
@pytest.mark.parametrize(
    ("sql", "check", "to_do"),
    [
        ("UPDATE smartgate_filing SET message_id = gen_random_uuid()", "smartgate.no_message", "ask customs"),
        ("UPDATE relay_outboundmessage SET subject = 'smartgate.filing:1'", "smartgate.wrong_message", "audit trail"),
        (
            "UPDATE relay_outboundmessage SET state = 'delivered', finished_at = now()",
            "smartgate.behind_delivery",
            "relay_settle {id} --delivered",
        ),
        (
            "UPDATE relay_outboundmessage SET state = 'refused', finished_at = now()",
            "smartgate.behind_refusal",
            "relay_resend {id} --yes",
        ),
        ("UPDATE smartgate_filing SET status = 'relayed'", "smartgate.ahead", "relay_resend {id}"),
        (
            "UPDATE smartgate_filing SET status = 'stored'; UPDATE relay_outboundmessage SET state = 'refused', finished_at = now()",
            "smartgate.ahead",
            "relay_settle {id} --delivered",
        ),
    ],
)
def test_each_disagreement_is_found_and_changed_by_nobody(operator, sql, check, to_do):
    filing = declared(operator)
    with connection.cursor() as cursor:
        cursor.execute(sql)
    before = list(Filing.unscoped.values()), list(OutboundMessage.objects.values())
    findings = found()
    assert check in [name for name, _ in findings]
    assert to_do.format(id=filing.message_id) in dict(findings)[check]
    assert (list(Filing.unscoped.values()), list(OutboundMessage.objects.values())) == before


def test_what_is_to_be_done_mends_it(operator):
    filing = declared(operator)
    OutboundMessage.objects.update(state=OutboundState.DELIVERED, finished_at=timezone.now())
    assert [name for name, _ in found()] == ["smartgate.behind_delivery"]
    assert settle(filing, "--delivered").status == 0
    assert now(filing).status == FilingStatus.RELAYED
    assert found() == []


def test_what_is_to_be_done_mends_a_refusal_that_was_not_told(operator):
    filing = declared(operator)
    OutboundMessage.objects.update(state=OutboundState.REFUSED, finished_at=timezone.now())
    assert settle(filing, "--not-delivered").status == 0
    assert now(filing).status == FilingStatus.RELAY_FAILED
    assert found() == []


def test_an_answer_in_quarantine_and_an_old_message_under_way(operator):
    filing = declared(operator)
    receive_receipt(filing, "STORED", receipt_no="R-1")
    receive_receipt(filing, "CLOSED", receipt_no="R-1")
    (finding,) = found()
    number = InboundMessage.objects.get(state="quarantined").pk
    assert finding[0] == "smartgate.answer_set_aside"
    assert f"relay_quarantine show {number}" in finding[1]
    assert typed("relay_quarantine", "discard", number, "--reason", "海关确认作废").status == 0
    assert found() == []
    OutboundMessage.objects.filter(message_id=filing.message_id).update(state=OutboundState.SENT, finished_at=None)
    Filing.unscoped.update(message_id=uuid4())
    assert "smartgate.superseded" in [name for name, _ in found()]


def test_one_check_alone_and_for_people(operator):
    filing = contradicted(operator)
    text = typed("check_consistency", "--only", "smartgate.contradiction")
    assert text.status == 3
    assert filing.trip_no in text.out
    assert "    to do: ask customs by SeqNo" in text.out
    assert typed("check_consistency", "--only", "relay.overdue").status == 0
    assert typed("check_consistency", "--only", "no.such").status == 2


def test_what_is_stuck(operator):
    declared(operator)
    old = timezone.now() - timedelta(days=2)
    OutboundMessage.objects.update(due_at=old, sent_at=old, leased_until=old, lease_token=uuid4())
    assert [name for name, _ in found()] == ["relay.no_receipt", "relay.overdue"]
    typed("relay_pause", "--type", "SGW101", "--reason", "x")
    assert [name for name, _ in found()] == ["relay.no_receipt"], "what is paused is not overdue"


def test_customs_exchange_stored_what_it_had_refused(operator):
    """It took a copy after all, and says so before customs answers: from that moment nothing can double or lose the filing."""
    filing = refused(operator)
    receive_technical_receipt(filing.message_id)
    with pytest.raises(ActionRefused, match="矛盾"):
        services.declare_filing(actor=operator, filing_id=filing.pk)
    with pytest.raises(ActionRefused, match="矛盾"):
        services.delete_filing(actor=operator, filing_id=filing.pk)
    ((check, to_do),) = found()
    assert check == "smartgate.contradiction"
    assert f"relay_settle {filing.message_id} --delivered" in to_do
    assert settle(filing, "--delivered").status == 0
    assert now(filing).status == FilingStatus.RELAYED
    assert found() == []
    receive_receipt(filing, "STORED")
    assert now(filing).status == FilingStatus.STORED


def test_customs_exchange_was_wrong_that_it_had_stored_it(operator):
    filing = refused(operator)
    receive_technical_receipt(filing.message_id)
    assert settle(filing, "--not-delivered").status == 0
    assert found() == []
    assert services.declare_filing(actor=operator, filing_id=filing.pk).version == 2


def test_a_technical_receipt_after_sending_again_settles_the_contradiction_by_itself(operator):
    filing = refused(operator)
    receive_technical_receipt(filing.message_id)
    assert resend(filing)["outcome"] == "queued"
    relay_services.dispatch("customs")
    receive_technical_receipt(filing.message_id)
    assert now(filing).status == FilingStatus.RELAYED
    ((check, to_do),) = found()
    assert (check, "retry" in to_do) == ("smartgate.answer_set_aside", True)
    assert typed("relay_quarantine", "retry", InboundMessage.objects.get(state="quarantined").pk).status == 0
    relay_services.receive("customs")
    assert found() == []
