"""The page 业务数据统计: five tables with their charts, each to be taken along as a workbook."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView

from accounts.rights import Right
from core.listing.export import download
from core.views import WorkPageMixin
from smartgate import rules
from smartgate.models import BindKeyType, BusinessType, FilingStatus
from smartgate.statistics.charts import NARROW, WIDE, day_chart
from smartgate.statistics.forms import DEFAULT_DAYS, PeriodForm
from smartgate.statistics.queries import MOST_VEHICLES, Group, Statistics, statistics_for

#: As many vehicles as a workbook names.
_MOST_EXPORTED = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: what is counted, where its filings are listed ("" where no list has just them), its share of all."""

    name: str
    filings: int
    url: str
    share: str
    #: Length of the bar beside it, of a hundred.
    length: float


@dataclass(frozen=True, slots=True)
class Section:
    """One table: its name in the URL, its title, what its first column is called, and what is to be known of it."""

    key: str
    title: str
    column: str
    lines: Sequence[Line]
    note: str = ""


class StatisticsView(WorkPageMixin, TemplateView):
    """业务数据统计 over a period; `export=<table>` hands a table out as XLSX."""

    title = gettext_lazy("业务数据统计")
    right = Right.SMARTGATE_VIEW
    template_name = "smartgate/statistics.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        wanted = request.GET.get("export", "")
        if self.form.is_valid() and wanted in _SECTIONS:
            return self._workbook(wanted)
        return super().get(request, *args, **kwargs)

    @cached_property
    def form(self) -> PeriodForm:
        """The period asked for."""
        return PeriodForm(self.request.GET)

    def _counted(self, vehicles: int = MOST_VEHICLES) -> Statistics:
        first, last = self.form.cleaned_data["entered_at"]
        return statistics_for(self.request.user, first=first, last=last, vehicles=vehicles)

    def _workbook(self, key: str) -> HttpResponse:
        found = self._counted(vehicles=_MOST_EXPORTED)
        section = _SECTIONS[key](found)
        rows = [(line.name, line.filings, line.share) for line in section.lines]
        title = f"{self.page_title()}_{section.title}_{found.first:%Y%m%d}-{found.last:%Y%m%d}"
        return download(title, "xlsx", [section.column, _("票数"), _("占比")], [*rows, (_("合计"), found.total, "")])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = {"form": self.form, "default_days": DEFAULT_DAYS}
        if self.form.is_valid():
            found = self._counted()
            busiest = max(found.days, key=lambda pair: pair[1])
            context |= {
                "statistics": found,
                "period": _period(found),
                "list_url": _list_url(found),
                "day_count": len(found.days),
                "mean": round(found.total / len(found.days), 1),
                "busiest": busiest,
                "charts": [("wide", day_chart(found.days, WIDE)), ("narrow", day_chart(found.days, NARROW))],
                # The days that are counted, also where they were not typed.
                "form": PeriodForm(_period(found)),
                "sections": [make(found) for make in _SECTIONS.values()] if found.total else [],
            }
        return super().get_context_data(**context, **kwargs)


def _period(found: Statistics) -> dict[str, str]:
    """The days as the query page's URL has them."""
    return {"entered_at_from": str(found.first), "entered_at_to": str(found.last)}


def _list_url(found: Statistics, **conditions: str) -> str:
    return f"{reverse('smartgate:list')}?{urlencode({**_period(found), **conditions})}"


def _line(found: Statistics, name: str, filings: int, most: int, url: str) -> Line:
    share = f"{100 * filings / found.total:.1f}%" if found.total else ""
    return Line(name, filings, url, share, round(100 * filings / most, 2) if most else 0)


def _days(found: Statistics) -> Section:
    most = max(filings for _day, filings in found.days)

    def url(day: date) -> str:
        return _list_url(found, entered_at_from=str(day), entered_at_to=str(day))

    lines = [_line(found, str(day), filings, most, url(day) if filings else "") for day, filings in found.days]
    return Section("days", _("按日统计"), _("录入时间"), lines)


def _grouped(found: Statistics, groups: Sequence[Group], names: Any, parameter: str) -> list[Line]:
    most = max((group.filings for group in groups), default=0)
    return [_line(found, names(group.key), group.filings, most, _list_url(found, **{parameter: group.key})) for group in groups]


def _customs(found: Statistics) -> Section:
    def name(code: str) -> str:
        option = rules.CUSTOMS_DISTRICTS.get(code)
        return code if option is None else str(option)

    return Section("customs", _("按关区统计"), _("关区代码"), _grouped(found, found.customs, name, "customs_code"))


def _business(found: Statistics) -> Section:
    lines = _grouped(found, found.business, lambda code: str(BusinessType(code).label), "business_type")
    return Section("business", _("按业务类型统计"), _("业务类型"), lines)


def _statuses(found: Statistics) -> Section:
    lines = _grouped(found, found.statuses, lambda code: str(FilingStatus(code).query_label), "status")
    return Section("status", _("按单据状态统计"), _("单据状态"), lines)


def _vehicles(found: Statistics) -> Section:
    most = max((group.filings for group in found.vehicles), default=0)
    lines = [
        _line(
            found,
            f"{BindKeyType(group.kind).label} {group.key}",
            group.filings,
            most,
            _list_url(found, bind_key_type=group.kind, bind_key_info=group.key),
        )
        for group in found.vehicles
    ]
    others = found.vehicle_count - len(found.vehicles)
    if others > 0:
        rest = found.total - sum(group.filings for group in found.vehicles)
        # Without a bar: beside it all others would be too short to compare.
        lines.append(_line(found, _("其余 %(count)s 辆") % {"count": f"{others:,}"}, rest, 0, ""))
    note = _("共 %(count)s 辆（按绑定介质），列出票数最多的 %(shown)s 辆。") % {
        "count": f"{found.vehicle_count:,}",
        "shown": f"{len(found.vehicles):,}",
    }
    return Section("vehicles", _("按车辆统计"), _("绑定介质"), lines, note)


_SECTIONS = {"days": _days, "customs": _customs, "business": _business, "status": _statuses, "vehicles": _vehicles}
