"""Columns of 我的操作员."""

from typing import Any

import django_tables2 as tables
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.filters import OperatorState
from accounts.models import User
from accounts.rights import ApplicationKey
from core.listing import MomentColumn, QueryTable, StateColumn, TextColumn

STATE_COLOURS: dict[str, str] = {
    OperatorState.OPEN.value: "green",
    OperatorState.NEW.value: "azure",
    OperatorState.REVIEW.value: "orange",
    OperatorState.FROZEN.value: "orange",
    OperatorState.DISABLED.value: "secondary",
}


class ApplicationsColumn(tables.Column):
    """The applications that are open to the user, by their names: granted to him and opened by his enterprise."""

    def render(self, record: User) -> str:
        return gettext("、").join(str(key.label) for key in ApplicationKey if key.value in (record.open_applications or ()))

    value: Any = render


class OperatorTable(QueryTable):
    username = TextColumn(nowrap=True)
    full_name = TextColumn(nowrap=True)
    mobile = TextColumn(nowrap=True)
    email = TextColumn()
    state = StateColumn(choices=OperatorState, colours=STATE_COLOURS, verbose_name=_("账号状态"))
    applications = ApplicationsColumn(attrs={"td": {"class": "operator-applications"}})
    last_login = MomentColumn(verbose_name=_("上次登录"))
    date_joined = MomentColumn(verbose_name=_("开户时间"))
    default_columns = ("username", "full_name", "mobile", "state", "applications", "last_login")

    class Meta(QueryTable.Meta):
        model = User
        fields: tuple[str, ...] = ()
