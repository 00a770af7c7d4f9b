"""Columns of the filings' query page."""

from django_tables2 import A

from core.listing import CodeColumn, DayColumn, MomentColumn, NumberColumn, QueryTable, StateColumn, TextColumn
from smartgate import rules
from smartgate.forms import BIND_KEY_TYPES, BUSINESS_TYPES, IMPORT_EXPORT, TRANSPORT_MODES
from smartgate.models import Filing, FilingStatus

STATUS_COLOURS: dict[str, str] = {
    FilingStatus.DRAFT.value: "secondary",
    FilingStatus.DECLARED.value: "blue",
    FilingStatus.RELAYED.value: "azure",
    FilingStatus.RELAY_FAILED.value: "red",
    FilingStatus.STORED.value: "green",
    FilingStatus.REJECTED.value: "red",
    FilingStatus.CLOSED.value: "teal",
    FilingStatus.LOCKED.value: "orange",
    FilingStatus.UNLOCKED.value: "lime",
    FilingStatus.CLOSED_MANUALLY.value: "teal",
    FilingStatus.DEPARTED.value: "cyan",
    FilingStatus.VOIDED.value: "secondary",
}


class FilingTable(QueryTable):
    trip_no = TextColumn(linkify=("smartgate:detail", {"pk": A("pk")}), nowrap=True)
    status = StateColumn(choices=FilingStatus, colours=STATUS_COLOURS, labels={FilingStatus.STORED: FilingStatus.STORED.query_label})
    bind_key_type = CodeColumn(source=BIND_KEY_TYPES, show_code=False)
    bind_key_info = TextColumn(nowrap=True)
    business_type = CodeColumn(source=BUSINESS_TYPES, show_code=False)
    customs_code = CodeColumn(source=rules.CUSTOMS_DISTRICTS)
    ie_flag = CodeColumn(source=IMPORT_EXPORT, show_code=False)
    transport_mode = CodeColumn(source=TRANSPORT_MODES, show_code=False)
    vehicle_weight = NumberColumn()
    trailer_weight = NumberColumn()
    container_weight = NumberColumn()
    data_center_no = TextColumn(nowrap=True)
    operator = TextColumn()
    entered_at = DayColumn()
    declared_at = MomentColumn()
    status_at = MomentColumn()
    default_columns = ("trip_no", "status", "bind_key_info", "business_type", "customs_code", "ie_flag", "entered_at")

    class Meta(QueryTable.Meta):
        model = Filing
        fields: tuple[str, ...] = ()
