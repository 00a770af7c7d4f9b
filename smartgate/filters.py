"""Conditions of the filings' query page (M4 §3.2.1, SGW-06)."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from core.codes import ChoicesSource, CodeOption
from core.identifiers import normalised, normalised_plate
from core.listing import CodeFilter, DayRangeFilter, QueryFilterSet, TextFilter
from core.pinyin import initials
from smartgate import rules
from smartgate.forms import BIND_KEY_TYPES, BUSINESS_TYPES
from smartgate.models import Filing, FilingStatus, ImportExport


class QueryStatuses(ChoicesSource):
    """单据状态 in the query's words: 海关入库成功 is called 海关审核通过 there."""

    @property
    def _options(self) -> dict[str, CodeOption]:
        return {
            status.value: CodeOption(status.value, str(status.query_label), initials(str(status.query_label))) for status in FilingStatus
        }


class QueryImportExport(ChoicesSource):
    """进出口标志 as the query has it: I-进口, E-出口 (M4 §3.2.1)."""

    @property
    def _options(self) -> dict[str, CodeOption]:
        return {flag.value: CodeOption(flag.value, f"{flag.value}-{flag.label}", initials(str(flag.label))) for flag in ImportExport}


class BindKeyFilter(TextFilter):
    """绑定介质关键信息 as typed, or as numbers are stored: barcodes keep their case, all else is upper case."""

    def filter(self, qs: Any, value: str) -> Any:
        return qs.filter(bind_key_info__in={value, normalised(value), normalised_plate(value)}) if value else qs


class FilingFilter(QueryFilterSet):
    trip_no = TextFilter(normalise=normalised)
    status = CodeFilter(source=QueryStatuses(FilingStatus), show_code=False, label=_("单据状态"))
    bind_key_type = CodeFilter(source=BIND_KEY_TYPES)
    bind_key_info = BindKeyFilter()
    business_type = CodeFilter(source=BUSINESS_TYPES, show_code=False)
    customs_code = CodeFilter(source=rules.CUSTOMS_DISTRICTS)
    ie_flag = CodeFilter(source=QueryImportExport(ImportExport), show_code=False)
    entered_at = DayRangeFilter()

    class Meta:
        model = Filing
        fields: list[str] = []
