"""变更 and 删单 as versions sent to customs (SGW-08): every state, every answer, in every order."""

from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from lxml import etree

from core.models import AuditEntry
from core.workflow import ActionRefused, ForbiddenTransition
from relay.models import OutboundMessage
from smartgate import contents, services
from smartgate.messages import filing_element, parse_contents
from smartgate.models import Filing, FilingReceipt, FilingStatus, FilingVersion, Function, Outcome
from tests.smartgate.changes import answer, change, draft, held, now, outcome_of
from tests.smartgate.factories import header, line, make_filing
from tests.smartgate.test_states import BY_LABEL, put_into
from tests.smartgate.wire import NS, receive_receipt, receive_technical_receipt, refuse_by_fail_box, texts

pytestmark = pytest.mark.django_db

CHANGES = (Function.MOD, Function.DEL)
ANSWERS = ("CHANGE_ACCEPTED", "CHANGE_REJECTED")
MAY = {BY_LABEL["海关入库成功"], BY_LABEL["解除锁定"]}


def state(filing: Filing) -> tuple[Any, ...]:
    """All that customs' answers could move."""
    row = now(filing)
    return row.status, row.version, row.message_id, services.snapshot(row), row.operator


def business_of(version: FilingVersion) -> etree._Element:
    """The business element of its message, which the published schema accepts."""
    root = etree.fromstring(bytes(OutboundMessage.objects.get(message_id=version.message_id).content))
    assert etree.XMLSchema(file="docs/protocol/SGW101.xsd").validate(root)
    found = root.find(f"{{{NS}}}DataInfo/{{{NS}}}SmartGateFiling")
    assert found is not None
    return found


@pytest.mark.covers("SGW-08", "SGW-07")
@pytest.mark.parametrize(("status", "function"), list(product(FilingStatus, CHANGES)))
def test_what_may_be_asked_in_which_state(operator: Any, status: FilingStatus, function: Function) -> None:
    filing = put_into(make_filing(operator), status)
    sent = OutboundMessage.objects.count()
    if status in MAY:
        change(operator, filing, function)
        assert OutboundMessage.objects.count() == sent + 1
        assert now(filing).status == status
        return
    ask = (lambda: draft(operator, filing)) if function == Function.MOD else lambda: services.send_void(actor=operator, filing_id=filing.pk)
    with pytest.raises(ForbiddenTransition, match="当前状态为"):
        ask()
    with pytest.raises(ActionRefused):
        services.send_amendment(actor=operator, filing_id=filing.pk)
    assert OutboundMessage.objects.count() == sent
    assert not FilingVersion.unscoped.filter(filing=filing, function=function).exists()
    assert AuditEntry.unscoped.filter(object_id=str(filing.pk), refused=True).count() == 2


def test_a_change_goes_out_as_the_next_version_and_changes_nothing_yet(operator: Any) -> None:
    filing = held(operator)
    before = state(filing)
    version = change(operator, filing, vehicle_weight="9000")
    assert state(filing) == before
    assert (version.number, version.base, version.asked_by) == (2, 1, operator)
    business = business_of(version)
    sent = texts(business)
    assert (sent["Function"], sent["Version"], sent["BaseVersion"]) == ("MOD", "2", "1")
    assert texts(business.find(f"{{{NS}}}Head"))["VehicleWeight"] == "9000"
    # Read back, the message says what the row says.
    head, items = parse_contents(business)
    assert contents.packed(head, items) == version.contents


def test_a_void_carries_what_is_voided(operator: Any) -> None:
    filing = held(operator)
    version = change(operator, filing, Function.DEL)
    sent = texts(business_of(version))
    assert (sent["Function"], sent["Version"], sent["BaseVersion"]) == ("DEL", "2", "1")
    assert version.contents == contents.of_filing(filing, list(filing.lines.all()))


def test_an_addition_has_no_base(operator: Any) -> None:
    filing = held(operator)
    version = FilingVersion.unscoped.get(filing=filing)
    assert (version.number, version.function, version.outcome, version.asked_by) == (1, "ADD", "", operator)
    assert version.message_id == filing.message_id
    assert "BaseVersion" not in texts(business_of(version))
    assert "BaseVersion" not in texts(filing_element(filing, list(filing.lines.all()), Function.ADD))


