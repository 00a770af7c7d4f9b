"""The query page of filings passes the contract of all query pages, and speaks the manual's words."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import ClassVar

import pytest

from accounts.models import Enterprise, User
from reference import queries
from smartgate.models import BusinessType, Filing, FilingStatus
from tests.core.listing.contract import FilterExample, ListContract
from tests.smartgate.factories import HEADER

_numbers = count(1)
MOMENT = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def bare_filing(enterprise: Enterprise, **values: object) -> Filing:
    """A row with chosen values, made without a service: the list is what is tested."""
    number = next(_numbers)
    user = User.objects.filter(enterprise=enterprise).first() or User.objects.create_user(
        f"maker{number}", password="x", full_name="x", role="operator", enterprise=enterprise
    )
    defaults = {
        **HEADER,
        "bind_key_info": f"辽B{number:05d}",
        "enterprise": enterprise,
        "created_by": user,
        "data_center_no": f"2026{number:014d}",
        "trip_no": f"202611U{user.pk:012d}{number:013d}",
        "entered_at": MOMENT + timedelta(seconds=number),
        "status_at": MOMENT,
        "credit_code": enterprise.credit_code,
        "organisation_code": enterprise.organisation_code,
        "operator": user.username,
        "version": 1,
        "message_id": "00000000-0000-4000-8000-000000000001",
        "declared_at": MOMENT,
    }
    return Filing.unscoped.create(**{**defaults, **values})


def _other_business(kind: BusinessType) -> BusinessType:
    return BusinessType.DECLARATION if kind != BusinessType.DECLARATION else BusinessType.TRANSIT


def _other(status: FilingStatus) -> FilingStatus:
    return FilingStatus.DRAFT if status != FilingStatus.DRAFT else FilingStatus.CLOSED


@pytest.mark.covers("SGW-06", "PRT-06")
class TestFilingList(ListContract):
    url_name = "smartgate:list"
    filter_examples: ClassVar = [
        FilterExample({"trip_no": "202611u000000000001 9999999999999"}, {"trip_no": "202611U0000000000019999999999999"}, {}),
        *(FilterExample({"status": status.value}, {"status": status.value}, {"status": _other(status)}) for status in FilingStatus),
        FilterExample({"bind_key_type": "BC"}, {"bind_key_type": "BC"}, {"bind_key_type": "VN"}),
        FilterExample({"bind_key_info": "辽b·12345"}, {"bind_key_info": "辽B12345"}, {"bind_key_info": "辽B54321"}),
        FilterExample({"bind_key_info": "Abc-1"}, {"bind_key_type": "BC", "bind_key_info": "Abc-1"}, {"bind_key_info": "辽B54321"}),
        *(
            FilterExample({"business_type": kind.value}, {"business_type": kind.value}, {"business_type": _other_business(kind)})
            for kind in BusinessType
        ),
        FilterExample({"customs_code": "0940"}, {"customs_code": "0940"}, {"customs_code": "0908"}),
        FilterExample({"ie_flag": "E"}, {"ie_flag": "E"}, {"ie_flag": "I"}),
        # The day is Shanghai's: 16:00 UTC is midnight there.
        FilterExample({"entered_at_from": "2026-11-21"}, {"entered_at": MIDNIGHT}, {"entered_at": MIDNIGHT - SECOND}),
        FilterExample({"entered_at_to": "2026-11-20"}, {"entered_at": MIDNIGHT - SECOND}, {"entered_at": MIDNIGHT}),
    ]
    wrong_filters: ClassVar = [
        {"status": "nonsense"},
        {"customs_code": "9999"},
        {"business_type": "1111111111"},
        {"entered_at_from": "昨天"},
        {"entered_at_from": "2026-11-21", "entered_at_to": "2026-11-20"},
    ]
    sort_values: ClassVar = {"entered_at": [MOMENT, MOMENT, MOMENT + SECOND, MOMENT - SECOND]}

    @pytest.fixture(autouse=True)
    def _tables_are_not_asked_for_news(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """That query comes every few seconds; it would make counting queries a matter of luck."""
        monkeypatch.setattr(queries, "CHECK_SECONDS", float("inf"))

    def make_row(self, enterprise: Enterprise, **values: object) -> Filing:
        return bare_filing(enterprise, **values)


@pytest.mark.django_db
@pytest.mark.covers("SGW-06")
def test_the_stored_state_is_called_approved_here(operator, operator_client):
    bare_filing(operator.enterprise, status=FilingStatus.STORED)
    page = operator_client.get("/smartgate/filings/").content.decode()
    assert "海关审核通过" in page
    assert "海关入库成功" not in page


@pytest.mark.django_db
def test_deleted_filings_are_not_listed(operator, operator_client):
    bare_filing(operator.enterprise, deleted_at=MOMENT, bind_key_info="辽B77777")
    assert "辽B77777" not in operator_client.get("/smartgate/filings/").content.decode()
