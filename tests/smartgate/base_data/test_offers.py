"""What is offered while somebody types: by the enterprise's own list and filings, never another's, in a fixed number of queries."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from smartgate.base_data import queries
from smartgate.models import Filing, FilingStatus
from tests.smartgate.factories import line, make_bill, make_filing, make_vehicle
from tests.smartgate.test_list import bare_filing

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-11")]
VEHICLES, BILLS = "/smartgate/base/vehicles/lookup/", "/smartgate/base/bills/lookup/"


def asked(client, path, **params):
    return client.get(path, params).json()["results"]


def values(client, path, **params):
    return [result["code"] for result in asked(client, path, **params)]


def test_vehicles_by_beginning_first_then_by_any_part(operator, operator_client):
    for plate in ("辽A11111", "辽B12345", "京B12399"):
        make_vehicle(operator, bind_key_info=plate)
    make_vehicle(operator, bind_key_type="BC", bind_key_info="b12-code")
    assert values(operator_client, VEHICLES, kind="VN", q="辽b·12") == ["辽B12345"]
    assert set(values(operator_client, VEHICLES, kind="VN", q="B123")) == {"辽B12345", "京B12399"}
    assert values(operator_client, VEHICLES, kind="BC", q="b12") == ["b12-code"]
    assert values(operator_client, VEHICLES, kind="", q="B123") == []
    assert values(operator_client, VEHICLES, kind="VN", q="100%_") == []


def test_choosing_one_fills_what_is_the_same_on_every_trip(operator, operator_client):
    make_vehicle(operator, vehicle_flow_type="02", container_weight=Decimal(2200), remark="蓝色")
    (offer,) = asked(operator_client, VEHICLES, kind="VN")
    assert offer["fills"] == {
        "vehicle_weight": "8600",
        "trailer_weight": "6200.5",
        "container_weight": "2200",
        "vehicle_flow_type": "02",
    }
    assert offer["name"] == "8600 + 6200.5 千克 · 空进重出 · 蓝色"
    assert "driver" not in str(offer)


def test_vehicles_much_used_of_late_are_offered_besides(operator, operator_client):
    now = timezone.now()
    for plate, times, days in (("辽B00001", 1, 1), ("辽B00002", 3, 89), ("辽B00003", 5, 91)):
        for _time in range(times):
            bare_filing(operator.enterprise, bind_key_info=plate, status=FilingStatus.CLOSED, entered_at=now - timedelta(days=days))
    bare_filing(operator.enterprise, bind_key_info="辽B00004", entered_at=now, deleted_at=now, status=FilingStatus.DRAFT)
    make_vehicle(operator, bind_key_info="辽B00001")
    offers = asked(operator_client, VEHICLES, kind="VN")
    assert [offer["code"] for offer in offers] == ["辽B00001", "辽B00002"]
    assert offers[1]["name"].endswith("近 90 天 3 票")
    assert "container_weight" not in offers[1]["fills"]


def test_only_so_many_filings_are_looked_at(operator, monkeypatch):
    monkeypatch.setattr(queries, "USED_FILINGS", 2)
    for number in range(4):
        bare_filing(operator.enterprise, bind_key_info=f"辽B0000{number}", entered_at=timezone.now() - timedelta(hours=number))
    assert [offer.value for offer in queries.vehicles_offered(operator, kind="VN")] == ["辽B00001", "辽B00000"]


def test_no_more_than_twenty_in_three_queries(operator, django_assert_max_num_queries):
    for number in range(30):
        make_vehicle(operator, bind_key_info=f"辽B{number:05d}")
        bare_filing(operator.enterprise, bind_key_info=f"辽C{number:05d}", entered_at=timezone.now())
        make_bill(operator, bill_no=f"COSU{number:05d}")
    for kind in ("辽", "辽C"):
        with django_assert_max_num_queries(3):
            assert len(queries.vehicles_offered(operator, kind="VN", typed=kind)) == 20
    with django_assert_max_num_queries(2):
        assert len(queries.bills_offered(operator, typed="COSU")) == 20


def test_bills_say_what_is_left(operator, operator_client):
    make_bill(operator, total_weight=Decimal(50_000))
    make_filing(operator, lines=[line(pickup_weight=Decimal("31500.5"))])
    (offer,) = asked(operator_client, BILLS, kind="B", q="cosu")
    assert offer["name"] == "剩余 18499.5 / 50000 千克 · 新海天 0126W"
    assert offer["fills"] == {"vessel_name": "新海天", "voyage_no": "0126W"}
    assert asked(operator_client, BILLS, kind="C", q="cosu") == []


def test_another_enterprise_is_offered_nothing_of_it(operator, other_client):
    make_vehicle(operator)
    make_bill(operator)
    make_filing(operator, bind_key_info="辽B99999")
    assert asked(other_client, VEHICLES, kind="VN") == []
    assert asked(other_client, BILLS, kind="B") == []


def test_who_is_not_logged_in_is_told_in_a_way_that_a_script_reads(client):
    assert client.get(VEHICLES).status_code == client.get(BILLS).status_code == 401


_TAKEN = st.lists(
    st.tuples(
        st.sampled_from(FilingStatus.values),
        st.booleans(),
        st.lists(st.decimals(0, 40_000, places=3), min_size=1, max_size=3),
        st.sampled_from(["A1", "A2"]),
    ),
    max_size=5,
)


@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filings=_TAKEN)
def test_what_was_taken_of_a_bill_is_the_sum_over_what_still_stands(operator, other_operator, filings):
    Filing.unscoped.all().delete()
    wanted: dict[str, Decimal] = {}
    rows = []
    for status, is_deleted, weights, bill in filings:
        filing = make_filing(operator, lines=[line(object_id=bill, pickup_weight=weight) for weight in weights])
        sent = {"version": 1, "message_id": "00000000-0000-4000-8000-000000000001", "declared_at": timezone.now()}
        changes = {"status": status, "bind_key_info": f"X{filing.pk}", "deleted_at": timezone.now() if is_deleted else None, **sent}
        Filing.unscoped.filter(pk=filing.pk).update(**changes)
        stands = not is_deleted and status not in ("rejected", "voided")
        rows.append((filing.pk, bill, sum(weights) if stands else None))
        if stands:
            wanted[bill] = wanted.get(bill, Decimal(0)) + sum(weights)
    make_filing(other_operator, lines=[line(object_id="A1", pickup_weight=Decimal(1))])
    assert queries.weights_taken(operator, ["A1", "A2"]) == wanted
    for pk, bill, weight in rows:
        rest = queries.weights_taken(operator, [bill], but=pk)
        assert rest.get(bill, Decimal(0)) == wanted.get(bill, Decimal(0)) - (weight or 0)