#: What stands after one event while a change is under way: filing, version, and what became of the change. In customs' words and the
#: manual's; RELAYED and REFUSED are what its exchange says.
MOD_TABLE = """
海关入库成功 CHANGE_ACCEPTED  海关入库成功 2 accepted
海关入库成功 CHANGE_REJECTED  海关入库成功 1 rejected
海关入库成功 RELAYED          海关入库成功 1 waiting
海关入库成功 REFUSED          海关入库成功 1 not_sent
海关入库成功 FAIL_BOX         海关入库成功 1 not_sent
海关入库成功 STORED           海关入库成功 1 waiting
海关入库成功 REJECTED         退单         1 overtaken
海关入库成功 LOCKED           已锁定       1 waiting
海关入库成功 UNLOCKED         海关入库成功 1 waiting
海关入库成功 CLOSED           已办结       1 overtaken
海关入库成功 CLOSED_MANUALLY  人工办结     1 overtaken
海关入库成功 DEPARTED         已口岸离场   1 overtaken
解除锁定     CHANGE_ACCEPTED  解除锁定     2 accepted
解除锁定     CHANGE_REJECTED  解除锁定     1 rejected
解除锁定     RELAYED          解除锁定     1 waiting
解除锁定     REFUSED          解除锁定     1 not_sent
解除锁定     FAIL_BOX         解除锁定     1 not_sent
解除锁定     STORED           解除锁定     1 waiting
解除锁定     REJECTED         解除锁定     1 waiting
解除锁定     LOCKED           已锁定       1 waiting
解除锁定     UNLOCKED         解除锁定     1 waiting
解除锁定     CLOSED           已办结       1 overtaken
解除锁定     CLOSED_MANUALLY  人工办结     1 overtaken
解除锁定     DEPARTED         已口岸离场   1 overtaken
"""
_MOD = [row.split() for row in MOD_TABLE.strip().splitlines()]
_DEL = [(source, event, "已删单" if event == "CHANGE_ACCEPTED" else target, *rest) for source, event, target, *rest in _MOD]
ROWS = [
    (BY_LABEL[source], event, function, (target, int(number), result))
    for function, table in ((Function.MOD, _MOD), (Function.DEL, _DEL))
    for source, event, target, number, result in table
]


@pytest.mark.covers("SGW-08", "SGW-05")
@pytest.mark.parametrize(("status", "event", "function", "expected"), ROWS)
def test_every_event_while_a_change_is_under_way(
    operator: Any, status: FilingStatus, event: str, function: Function, expected: tuple[str, int, str]
) -> None:
    target, number, result = expected
    filing = held(operator, status)
    before = services.snapshot(filing)
    version = change(operator, filing, function)
    if event == "RELAYED":
        receive_technical_receipt(version.message_id)
    elif event == "REFUSED":
        receive_technical_receipt(version.message_id, "REJECTED", "格式不符")
    elif event == "FAIL_BOX":
        refuse_by_fail_box(version.message_id)
    elif event.startswith("CHANGE_"):
        answer(filing, version, event, note="海关说明")
    else:
        receive_receipt(filing, event)
    row, version = now(filing), FilingVersion.unscoped.get(pk=version.pk)
    assert (row.status, row.version, version.outcome) == (BY_LABEL[target], number, result)
    assert row.message_id == (version.message_id if number == 2 else filing.message_id)
    assert services.snapshot(row) == {
        **before,
        "status": row.status,
        **({"remark": "改过"} if (function, number) == (Function.MOD, 2) else {}),
    }
    assert bool(version.reason) == (result in ("rejected", "not_sent", "overtaken") or event == "CHANGE_ACCEPTED")
    if result == "rejected":
        assert version.reason == "海关说明"
    if event in ("REFUSED", "FAIL_BOX"):
        assert version.reason.startswith("发往内网失败：")


@pytest.mark.parametrize("event", ["LOCKED", "CLOSED", "CLOSED_MANUALLY", "DEPARTED"])
def test_customs_may_speak_of_the_change_when_it_goes_on_with_the_filing(operator: Any, event: str) -> None:
    filing = held(operator)
    version = change(operator, filing)
    answer(filing, version, event)
    assert now(filing).status == FilingStatus[event]


