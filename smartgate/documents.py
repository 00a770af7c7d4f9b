"""打印: a filing on paper (SGW-09), with its number for scanners."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.codes import CodeSource
from core.pdf import Barcodes, Column, Fields, Heading, Paragraph, Sheet
from core.text import decimal_text
from smartgate import rules, states
from smartgate.forms import BILL_TYPES, BIND_KEY_TYPES, IMPORT_EXPORT, OBJECT_TYPES, TRANSPORT_MODES, VEHICLE_FLOW_TYPES
from smartgate.models import BusinessType, Filing, FilingLine, FilingStatus

#: What is written across every page of a filing that lets nobody through a gate.
_MARKS = {
    FilingStatus.DRAFT: gettext_lazy("暂存　未申报"),
    FilingStatus.REJECTED: gettext_lazy("退单　未生效"),
    FilingStatus.RELAY_FAILED: gettext_lazy("发往内网失败　未生效"),
    FilingStatus.VOIDED: gettext_lazy("已删单　作废"),
}
#: Body columns in the manual's order (M4 §3.1.1.2) with their share of the width; 备注 stands below its row.
_LINE_COLUMNS = (
    ("line_no", 3),
    ("direction", 4.5),
    ("object_type", 6.5),
    ("object_id", 12),
    ("vessel_name", 9),
    ("voyage_no", 9),
    ("business_type", 7),
    ("bill_type", 5),
    ("pickup_weight", 7),
    ("container_no_1", 9),
    ("container_no_2", 9),
    ("seal_no_1", 10),
    ("seal_no_2", 10),
)
_LINE_NUMBERS = {"line_no", "pickup_weight"}


def filing_sheet(*, filing: Filing, lines: Iterable[FilingLine], enterprise_name: str, printed_by: str, printed_at: datetime) -> Sheet:
    """The filing as it is stored now: header in the manual's order, every body line, its state and version."""
    sheet = Sheet(
        title=_("智能卡口散杂货申报单 %(trip_no)s") % {"trip_no": filing.trip_no},
        printed_by=printed_by,
        printed_at=printed_at,
        running_head=_("智能卡口散杂货申报单　车次确认编号 %(trip_no)s　%(status)s　%(version)s")
        % {"trip_no": filing.trip_no, "status": filing.get_status_display(), "version": _version(filing)},
        mark=str(_MARKS.get(FilingStatus(filing.status), "")),
    )
    sheet.add(
        Heading(_("智能卡口散杂货申报单")),
        Barcodes(filing.trip_no, _label(filing, "trip_no")),
        Fields(
            [
                (_("企业名称"), enterprise_name),
                (_label(filing, "version"), _version(filing)),
                (_label(filing, "declared_at"), _moment(filing.declared_at)),
            ],
            gap=4.0,
        ),
        _header(filing),
    )
    if filing.status in states.EDITABLE and filing.version:
        changed = _("第 %(version)s 版申报之后可能又有修改；所印为当前保存的内容，未经海关接受。")
        sheet.add(Paragraph(changed % {"version": filing.version}))
    columns = [Column(_label(FilingLine, name), share, is_number=name in _LINE_NUMBERS) for name, share in _LINE_COLUMNS]
    rows = [(_cells(line), f"{_label(line, 'remark')}：{line.remark}" if line.remark else "") for line in lines]
    sheet.add(Paragraph(_("表体信息（共 %(count)s 行；本次提货重量单位为千克）") % {"count": len(rows)}))
    sheet.add_table(columns, rows)
    return sheet


def _header(filing: Filing) -> Fields:
    return Fields(
        [
            (_label(filing, "data_center_no"), filing.data_center_no),
            (_label(filing, "trip_no"), filing.trip_no),
            (_label(filing, "customs_code"), _coded(rules.CUSTOMS_DISTRICTS, filing.customs_code)),
            (_label(filing, "status"), filing.get_status_display()),
            (_label(filing, "entered_at"), f"{timezone.localtime(filing.entered_at):%Y-%m-%d}"),
            (_label(filing, "credit_code"), filing.credit_code),
            (_label(filing, "organisation_code"), filing.organisation_code),
            (_label(filing, "operator"), filing.operator),
            (_label(filing, "bind_key_type"), _coded(BIND_KEY_TYPES, filing.bind_key_type)),
            (_label(filing, "bind_key_info"), filing.bind_key_info),
            (_label(filing, "business_type"), _business(filing.business_type)),
            (_label(filing, "transport_mode"), _coded(TRANSPORT_MODES, filing.transport_mode)),
            (_label(filing, "ie_flag"), _coded(IMPORT_EXPORT, filing.ie_flag)),
            (_label(filing, "vehicle_flow_type"), _coded(VEHICLE_FLOW_TYPES, filing.vehicle_flow_type)),
            (_label(filing, "vehicle_weight"), _kilograms(filing.vehicle_weight)),
            (_label(filing, "trailer_weight"), _kilograms(filing.trailer_weight)),
            (_label(filing, "container_weight"), _kilograms(filing.container_weight)),
        ],
        wide=[(_label(filing, "remark"), filing.remark)],
    )


def _cells(line: FilingLine) -> Sequence[str]:
    return [
        str(line.line_no),
        _coded(IMPORT_EXPORT, line.direction),
        _coded(OBJECT_TYPES, line.object_type),
        line.object_id,
        line.vessel_name,
        line.voyage_no,
        _business(line.business_type),
        _coded(BILL_TYPES, line.bill_type),
        "" if line.pickup_weight is None else decimal_text(line.pickup_weight),
        line.container_no_1,
        line.container_no_2,
        line.seal_no_1,
        line.seal_no_2,
    ]


def _label(record: Filing | FilingLine | type[FilingLine], name: str) -> str:
    return str(record._meta.get_field(name).verbose_name)  # type: ignore[union-attr]


def _coded(source: CodeSource, code: str) -> str:
    """The code with its name, as entry page and query show it; one that the list does not know stands alone."""
    option = source.get(code) if code else None
    return code if option is None else str(option)


def _business(code: str) -> str:
    """业务类型 by name: its code is ten flags."""
    return str(BusinessType(code).label) if code in BusinessType.values else code


def _kilograms(weight: Decimal) -> str:
    return _("%(weight)s 千克") % {"weight": decimal_text(weight)}


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}"


def _version(filing: Filing) -> str:
    return _("第 %(version)s 版") % {"version": filing.version} if filing.version else _("未申报")
