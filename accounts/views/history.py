"""登录记录: the user's own attempts to log in, those that failed among them (ACC-14)."""

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import LoginAttempt, LoginMethod, LoginOutcome
from accounts.rights import Right
from accounts.views.own import own_user
from core.codes import ChoicesSource
from core.listing import (
    CodeColumn,
    CodeFilter,
    DayRangeFilter,
    MomentColumn,
    QueryFilterSet,
    QueryPageView,
    QueryTable,
    StateColumn,
    TextColumn,
)

OUTCOME_COLOURS: dict[str, str] = {
    LoginOutcome.SUCCEEDED.value: "green",
    LoginOutcome.FAILED.value: "red",
    LoginOutcome.CLOSED.value: "orange",
    LoginOutcome.THROTTLED.value: "orange",
}


class LoginHistoryFilter(QueryFilterSet):
    outcome = CodeFilter(source=ChoicesSource(LoginOutcome), show_code=False)
    method = CodeFilter(source=ChoicesSource(LoginMethod), show_code=False)
    at = DayRangeFilter()

    class Meta:
        model = LoginAttempt
        fields: list[str] = []


class LoginHistoryTable(QueryTable):
    at = MomentColumn()
    outcome = StateColumn(choices=LoginOutcome, colours=OUTCOME_COLOURS)
    method = CodeColumn(source=ChoicesSource(LoginMethod), show_code=False)
    place = TextColumn(nowrap=True)
    device = TextColumn(nowrap=True)
    ip = TextColumn(nowrap=True)

    class Meta(QueryTable.Meta):
        model = LoginAttempt
        fields: tuple[str, ...] = ()


class LoginHistoryView(QueryPageView):
    """Nobody sees anybody else's: the rows are those of the user who asks."""

    title, right, page = _("登录记录"), Right.ACCOUNT_OWN, "accounts.login_history"
    filterset_class, table_class = LoginHistoryFilter, LoginHistoryTable
    ordering = ("-at",)
    sortable = {"at": "at"}
    empty_hint = _("从下次登录起，每次登录的时间、方式、地点和设备都会记在这里。")

    def get_queryset(self) -> "QuerySet[LoginAttempt]":
        return LoginAttempt.objects.filter(user=own_user(self.request))