@pytest.mark.parametrize("event", ["STORED", "REJECTED"])
def test_what_answers_a_declaration_does_not_answer_a_change(operator: Any, event: str) -> None:
    filing = held(operator)
    version = change(operator, filing)
    answer(filing, version, event)
    assert (now(filing).status, outcome_of(version)) == (FilingStatus.STORED, Outcome.WAITING)


@pytest.mark.parametrize("event", ["LOCKED", "CLOSED", "DEPARTED"])
def test_after_a_change_customs_may_still_speak_of_the_declaration(operator: Any, event: str) -> None:
    """The vehicle passes the gate once, whatever version a slow receipt names."""
    filing = held(operator)
    answer(filing, change(operator, filing), "CHANGE_ACCEPTED")
    receive_receipt(filing, event)
    row = now(filing)
    assert (row.status, row.version) == (FilingStatus[event], 2)


def test_a_locked_filing_takes_the_answer_to_what_was_asked_before(operator: Any) -> None:
    first, second = held(operator), held(operator, bind_key_info="辽B54321")
    amended, voided = change(operator, first), change(operator, second, Function.DEL, bind_key_info="辽B54321")
    for filing, version in ((first, amended), (second, voided)):
        receive_receipt(filing, "LOCKED")
        answer(filing, version, "CHANGE_ACCEPTED")
    assert (now(first).status, now(first).remark) == (FilingStatus.LOCKED, "改过")
    assert now(second).status == FilingStatus.VOIDED


@pytest.mark.covers("SGW-08")
@pytest.mark.parametrize(("function", "first", "late"), list(product(CHANGES, ANSWERS, ANSWERS)))
def test_a_second_answer_changes_nothing(operator: Any, function: Function, first: str, late: str) -> None:
    filing = held(operator)
    version = change(operator, filing, function)
    answer(filing, version, first, receipt_no="R-1")
    before = (state(filing), outcome_of(version))
    answer(filing, version, first, receipt_no="R-1")
    assert FilingReceipt.unscoped.filter(receipt_no="R-1").count() == 1
    answer(filing, version, late, receipt_no="R-2")
    assert (state(filing), outcome_of(version)) == before
    kept = FilingReceipt.unscoped.get(receipt_no="R-2")
    assert (kept.applied, bool(kept.not_applied_reason)) == (False, True)


def test_an_answer_to_what_was_never_asked_is_kept(operator: Any) -> None:
    filing = held(operator)
    before = state(filing)
    receive_receipt(filing, "CHANGE_ACCEPTED")
    version = change(operator, filing)
    receive_receipt(filing, "CHANGE_ACCEPTED", version=7)
    receive_receipt(filing, "CHANGE_ACCEPTED", version=2, in_reply_to=filing.message_id)
    assert state(filing) == before
    assert outcome_of(version) == Outcome.WAITING
    assert FilingReceipt.unscoped.filter(applied=False, event="CHANGE_ACCEPTED").count() == 3


@pytest.mark.parametrize("closing", ["CLOSED", "CLOSED_MANUALLY", "DEPARTED"])
@pytest.mark.parametrize(("decided", "counts"), [("2026-11-21T09:59:00+08:00", True), ("2026-11-21T10:01:00+08:00", False)])
def test_an_acceptance_after_the_filing_was_closed_counts_by_customs_own_clock(
    operator: Any, closing: str, decided: str, counts: bool
) -> None:
    filing = held(operator)
    version = change(operator, filing)
    receive_receipt(filing, closing, at="2026-11-21T10:00:00+08:00")
    if closing != "DEPARTED":
        receive_receipt(filing, "DEPARTED", at="2026-11-21T11:00:00+08:00")
    answer(filing, version, "CHANGE_ACCEPTED", at=decided)
    row = now(filing)
    assert row.status == FilingStatus.DEPARTED
    assert (row.remark, row.version) == (("改过", 2) if counts else ("散装大豆", 1))
    assert outcome_of(version) == (Outcome.ACCEPTED if counts else Outcome.OVERTAKEN)
    assert FilingReceipt.unscoped.get(event="CHANGE_ACCEPTED").applied == counts


