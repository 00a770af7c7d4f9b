"""Conditions of 我的操作员."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.codes import ChoicesSource
from core.identifiers import normalised
from core.listing import CodeFilter, QueryFilterSet, TextFilter


class OperatorState(models.TextChoices):
    """What an administrator sees of an operator's account."""

    OPEN = "open", _("启用")
    NEW = "new", _("待首次登录")
    REVIEW = "review", _("待审核")
    FROZEN = "frozen", _("已冻结")
    DISABLED = "disabled", _("已停用")


#: In the order in which they are asked: a disabled account is disabled, whatever else is true of it.
_CONDITIONS: dict[OperatorState, models.Q] = {
    OperatorState.REVIEW: models.Q(waits_for_review=True),
    OperatorState.DISABLED: models.Q(is_active=False),
    OperatorState.FROZEN: models.Q(frozen_at__isnull=False),
    OperatorState.NEW: models.Q(first_login_verified_at__isnull=True),
}


def with_state(operators: "models.QuerySet[User]") -> "models.QuerySet[User]":
    """Each with `state`, one of OperatorState."""
    whens = [models.When(condition, then=models.Value(state.value)) for state, condition in _CONDITIONS.items()]
    return operators.annotate(state=models.Case(*whens, default=models.Value(OperatorState.OPEN.value), output_field=models.CharField()))


class OperatorFilter(QueryFilterSet):
    username = TextFilter(lookup_expr="iexact", normalise=normalised)
    full_name = TextFilter()
    mobile = TextFilter(normalise=normalised)
    state = CodeFilter(source=ChoicesSource(OperatorState), show_code=False, label=_("账号状态"))

    class Meta:
        model = User
        fields: list[str] = []
