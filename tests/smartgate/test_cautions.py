"""申报前检查 (SGW-11): each caution fires where it should and not at the limit, hinders nothing, and tells nothing of strangers."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.rights import Right
from core.models import AuditEntry
from smartgate import cautions, services
from smartgate.cautions import CautionCode as Code
from smartgate.models import BusinessType, Filing, FilingLine, FilingStatus
from tests.smartgate.changes import change, held
from tests.smartgate.factories import CONTAINER_LINE, HEADER, LINE, line, make_bill, make_filing
from tests.smartgate.pages import NEW, entry_post

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-11")]
EMPTY_LINE = {field.name: "" for field in FilingLine._meta.concrete_fields} | {"pickup_weight": None}
BOXES = ["CSQU3054383", "MSKU0000006", "EGHU0000019"]
TOTAL_BESIDE_THE_GOODS = HEADER["vehicle_weight"] + HEADER["trailer_weight"]


def header(**changed):
    return {**HEADER, "plate_verified": False, **changed}


def body(*lines):
    return [{**EMPTY_LINE, **one} for one in lines]


def box(**changed):
    return {**CONTAINER_LINE, "container_no_1": "", "seal_no_1": "", **changed}


def codes(found):
    return [caution.code for caution in found]


def bill(weight):
    return {**LINE, "pickup_weight": Decimal(weight)}


#: What is entered, and the cautions that it gives by itself.
VALUES = {
    "an ordinary filing": ({}, [LINE], []),
    "an ordinary container": ({"container_weight": Decimal(2200)}, [CONTAINER_LINE], []),
    "an ordinary plate that somebody vouched for": ({"plate_verified": True}, [LINE], []),
    "an unusual plate": ({"plate_verified": True, "bind_key_info": "WX8888"}, [LINE], [Code.UNUSUAL_PLATE]),
    "an unusual plate in the body": (
        {"plate_verified": True},
        [LINE, {**LINE, "object_type": "VN", "object_id": "WX8888", "pickup_weight": None}],
        [Code.UNUSUAL_PLATE],
    ),
    "an IC card is no plate": ({"plate_verified": True, "bind_key_type": "IC", "bind_key_info": "2100012345678"}, [LINE], []),
    # vehicle
    "vehicle 0": ({"vehicle_weight": Decimal(0)}, [LINE], [Code.ZERO_WEIGHT]),
    "vehicle 8.6": ({"vehicle_weight": Decimal("8.6")}, [LINE], [Code.LIKE_TONNES]),
    "vehicle just below 100": ({"vehicle_weight": Decimal("99.999")}, [LINE], [Code.LIKE_TONNES]),
    "vehicle 100": ({"vehicle_weight": Decimal(100)}, [LINE], [Code.ODD_WEIGHT]),
    "vehicle just too light": ({"vehicle_weight": Decimal("799.999")}, [LINE], [Code.ODD_WEIGHT]),
    "vehicle at the least": ({"vehicle_weight": Decimal(800)}, [LINE], []),
    "vehicle at the most": ({"vehicle_weight": Decimal(31_000), "trailer_weight": Decimal(0)}, [bill(18_000)], []),
    "vehicle just too heavy": ({"vehicle_weight": Decimal("31000.001"), "trailer_weight": Decimal(0)}, [bill(17_000)], [Code.ODD_WEIGHT]),
    # trailer
    "no trailer": ({"trailer_weight": Decimal(0)}, [LINE], []),
    "a trailer's plate and no weight": ({"trailer_weight": Decimal(0), "bind_key_info": "辽B1234挂"}, [LINE], [Code.ZERO_WEIGHT]),
    "a trailer's plate in the body and no weight": (
        {"trailer_weight": Decimal(0)},
        [LINE, {**LINE, "object_type": "VN", "object_id": "辽B1234挂", "pickup_weight": None}],
        [Code.ZERO_WEIGHT],
    ),
    "trailer 6.2": ({"trailer_weight": Decimal("6.2")}, [LINE], [Code.LIKE_TONNES]),
    "trailer just too light": ({"trailer_weight": Decimal("999.999")}, [LINE], [Code.ODD_WEIGHT]),
    "trailer at the least": ({"trailer_weight": Decimal(1000)}, [LINE], []),
    "trailer at the most": ({"trailer_weight": Decimal(20_000)}, [bill(20_000)], []),
    "trailer just too heavy": ({"trailer_weight": Decimal("20000.001")}, [bill(20_000)], [Code.ODD_WEIGHT]),
    # container
    "a container and no weight": ({"container_weight": Decimal(0)}, [CONTAINER_LINE], [Code.ZERO_WEIGHT]),
    "a container that only a bill names, and no weight": (
        {"container_weight": Decimal(0)},
        [{**LINE, "container_no_1": BOXES[0]}],
        [Code.ZERO_WEIGHT],
    ),
    "container 2.2": ({"container_weight": Decimal("2.2")}, [CONTAINER_LINE], [Code.LIKE_TONNES]),
    "container just too light": ({"container_weight": Decimal("1799.999")}, [CONTAINER_LINE], [Code.ODD_WEIGHT]),
    "container at the least": ({"container_weight": Decimal(1800)}, [CONTAINER_LINE], []),
    "one container at the most": ({"container_weight": Decimal(6000)}, [CONTAINER_LINE], []),
    "one container just too heavy": ({"container_weight": Decimal("6000.001")}, [CONTAINER_LINE], [Code.ODD_WEIGHT]),
    "two containers may weigh twice as much": ({"container_weight": Decimal(12_000)}, [{**CONTAINER_LINE, "container_no_2": BOXES[1]}], []),
    "three may not weigh more": (
        {"container_weight": Decimal(12_001)},
        [{**CONTAINER_LINE, "container_no_2": BOXES[1]}, box(object_id=BOXES[2])],
        [Code.ODD_WEIGHT],
    ),
    "a weight without a container": ({"container_weight": Decimal(9000)}, [bill(20_000)], []),
    # goods, total
    "goods 0": ({}, [bill(0)], [Code.ZERO_WEIGHT]),
    "goods 31.5": ({}, [bill("31.5")], [Code.LIKE_TONNES]),
    "goods 100": ({}, [bill(100)], []),
    "total at the limit": ({}, [bill(49_000 - TOTAL_BESIDE_THE_GOODS)], []),
    "total just over it": ({}, [bill(49_000 - TOTAL_BESIDE_THE_GOODS + Decimal("0.001"))], [Code.TOTAL_WEIGHT]),
    "total of several bills": ({}, [bill(20_000), bill(20_000)], [Code.TOTAL_WEIGHT]),
    # containers within the filing
    "one container bound twice": ({"container_weight": Decimal(2200)}, [box(), box()], [Code.CONTAINER_TWICE]),
    "the same container three times is two too many": (
        {"container_weight": Decimal(2200)},
        [box(), box(), box()],
        [Code.CONTAINER_TWICE] * 2,
    ),
    "two containers": ({"container_weight": Decimal(4400)}, [box(), box(object_id=BOXES[1])], []),
    "both containers of a line the same": (
        {"container_weight": Decimal(2200)},
        [{**CONTAINER_LINE, "container_no_2": BOXES[0]}],
        [Code.CONTAINER_TWICE],
    ),
    "two bills in one container": (
        {"container_weight": Decimal(2200)},
        [{**bill(9000), "container_no_1": BOXES[0]}, {**bill(9000), "container_no_1": BOXES[0]}],
        [],
    ),
    "a container bound, and named by its bill": (
        {"container_weight": Decimal(2200)},
        [box(), {**bill(9000), "container_no_1": BOXES[0]}],
        [],
    ),
}


@pytest.mark.parametrize(("changed", "lines", "wanted"), VALUES.values(), ids=VALUES.keys())
def test_what_the_values_say_by_themselves(changed, lines, wanted):
    found = cautions.of_values(header(**changed), body(*lines))
    assert codes(found) == wanted, [caution.text for caution in found]
    for caution in found:
        assert caution.target.startswith(("id_", "line-"))


def test_every_code_is_told_of_in_the_table_or_below():
    alone = {code for _changed, _lines, wanted in VALUES.values() for code in wanted}
    looked_up = {Code.OPEN_VEHICLE, Code.CONTAINER_OPEN, Code.TRANSIT_OPEN, Code.BILL_WEIGHT, Code.BILL_VOYAGE}
    assert alone | looked_up == set(Code)


def opened(actor, status=FilingStatus.STORED, *, lines, plate="辽A00001"):
    """Another filing, in a state that no service is asked for."""
    filing = make_filing(actor, bind_key_info=plate, lines=lines, container_weight=Decimal(2200))
    sent = {"version": 1, "message_id": "00000000-0000-4000-8000-000000000001", "declared_at": timezone.now()}
    Filing.unscoped.filter(pk=filing.pk).update(status=status, **sent)
    filing.refresh_from_db()
    return filing


def found_for(user, *lines, filing=None, **changed):
    return cautions.cautions(user=user, header=header(**changed), lines=body(*lines), filing_id=filing.pk if filing else None)


TRANSIT = {**LINE, "object_type": "T", "object_id": "ZG20260001", "bill_type": "", "pickup_weight": None}


@dataclass(frozen=True)
class Case:
    """What another open filing has, what this one has, and the caution."""

    theirs: services.LineEntry
    plate: str
    mine: dict[str, object]
    changed: dict[str, object]
    code: Code


TARE = {"container_weight": Decimal(2200)}
OTHERS = {
    "the vehicle": Case(line(object_id=""), "辽B12345", LINE, {}, Code.OPEN_VEHICLE),
    "a container": Case(services.LineEntry(**CONTAINER_LINE), "辽A00001", box(), TARE, Code.CONTAINER_OPEN),
    "a container as the second of a line": Case(line(object_id="", container_no_2=BOXES[0]), "辽A00001", box(), TARE, Code.CONTAINER_OPEN),
    "a container that a bill of this one lies in": Case(
        services.LineEntry(**CONTAINER_LINE), "辽A00001", {**LINE, "container_no_2": BOXES[0]}, TARE, Code.CONTAINER_OPEN
    ),
    "a transit document": Case(services.LineEntry(**TRANSIT), "辽A00001", TRANSIT, {}, Code.TRANSIT_OPEN),
}


@pytest.mark.parametrize("case", OTHERS.values(), ids=OTHERS.keys())
class TestOpenFilings:
    @pytest.mark.parametrize("status", FilingStatus)
    def test_one_that_is_open_counts_and_no_other(self, operator, case, status):
        opened(operator, status, lines=[case.theirs], plate=case.plate)
        is_open = status in ("declared", "relayed", "stored", "locked", "unlocked")
        assert codes(found_for(operator, case.mine, **case.changed)) == ([case.code] if is_open else [])

    def test_ones_own_is_led_to(self, operator, case):
        other = opened(operator, lines=[case.theirs], plate=case.plate)
        (caution,) = found_for(operator, case.mine, **case.changed)
        assert caution.url == f"/smartgate/filings/{other.pk}/"
        assert other.trip_no in caution.url_label

    def test_of_a_strangers_nobody_hears_whose_it_is(self, operator, other_operator, case):
        other = opened(other_operator, lines=[case.theirs], plate=case.plate)
        (caution,) = found_for(operator, case.mine, **case.changed)
        assert (caution.code, caution.url, caution.url_label) == (case.code, "", "")
        for secret in (other.trip_no, other.data_center_no, other_operator.enterprise.name, other_operator.username):
            assert secret not in caution.text
        assert "其他企业" in caution.text

    def test_the_filing_itself_and_a_deleted_one_do_not_count(self, operator, case):
        other = opened(operator, lines=[case.theirs], plate=case.plate)
        assert found_for(operator, case.mine, filing=other, **case.changed) == []
        Filing.unscoped.update(deleted_at=timezone.now())
        assert found_for(operator, case.mine, **case.changed) == []


def test_a_vehicle_that_a_change_asks_for_counts_as_well(operator, other_operator):
    filing = held(operator)
    change(operator, filing, bind_key_info="辽B54321")
    for plate in ("辽B12345", "辽B54321"):
        (caution,) = found_for(operator, LINE, bind_key_info=plate)
        assert (caution.code, caution.url) == (Code.OPEN_VEHICLE, f"/smartgate/filings/{filing.pk}/")
        (caution,) = found_for(other_operator, LINE, bind_key_info=plate)
        assert ("其他企业" in caution.text, caution.url) == (True, "")
        assert found_for(operator, LINE, filing=filing, bind_key_info=plate) == []


def test_one_container_in_two_open_filings_is_told_once_and_ones_own_first(operator, other_operator):
    opened(other_operator, lines=[services.LineEntry(**CONTAINER_LINE)], plate="辽A00001")
    own = opened(operator, lines=[services.LineEntry(**CONTAINER_LINE)], plate="辽A00002")
    (caution,) = found_for(operator, box(), container_weight=Decimal(2200))
    assert str(own.pk) in caution.url


class TestBills:
    def test_no_more_than_what_is_left(self, operator):
        make_bill(operator, total_weight=Decimal(60_000))
        make_filing(operator, lines=[line(pickup_weight=Decimal(40_000))], bind_key_info="辽A00001")
        assert found_for(operator, bill(20_000)) == []
        (caution,) = found_for(operator, bill("20000.001"))
        assert caution.code == Code.BILL_WEIGHT
        assert "剩余 20000 千克" in caution.text
        assert "超出 0.001 千克" in caution.text

    def test_the_lines_of_a_filing_count_together(self, operator):
        make_bill(operator, total_weight=Decimal(30_000))
        assert found_for(operator, bill(15_000), bill(15_000)) == []
        assert codes(found_for(operator, bill(15_000), bill(15_001))) == [Code.BILL_WEIGHT]

    def test_a_filing_is_not_counted_against_itself(self, operator):
        make_bill(operator, total_weight=Decimal(31_500))
        filing = make_filing(operator)
        assert cautions.of_filing(operator, filing, list(filing.lines.all())) == []
        assert codes(found_for(operator, LINE)) == [Code.BILL_WEIGHT]

    @pytest.mark.parametrize("status", FilingStatus)
    def test_what_was_given_back_is_there_again(self, operator, status):
        make_bill(operator, total_weight=Decimal(31_500))
        opened(operator, status, lines=[line()])
        given_back = status in ("rejected", "voided")
        assert codes(found_for(operator, LINE)) == ([] if given_back else [Code.BILL_WEIGHT])

    def test_what_another_enterprise_takes_or_knows_is_its_own(self, operator, other_operator):
        make_bill(other_operator, total_weight=Decimal(1))
        assert found_for(operator, LINE) == []
        make_bill(operator, total_weight=Decimal(31_500))
        make_filing(other_operator)
        assert found_for(operator, LINE) == []

    @pytest.mark.parametrize(
        ("changed", "fires"),
        [
            ({}, False),
            ({"vessel_name": " 新海天 "}, False),
            ({"voyage_no": "0126w"}, False),
            ({"vessel_name": ""}, False),
            ({"voyage_no": "0127W"}, True),
            ({"vessel_name": "长荣山海"}, True),
        ],
    )
    @pytest.mark.parametrize("is_kept", [True, False])
    def test_vessel_and_voyage_are_those_that_are_known(self, operator, changed, fires, is_kept):
        if is_kept:
            make_bill(operator, total_weight=Decimal(100_000))
        else:
            earlier = make_filing(operator, bind_key_info="辽A00001")
        found = found_for(operator, {**LINE, **changed})
        assert codes(found) == ([Code.BILL_VOYAGE] if fires else [])
        if fires:
            assert "新海天 0126W" in found[0].text
            assert found[0].url == ("" if is_kept else f"/smartgate/filings/{earlier.pk}/")

    def test_the_other_leg_goes_by_another_vessel(self, operator):
        make_filing(operator, bind_key_info="辽A00001")
        assert found_for(operator, {**LINE, "bill_type": "2", "vessel_name": "长荣山海", "voyage_no": "9"}) == []

    def test_what_was_filed_so_once_more_stands(self, operator):
        make_filing(operator, bind_key_info="辽A00001")
        make_filing(operator, bind_key_info="辽A00002", lines=[line(voyage_no="0127W")])
        assert found_for(operator, {**LINE, "voyage_no": "0127W"}) == []

    def test_a_strangers_voyage_is_not_told(self, operator, other_operator):
        make_filing(other_operator, lines=[line(voyage_no="SECRET")])
        assert found_for(operator, LINE) == []


def test_the_check_digit_is_a_rule_for_every_container_field(operator_client):
    """What is refused needs no caution."""
    for field in ("object_id", "container_no_1", "container_no_2"):
        wrong = {**CONTAINER_LINE, field: "CSQU3054384"}
        response = operator_client.post(NEW, entry_post("save", lines=[wrong]))
        assert "集装箱号“CSQU3054384”不正确" in response.content.decode(), field


def test_four_queries_however_many_lines(operator, other_operator, django_assert_max_num_queries):
    make_bill(operator, total_weight=Decimal(1))
    for number in range(5):
        opened(other_operator, lines=[services.LineEntry(**CONTAINER_LINE), services.LineEntry(**TRANSIT)], plate=f"辽A0000{number}")
        make_filing(operator, bind_key_info=f"辽C0000{number}")
    lines = [bill(1000), box(), TRANSIT] * 60
    with django_assert_max_num_queries(4):
        found = found_for(operator, *lines, container_weight=Decimal(2200))
    assert {Code.BILL_WEIGHT, Code.CONTAINER_OPEN, Code.TRANSIT_OPEN} < set(codes(found))


class TestPages:
    DOUBTFUL = {"vehicle_weight": "8.6"}
    TEXT = "像是按吨填写的"

    def test_the_answer_to_saving_tells_and_hinders_nothing(self, operator_client):
        response = operator_client.post(NEW, entry_post("save", header=self.DOUBTFUL), follow=True)
        page = response.content.decode()
        assert "暂存成功" in page
        assert self.TEXT in page
        assert "仅作提醒，不影响暂存和申报" in page
        assert Filing.unscoped.get().vehicle_weight == Decimal("8.6")

    def test_an_ordinary_filing_is_told_nothing(self, operator_client):
        page = operator_client.post(NEW, entry_post("save"), follow=True).content.decode()
        assert "entry-cautions" not in page.split("</head>")[1]

    def test_a_new_page_and_a_copy_tell_nothing_yet(self, operator, operator_client):
        filing = make_filing(operator, vehicle_weight=Decimal("8.6"))
        for path in (NEW, f"/smartgate/filings/{filing.pk}/copy/", f"/smartgate/filings/{filing.pk}/"):
            assert self.TEXT not in operator_client.get(path).content.decode()

    def test_the_question_tells_before_it_is_confirmed(self, operator_client):
        page = operator_client.post(NEW, entry_post("declare", header=self.DOUBTFUL)).content.decode()
        question = page.split('role="alertdialog"')[1].split("确认申报</button>")[0]
        assert self.TEXT in question
        assert page.count(self.TEXT) == 1
        assert 'value="declare_confirmed">' in page, "the cursor stands before what is to be read, not behind it"
        assert not Filing.unscoped.exists()

    def test_what_was_passed_stands_in_the_trail(self, operator, operator_client):
        operator_client.post(NEW, entry_post("declare_confirmed", header={**self.DOUBTFUL, "trailer_weight": "6.2"}))
        entry = AuditEntry.unscoped.get(action="smartgate.filing.declare")
        assert entry.after["cautions"] == ["like_tonnes"]
        assert Filing.unscoped.get().status == FilingStatus.DECLARED

    def test_a_plain_declaration_has_nothing_to_tell(self, operator_client):
        operator_client.post(NEW, entry_post("declare_confirmed"))
        assert "cautions" not in AuditEntry.unscoped.get(action="smartgate.filing.declare").after

    def test_the_audit_page_names_what_was_passed(self, operator, administrator, client):
        filing = make_filing(operator, vehicle_weight=Decimal("8.6"))
        services.declare_filing(actor=operator, filing_id=filing.pk)
        client.force_login(administrator)
        entry = AuditEntry.unscoped.get(action="smartgate.filing.declare")
        page = client.get(f"/accounts/audit/{entry.pk}/").content.decode()
        assert "申报时已知悉的提醒" in page
        assert "重量像是按吨填写的" in page
        assert administrator.has_right(Right.AUDIT_READ)

    def test_the_open_vehicle_is_told_before_it_is_refused(self, operator, operator_client):
        first = make_filing(operator)
        services.declare_filing(actor=operator, filing_id=first.pk)
        second = make_filing(operator)
        page = operator_client.get(f"/smartgate/filings/{second.pk}/edit/").content.decode()
        assert f'href="/smartgate/filings/{first.pk}/"' in page
        assert "办结前本票不能申报" in page


class TestFollowing:
    URL = f"{NEW}?follow"

    def test_the_header_is_taken_over_but_not_the_vehicle(self, operator, operator_client):
        make_filing(operator, customs_code="0940", business_type=BusinessType.TRANSIT, plate_verified=True)
        response = operator_client.get(self.URL)
        form = response.context["form"]
        assert (form["customs_code"].value(), form["business_type"].value(), form["bind_key_type"].value()) == ("0940", "0100000000", "VN")
        for name in ("bind_key_info", "plate_verified", "vehicle_weight", "trailer_weight", "container_weight", "data_center_no"):
            assert not form[name].value(), name
        assert "已沿用上一票" in response.content.decode()
        assert response.context["lines"].rows == []

    def test_it_is_ones_own_last_one(self, operator, administrator, operator_client):
        make_filing(operator, customs_code="0940")
        make_filing(administrator, customs_code="0901")
        assert operator_client.get(self.URL).context["form"]["customs_code"].value() == "0940"

    def test_who_has_none_is_told_so(self, operator_client, other_operator):
        make_filing(other_operator)
        response = operator_client.get(self.URL)
        assert "还没有可沿用的单据" in response.content.decode()
        assert not response.context["form"]["customs_code"].value()

    def test_the_button_is_there_and_saving_stores_another_filing(self, operator, operator_client):
        make_filing(operator)
        assert 'href="/smartgate/filings/new/?follow"' in operator_client.get(NEW).content.decode()
        assert operator_client.post(self.URL, entry_post("save", header={"bind_key_info": "辽A00001"})).status_code == 302
        assert Filing.unscoped.count() == 2


def test_the_page_carries_what_a_browser_without_a_script_offers(operator, operator_client):
    make_bill(operator)
    make_filing(operator, bind_key_info="辽A77777")
    page = operator_client.get(NEW).content.decode()
    assert '<option value="辽A77777">' in page
    assert '<option value="COSU123456789">剩余 18500 / 50000 千克' in page
    assert 'list="usual-vehicles"' in page
    assert 'list="known-bills"' in page
