"""The contract every query page keeps, tried on a page over the audit trail."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Enterprise
from core.models import AuditEntry
from tests.core.listing.audit_list import MOMENT, Kind, make_entry
from tests.core.listing.contract import FilterExample, ListContract

pytestmark = [pytest.mark.urls("tests.core.listing.urls"), pytest.mark.covers("PRT-06")]


class TestAuditList(ListContract):
    url_name = "test-audit"
    filter_examples = [
        FilterExample({"actor_name": "carrier7"}, hit={"actor_name": "CARRIER7"}, miss={"actor_name": "CARRIER78"}),
        FilterExample({"object_type": "accounts.user"}, hit={"object_type": Kind.USER}, miss={"object_type": Kind.TABLE}),
        # 16:30 UTC is half past midnight of the next day in Dalian.
        FilterExample({"at_from": "2026-11-21"}, hit={"at": MOMENT}, miss={"at": MOMENT - timedelta(minutes=31)}),
        FilterExample({"at_to": "2026-11-20"}, hit={"at": MOMENT - timedelta(minutes=31)}, miss={"at": MOMENT}),
    ]
    wrong_filters = [
        {"object_type": "nonsense"},
        {"at_from": "yesterday"},
        {"at_to": "2026-02-30"},
        {"at_from": "11/12/2026"},
        {"at_from": "2026-11-21", "at_to": "2026-11-20"},
        {"at_to": "9999-12-31"},
        {"actor_name": "x" * 101},
    ]
    sort_values = {
        "at": [MOMENT, MOMENT + timedelta(microseconds=1), MOMENT + timedelta(microseconds=2)],
        "actor_name": ["A", "a", "大", "é", ""],
        "actor_id": [1, 2, 2**62, None],
    }

    def make_row(self, enterprise: Enterprise, **values: Any) -> AuditEntry:
        return make_entry(enterprise, **values)
