"""The lists of 常用车辆 and 常用提单 pass the contract of all query pages; drivers stand there masked."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import ClassVar

import pytest

from accounts.models import Enterprise
from smartgate.base_data.models import KnownBill, UsualVehicle
from tests.core.listing.contract import FilterExample, ListContract
from tests.smartgate.factories import make_vehicle

_numbers = count(1)
MOMENT = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
pytestmark = pytest.mark.covers("SGW-11")


class TestVehicles(ListContract):
    url_name = "smartgate:vehicles"
    filter_examples: ClassVar = [
        FilterExample({"bind_key_info": "辽b·12345"}, {"bind_key_info": "辽B12345"}, {"bind_key_info": "辽B54321"}),
        FilterExample({"bind_key_type": "BC"}, {"bind_key_type": "BC"}, {"bind_key_type": "VN"}),
    ]
    wrong_filters: ClassVar = [{"bind_key_type": "nonsense"}]
    sort_values: ClassVar = {
        "updated_at": [MOMENT, MOMENT, MOMENT + SECOND, MOMENT - SECOND],
        "bind_key_info": lambda number: f"辽C{number:05d}",
    }

    def make_row(self, enterprise: Enterprise, **values: object) -> UsualVehicle:
        number = next(_numbers)
        defaults = {
            "enterprise": enterprise,
            "bind_key_type": "VN",
            "bind_key_info": f"辽B{number:05d}",
            "updated_at": MOMENT + timedelta(seconds=number),
            "driver_name": "张师傅",
            "driver_mobile": "13804110001",
        }
        return UsualVehicle.unscoped.create(**{**defaults, **values})


class TestBills(ListContract):
    url_name = "smartgate:bills"
    filter_examples: ClassVar = [FilterExample({"bill_no": "cosu 1"}, {"bill_no": "COSU1"}, {"bill_no": "COSU2"})]
    wrong_filters: ClassVar = [{"bill_no": "x" * 200}]
    sort_values: ClassVar = {
        "updated_at": [MOMENT, MOMENT, MOMENT + SECOND, MOMENT - SECOND],
        "bill_no": lambda number: f"BILL{number:05d}",
    }

    def make_row(self, enterprise: Enterprise, **values: object) -> KnownBill:
        number = next(_numbers)
        defaults = {
            "enterprise": enterprise,
            "bill_no": f"COSU{number:09d}",
            # A spreadsheet drops zeros at the end, which the page shows.
            "total_weight": Decimal("50000.125"),
            "updated_at": MOMENT + timedelta(seconds=number),
        }
        return KnownBill.unscoped.create(**{**defaults, **values})


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["", "?columns=driver_name,driver_mobile&export=csv"])
def test_a_driver_is_masked_on_the_list_and_in_what_it_hands_out(operator, operator_client, way):
    make_vehicle(operator, driver_name="张师傅", driver_mobile="13804110001")
    response = operator_client.get(f"/smartgate/base/vehicles/{way}")
    page = (b"".join(response) if response.streaming else response.content).decode()
    assert "张**" in page
    assert "司机手机号" in page
    assert "138****0001" in page
    assert "张师傅" not in page
    assert "13804110001" not in page