@pytest.mark.parametrize(("closing", "function"), [("CLOSED", Function.DEL), ("REJECTED", Function.MOD), ("REJECTED", Function.DEL)])
def test_what_passed_is_not_voided_and_what_was_given_back_not_changed(operator: Any, closing: str, function: Function) -> None:
    filing = held(operator)
    version = change(operator, filing, function)
    receive_receipt(filing, closing, at="2026-11-21T10:00:00+08:00")
    before = state(filing)
    answer(filing, version, "CHANGE_ACCEPTED", at="2026-11-21T09:00:00+08:00")
    assert state(filing) == before
    assert outcome_of(version) == Outcome.OVERTAKEN


def test_a_rejection_after_the_filing_was_closed_is_noted(operator: Any) -> None:
    filing = held(operator)
    version = change(operator, filing)
    receive_receipt(filing, "CLOSED")
    before = state(filing)
    answer(filing, version, "CHANGE_REJECTED", note="已办结")
    assert (state(filing), outcome_of(version)) == (before, Outcome.REJECTED)


def test_declared_anew_after_a_change_that_came_to_nothing(operator: Any) -> None:
    """Version numbers are never used twice, and old versions speak of another declaration."""
    filing = held(operator)
    version = change(operator, filing)
    receive_receipt(filing, "REJECTED")
    declared = services.declare_filing(actor=operator, filing_id=filing.pk)
    assert declared.version == 3
    answer(filing, version, "CHANGE_ACCEPTED")
    answer(filing, version, "CLOSED")
    receive_receipt(filing, "STORED")
    row = now(filing)
    assert (row.status, row.version, row.remark) == (FilingStatus.DECLARED, 3, "散装大豆")


@pytest.mark.covers("SGW-08")
def test_changed_again_and_again(operator: Any) -> None:
    filing = held(operator)
    answer(filing, change(operator, filing, remark="一"), "CHANGE_ACCEPTED")
    answer(filing, change(operator, filing, remark="二"), "CHANGE_REJECTED", note="不予变更")
    answer(filing, change(operator, filing, remark="三"), "CHANGE_ACCEPTED")
    assert (now(filing).remark, now(filing).version) == ("三", 4)
    answer(filing, change(operator, filing, Function.DEL), "CHANGE_ACCEPTED")
    assert (now(filing).status, now(filing).version) == (FilingStatus.VOIDED, 5)
    found = FilingVersion.unscoped.filter(filing=filing).values_list("number", "function", "base", "outcome")
    assert list(found) == [
        (1, "ADD", None, ""),
        (2, "MOD", 1, "accepted"),
        (3, "MOD", 2, "rejected"),
        (4, "MOD", 2, "accepted"),
        (5, "DEL", 4, "accepted"),
    ]


def test_lines_are_changed_too(operator: Any) -> None:
    filing = held(operator)
    services.save_amendment(
        actor=operator, filing_id=filing.pk, header=header(), lines=[line(pickup_weight="1"), line(object_id="COSU999999999")]
    )
    services.send_amendment(actor=operator, filing_id=filing.pk)
    version = FilingVersion.unscoped.get(filing=filing, outcome=Outcome.WAITING)
    assert filing.lines.count() == 1
    answer(filing, version, "CHANGE_ACCEPTED")
    assert [(one.line_no, one.object_id, str(one.pickup_weight)) for one in filing.lines.all()] == [
        (1, "COSU123456789", "1.000"),
        (2, "COSU999999999", "31500.000"),
    ]


