"""Conditions of the two lists."""

from core.identifiers import normalised
from core.listing import CodeFilter, QueryFilterSet, TextFilter
from smartgate.base_data.models import KnownBill, UsualVehicle
from smartgate.filters import BindKeyFilter
from smartgate.forms import BIND_KEY_TYPES


class VehicleFilter(QueryFilterSet):
    bind_key_info = BindKeyFilter()
    bind_key_type = CodeFilter(source=BIND_KEY_TYPES)

    class Meta:
        model = UsualVehicle
        fields: list[str] = []


class BillFilter(QueryFilterSet):
    bill_no = TextFilter(normalise=normalised)

    class Meta:
        model = KnownBill
        fields: list[str] = []
