"""Columns of the two lists."""

from django.utils.translation import gettext_lazy as _

from core.listing import CodeColumn, MomentColumn, NumberColumn, QueryTable, TextColumn
from smartgate.base_data.models import KnownBill, UsualVehicle
from smartgate.forms import BIND_KEY_TYPES, VEHICLE_FLOW_TYPES


class VehicleTable(QueryTable):
    bind_key_info = TextColumn(nowrap=True)
    bind_key_type = CodeColumn(source=BIND_KEY_TYPES, show_code=False)
    vehicle_weight = NumberColumn()
    trailer_weight = NumberColumn()
    container_weight = NumberColumn()
    vehicle_flow_type = CodeColumn(source=VEHICLE_FLOW_TYPES, show_code=False)
    customs_no = TextColumn(nowrap=True)
    driver_name = TextColumn(accessor="masked_driver_name", verbose_name=_("常用司机"), nowrap=True)
    driver_mobile = TextColumn(accessor="masked_driver_mobile", verbose_name=_("司机手机号"), nowrap=True)
    remark = TextColumn()
    updated_at = MomentColumn()
    default_columns = ("bind_key_info", "bind_key_type", "vehicle_weight", "trailer_weight", "driver_name", "driver_mobile", "updated_at")

    class Meta(QueryTable.Meta):
        model = UsualVehicle
        fields: tuple[str, ...] = ()


class BillTable(QueryTable):
    bill_no = TextColumn(nowrap=True)
    total_weight = NumberColumn()
    vessel_name = TextColumn()
    voyage_no = TextColumn(nowrap=True)
    remark = TextColumn()
    updated_at = MomentColumn()

    class Meta(QueryTable.Meta):
        model = KnownBill
        fields: tuple[str, ...] = ()