class TestOneAtATime:
    @pytest.mark.covers("SGW-08")
    @pytest.mark.parametrize("function", CHANGES)
    def test_while_one_waits_no_other_goes_out(self, operator: Any, function: Function) -> None:
        filing = held(operator)
        change(operator, filing, function)
        draft(operator, filing, remark="再改")
        for send in (services.send_amendment, services.send_void):
            with pytest.raises(ActionRefused, match="正在等待海关答复"):
                send(actor=operator, filing_id=filing.pk)
        assert OutboundMessage.objects.filter(subject=filing.subject).count() == 2
        assert FilingVersion.unscoped.get(filing=filing, outcome=Outcome.DRAFT).contents["header"]["remark"] == "再改"

    def test_a_draft_made_against_an_older_version_is_asked_about(self, operator: Any) -> None:
        filing = held(operator)
        version = change(operator, filing)
        draft(operator, filing, remark="再改")
        answer(filing, version, "CHANGE_ACCEPTED")
        with pytest.raises(services.FilingChanged, match="第 1 版"):
            services.send_amendment(actor=operator, filing_id=filing.pk)
        draft(operator, filing, remark="再改")
        services.send_amendment(actor=operator, filing_id=filing.pk)
        assert FilingVersion.unscoped.get(filing=filing, outcome=Outcome.WAITING).base == 2

    def test_the_same_contents_sent_twice_are_one_change(self, operator: Any) -> None:
        filing = held(operator)
        change(operator, filing)
        with pytest.raises(services.EntryAlreadyDeclared):
            draft(operator, filing)

    def test_nothing_changed_is_nothing_to_send(self, operator: Any) -> None:
        filing = held(operator)
        services.save_amendment(actor=operator, filing_id=filing.pk, header=header(), lines=[line()])
        with pytest.raises(ActionRefused, match="没有可申报的变更"):
            services.send_amendment(actor=operator, filing_id=filing.pk)
        services.discard_amendment(actor=operator, filing_id=filing.pk)
        with pytest.raises(ActionRefused, match="没有待申报的变更内容"):
            services.send_amendment(actor=operator, filing_id=filing.pk)

    @pytest.mark.parametrize("who", ["operator", "administrator"])
    def test_what_customs_is_not_told_is_no_change(self, request: Any, operator: Any, who: str) -> None:
        filing, sender = held(operator), request.getfixturevalue(who)
        services.save_amendment(actor=sender, filing_id=filing.pk, header=header(plate_verified=True), lines=[line()])
        with pytest.raises(ActionRefused, match="没有可申报的变更"):
            services.send_amendment(actor=sender, filing_id=filing.pk)
        assert OutboundMessage.objects.filter(subject=filing.subject).count() == 1

    def test_a_draft_is_kept_and_discarded(self, operator: Any) -> None:
        filing = held(operator)
        before = state(filing)
        draft(operator, filing)
        with pytest.raises(services.FilingChanged):
            services.save_amendment(
                actor=operator, filing_id=filing.pk, header=header(remark="别的"), lines=[line()], lock_version=filing.lock_version
            )
        assert services.discard_amendment(actor=operator, filing_id=filing.pk)
        assert not services.discard_amendment(actor=operator, filing_id=filing.pk)
        assert state(filing) == before
        actions = AuditEntry.unscoped.filter(object_id=str(filing.pk), refused=False).values_list("action", flat=True)
        assert {"smartgate.filing.amend_save", "smartgate.filing.amend_discard"} <= set(actions)

    def test_somebody_elses_filing_is_nobodys(self, operator: Any, other_operator: Any) -> None:
        filing = held(operator)
        draft(operator, filing)
        with pytest.raises(Filing.DoesNotExist):
            draft(other_operator, filing)
        for service in (services.send_amendment, services.send_void, services.discard_amendment):
            with pytest.raises(Filing.DoesNotExist):
                service(actor=other_operator, filing_id=filing.pk)

    def test_a_rule_that_is_broken_keeps_the_draft(self, operator: Any) -> None:
        filing = held(operator)
        services.save_amendment(actor=operator, filing_id=filing.pk, header=header(), lines=[])
        with pytest.raises(services.FilingInvalid, match="表体至少需要一条记录"):
            services.send_amendment(actor=operator, filing_id=filing.pk)
        assert FilingVersion.unscoped.filter(filing=filing, outcome=Outcome.DRAFT).exists()


