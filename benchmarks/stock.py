"""The list as Django's documentation teaches it: ListView, Paginator, a template with a loop. Same rows, columns, frame and rights."""

from typing import Any

from django.db.models import QuerySet
from django.template import engines
from django.views.generic import ListView

from accounts.rights import Right
from core.views import WorkPageMixin
from smartgate.models import Filing

_TEMPLATE = """{% extends "base_work.html" %}
{% block content %}
<table class="table">
<thead><tr><th>车次确认编号</th><th>单证状态</th><th>绑定介质关键信息</th><th>业务类型</th><th>关区代码</th><th>进出口标志</th><th>录入时间</th></tr></thead>
<tbody>{% for row in page_obj %}<tr>
<th><a href="{% url 'smartgate:detail' pk=row.pk %}">{{ row.trip_no }}</a></th><td>{{ row.get_status_display }}</td>
<td>{{ row.bind_key_info }}</td><td>{{ row.get_business_type_display }}</td><td>{{ row.customs_code }}</td>
<td>{{ row.get_ie_flag_display }}</td><td>{{ row.entered_at|date:"Y-m-d" }}</td>
</tr>{% endfor %}</tbody>
</table>
<p>{{ page_obj.number }} / {{ paginator.num_pages }}, {{ paginator.count }}</p>
{% if page_obj.has_previous %}<a href="?page={{ page_obj.previous_page_number }}">上一页</a>{% endif %}
{% if page_obj.has_next %}<a href="?page={{ page_obj.next_page_number }}">下一页</a>{% endif %}
{% endblock %}"""


class StockList(WorkPageMixin, ListView):
    """Filings of the reader's enterprise: page number, count of everything, OFFSET. Conditions by their names in the URL."""

    title = "Paginator"
    right = Right.SMARTGATE_VIEW
    paginate_by = 20

    def get_queryset(self) -> QuerySet[Filing]:
        conditions: dict[str, Any] = {name: value for name, value in self.request.GET.items() if name not in ("page", "sort")}
        for parameter, lookup in (("entered_at_from", "entered_at__gte"), ("entered_at_before", "entered_at__lt")):
            if parameter in conditions:
                conditions[lookup] = conditions.pop(parameter)
        sign = "" if self.request.GET.get("sort") == "entered_at" else "-"
        found: QuerySet[Filing] = Filing.objects.for_user(self.request.user).filter(**conditions)
        return found.order_by(f"{sign}entered_at", f"{sign}id")

    def get_template_names(self) -> Any:
        return engines["django"].from_string(_TEMPLATE)
