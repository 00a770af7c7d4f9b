"""车牌号已核实: the logged way round for plates whose form the program does not know (`domain.md` §1, docs/adr/0105)."""

import pytest

from core.models import AuditEntry
from smartgate import rules, services
from smartgate.messages import Function, filing_element
from smartgate.models import Filing
from tests.smartgate.factories import LINE, line, make_filing
from tests.smartgate.pages import NEW, entry_post, problems_of
from tests.smartgate.test_filings import declare

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-11")]

#: Mongolian, Hong Kong's own, a North Korean one as Chinese papers have it, the longest.
UNUSUAL = ["1234UBA", "WX8888", "平北12345", "京" + "A" * 19]
WAY = "勾选表头的“车牌号已核实”"


@pytest.mark.parametrize("plate", UNUSUAL)
def test_an_unknown_form_is_refused_with_the_way_and_passes_when_it_is_vouched_for(operator_client, plate):
    refused = operator_client.post(NEW, entry_post("save", header={"bind_key_info": plate}))
    (problem,) = problems_of(refused)
    assert f"车牌号“{plate}”不正确" in problem
    assert WAY in problem
    stored = operator_client.post(NEW, entry_post("save", header={"bind_key_info": plate, "plate_verified": "on"}))
    assert stored.status_code == 302, problems_of(stored)
    assert (Filing.unscoped.get().bind_key_info, Filing.unscoped.get().plate_verified) == (plate, True)


@pytest.mark.parametrize("plate", ["A12", "京" + "A" * 20, "AB#123", "辽B/1234", "가123456"])
def test_what_is_no_plate_at_all_does_not_pass_either(operator_client, plate):
    refused = operator_client.post(NEW, entry_post("save", header={"bind_key_info": plate, "plate_verified": "on"}))
    assert any("已核实的号牌也应为 4 至 20 位" in problem for problem in problems_of(refused))
    plain = operator_client.post(NEW, entry_post("save", header={"bind_key_info": plate}))
    assert not any(WAY in problem for problem in problems_of(plain)), "a way that leads nowhere is not shown"
    assert not Filing.unscoped.exists()


def test_it_counts_for_plates_of_the_body_and_for_nothing_else(operator_client):
    towed = {**LINE, "object_type": "VN", "object_id": "MZ12345", "bill_type": "", "pickup_weight": ""}
    (problem,) = problems_of(operator_client.post(NEW, entry_post("save", lines=[towed])))
    assert WAY in problem
    box = {**towed, "object_type": "C", "object_id": "CSQU3054384"}
    response = operator_client.post(NEW, entry_post("save", header={"plate_verified": "on"}, lines=[towed, box]))
    assert [problem for problem in problems_of(response) if "集装箱号" in problem]
    assert operator_client.post(NEW, entry_post("save", header={"plate_verified": "on"}, lines=[towed])).status_code == 302


@pytest.mark.parametrize("sent", [{}, {"plate_verified": ""}, {"plate_verified": "False"}, {"plate_verified": "否"}])
def test_a_box_that_is_not_ticked_vouches_for_nothing(operator_client, sent):
    assert problems_of(operator_client.post(NEW, entry_post("save", header={"bind_key_info": "WX8888", **sent})))


@pytest.mark.parametrize(("sent", "is_ticked"), [("on", True), ("True", True), ("", False), ("False", False)])
def test_a_step_of_the_body_leaves_the_box_as_it_is(operator_client, sent, is_ticked):
    response = operator_client.post(NEW, entry_post("line_new", header={"plate_verified": sent}))
    box = response.context["form"]["plate_verified"]
    assert ("checked" in str(box)) is is_ticked


def test_the_trail_shows_who_vouched(operator, operator_client):
    filing = make_filing(operator)
    data = entry_post("save", header={"bind_key_info": "WX8888", "plate_verified": "on"}, lock_version=filing.lock_version)
    operator_client.post(f"/smartgate/filings/{filing.pk}/edit/", data)
    entry = AuditEntry.unscoped.filter(action="smartgate.filing.edit").get()
    assert (entry.before["plate_verified"], entry.after["plate_verified"]) == (False, True)
    assert entry.actor_name == operator.username


def test_it_is_copied_and_shown(operator, operator_client):
    filing = make_filing(operator, bind_key_info="WX8888", plate_verified=True)
    copy = operator_client.get(f"/smartgate/filings/{filing.pk}/copy/")
    assert "checked" in str(copy.context["form"]["plate_verified"])
    shown = operator_client.get(f"/smartgate/filings/{filing.pk}/")
    assert shown.context["form"]["plate_verified"].display() == "是"


def test_it_is_asked_again_at_declaring(operator, operator_client):
    filing = make_filing(operator, bind_key_info="WX8888", plate_verified=True)
    Filing.unscoped.filter(pk=filing.pk).update(plate_verified=False)
    with pytest.raises(services.FilingInvalid, match="WX8888"):
        services.declare_filing(actor=operator, filing_id=filing.pk)
    Filing.unscoped.filter(pk=filing.pk).update(plate_verified=True)
    assert services.declare_filing(actor=operator, filing_id=filing.pk).version == 1


def test_plates_of_the_body_are_asked_again_too(operator):
    lines = [line(object_type="VN", object_id="MZ12345", bill_type="", pickup_weight=None)]
    filing = make_filing(operator, lines=lines, plate_verified=True)
    assert rules.filing_errors(filing, list(filing.lines.all())) == []
    filing.plate_verified = False
    assert any("MZ12345" in error for error in rules.filing_errors(filing, list(filing.lines.all())))


def test_customs_is_told_nothing_of_it(operator, operator_client):
    plain, vouched = make_filing(operator), make_filing(operator, plate_verified=True)
    names = [[part.tag for part in filing_element(filing, [], Function.ADD).iter()] for filing in (plain, vouched)]
    assert names[0] == names[1]
    assert "申报" in services.text_to_sign(actor=operator, filing=vouched)
    assert "核实" not in services.text_to_sign(actor=operator, filing=vouched).replace("已核对", "")
    assert "申报成功" in declare(operator_client, plain).content.decode()