class TestVehicles:
    """While a change of the plate is under way both vehicles are taken (docs/adr/0006, 0100)."""

    @pytest.fixture
    def moving(self, operator: Any) -> tuple[Filing, FilingVersion]:
        filing = held(operator)
        return filing, change(operator, filing, bind_key_info="辽B54321")

    @pytest.mark.covers("SGW-08")
    @pytest.mark.parametrize("plate", ["辽B12345", "辽B54321"])
    def test_neither_is_free(self, operator: Any, other_operator: Any, moving: Any, plate: str) -> None:
        for user, told in ((operator, f"（车次 {moving[0].trip_no}），不能申报"), (other_operator, "，由其他企业提交，不能申报")):
            with pytest.raises(ActionRefused, match=f"已有一票未办结的申报{told}"):
                services.declare_filing(actor=user, filing_id=make_filing(user, bind_key_info=plate).pk)

    @pytest.mark.parametrize(("event", "free"), [("CHANGE_ACCEPTED", "辽B12345"), ("CHANGE_REJECTED", "辽B54321")])
    def test_the_answer_frees_one(self, other_operator: Any, moving: Any, event: str, free: str) -> None:
        filing, version = moving
        answer(filing, version, event)
        taken = now(filing).bind_key_info
        assert {taken, free} == {"辽B12345", "辽B54321"}
        services.declare_filing(actor=other_operator, filing_id=make_filing(other_operator, bind_key_info=free).pk)
        with pytest.raises(ActionRefused, match="已有一票未办结的申报"):
            services.declare_filing(actor=other_operator, filing_id=make_filing(other_operator, bind_key_info=taken).pk)

    def test_a_vehicle_that_is_taken_cannot_be_changed_to(self, operator: Any, other_operator: Any) -> None:
        held(other_operator, bind_key_info="辽B54321")
        filing = held(operator)
        with pytest.raises(ActionRefused, match="“辽B54321”已有一票未办结的申报，由其他企业提交，不能变更为该介质"):
            change(operator, filing, bind_key_info="辽B54321")
        assert FilingVersion.unscoped.filter(filing=filing, outcome=Outcome.DRAFT).exists()

    def test_nor_one_that_another_change_asks_for(self, operator: Any, other_operator: Any, moving: Any) -> None:
        filing = held(other_operator, bind_key_info="辽B11111")
        with pytest.raises(ActionRefused, match="“辽B54321”已有一票未办结的申报"):
            change(other_operator, filing, bind_key_info="辽B54321")


@pytest.mark.covers("SGW-11")
def test_what_was_passed_stands_in_the_trail(operator: Any) -> None:
    filing = held(operator)
    version = change(operator, filing, vehicle_weight="8.6")
    assert AuditEntry.unscoped.get(action="smartgate.filing.amend").after["cautions"] == ["like_tonnes"]
    answer(filing, version, "CHANGE_ACCEPTED")
    answer(filing, change(operator, filing), "CHANGE_ACCEPTED")
    change(operator, filing, Function.DEL)
    assert "cautions" not in AuditEntry.unscoped.filter(action="smartgate.filing.amend").latest("pk").after
    assert "cautions" not in AuditEntry.unscoped.get(action="smartgate.filing.void").after


def test_who_vouches_for_a_plate_does_so_for_the_changed_filing(operator: Any) -> None:
    filing = held(operator)
    answer(filing, change(operator, filing, bind_key_info="平北12345", plate_verified=True), "CHANGE_ACCEPTED")
    assert (now(filing).bind_key_info, now(filing).plate_verified) == ("平北12345", True)


def test_a_filing_declared_before_versions_were_kept(operator: Any) -> None:
    filing = held(operator)
    FilingVersion.unscoped.all().delete()
    version = change(operator, filing)
    first = FilingVersion.unscoped.get(filing=filing, number=1)
    assert (first.asked_by, first.contents["header"]["remark"], first.message_id) == (None, "散装大豆", filing.message_id)
    receive_receipt(filing, "LOCKED")
    answer(filing, version, "CHANGE_ACCEPTED")
    assert (now(filing).status, now(filing).version) == (FilingStatus.LOCKED, 2)


def test_a_handler_that_runs_twice(operator: Any) -> None:
    filing = held(operator)
    version = change(operator, filing)
    for _again in range(2):
        receive_technical_receipt(version.message_id)
        answer(filing, version, "CHANGE_ACCEPTED", receipt_no="R-1")
        assert services.mark_relayed(subject=filing.subject, message_id=version.message_id, at=filing.status_at) is False
        assert not services.mark_relay_refused(
            subject=filing.subject, message_id=version.message_id, at=filing.status_at, code="SCHEMA", reason="x"
        )
    assert (now(filing).version, outcome_of(version)) == (2, Outcome.ACCEPTED)
    assert not services.mark_relayed(subject=filing.subject, message_id=uuid4(), at=filing.status_at)
