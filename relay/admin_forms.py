"""What operators choose and say on their pages in /admin/."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django import forms
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from relay import registry
from relay.conf import partners
from relay.envelope import RECEIPT_TYPE
from relay.models import Alert, InboundMessage, InboundState, OutboundMessage, OutboundState, Pause
from relay.services.operations.pausing import REASON_LENGTH, outbound_types

#: Neither ended nor refused; tried and not written.
OPEN: Final = "open"
FAILING: Final = "failing"
_ANY: Final = ("", _("全部"))
_AGES: Final[dict[str, tuple[Any, timedelta, bool]]] = {
    "last-hour": (_("最近一小时"), timedelta(hours=1), True),
    "last-day": (_("最近一天"), timedelta(days=1), True),
    "over-5-minutes": (_("超过五分钟"), timedelta(minutes=5), False),
    "over-hour": (_("超过一小时"), timedelta(hours=1), False),
    "over-day": (_("超过一天"), timedelta(days=1), False),
}


def _choices(values: list[str]) -> list[tuple[Any, Any]]:
    return [_ANY, *((value, value) for value in values)]


def _partners() -> list[tuple[Any, Any]]:
    return _choices(sorted(partners()))


class _MessageFilter(forms.Form):
    """Conditions that messages of both directions have."""

    partner = forms.ChoiceField(label=_("对方"), choices=_partners, required=False)
    message_type = forms.ChoiceField(label=_("报文类型"), required=False)
    state = forms.ChoiceField(label=_("状态"), required=False)
    age = forms.ChoiceField(label=_("时间"), choices=[_ANY, *((key, label) for key, (label, _by, _young) in _AGES.items())], required=False)
    subject = forms.CharField(label=_("业务对象"), max_length=100, required=False)
    message_id = forms.UUIDField(label=_("报文编号"), required=False)
    #: The column that is a message's age.
    time: str

    def conditions(self) -> dict[str, Any]:
        """What was chosen, as conditions of a queryset; without the state."""
        chosen = self.cleaned_data
        found = {name: chosen[name] for name in ("partner", "message_type", "subject", "message_id") if chosen[name]}
        since, until = self.period()
        return found | {name: value for name, value in ((f"{self.time}__gte", since), (f"{self.time}__lt", until)) if value}

    def period(self) -> tuple[datetime | None, datetime | None]:
        """From when to when, as the age says it."""
        if not self.cleaned_data["age"]:
            return None, None
        _label, by, young = _AGES[self.cleaned_data["age"]]
        moment = timezone.now() - by
        return (moment, None) if young else (None, moment)


class OutboundFilter(_MessageFilter):
    """Conditions of the page of outgoing messages."""

    time = "created_at"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["message_type"].choices = _choices(outbound_types())  # type: ignore[attr-defined]
        self.fields["state"].choices = [_ANY, (OPEN, _("未结束")), (FAILING, _("发送出错")), *OutboundState.choices]  # type: ignore[attr-defined]

    def chosen(self) -> QuerySet[OutboundMessage]:
        """The messages that fit."""
        state = self.cleaned_data["state"]
        which = {
            "": Q(),
            OPEN: Q(finished_at__isnull=True),
            FAILING: Q(finished_at__isnull=True, state=OutboundState.QUEUED, attempts__gt=0),
        }.get(state, Q(state=state))
        return OutboundMessage.objects.filter(which, **self.conditions())


class InboundFilter(_MessageFilter):
    """Conditions of the page of incoming messages."""

    time = "received_at"
    reason_code = forms.CharField(label=_("原因代码"), max_length=32, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["message_type"].choices = _choices([*registry.inbound_types(), RECEIPT_TYPE])  # type: ignore[attr-defined]
        self.fields["state"].choices = [_ANY, *InboundState.choices]  # type: ignore[attr-defined]

    def chosen(self) -> QuerySet[InboundMessage]:
        """The messages that fit."""
        more = {name: self.cleaned_data[name] for name in ("state", "reason_code") if self.cleaned_data[name]}
        return InboundMessage.objects.filter(**self.conditions(), **more)


class PauseFilter(forms.Form):
    """The page of pauses has no conditions."""

    def chosen(self) -> QuerySet[Pause]:
        """All there ever were."""
        return Pause.objects.all()


class AlertFilter(forms.Form):
    """The page of alerts has no conditions."""

    def chosen(self) -> QuerySet[Alert]:
        """All there ever were."""
        return Alert.objects.all()


class ReasonForm(forms.Form):
    """Why; kept with what is done."""

    reason = forms.CharField(label=_("原因"), max_length=REASON_LENGTH, widget=forms.Textarea(attrs={"rows": 3, "cols": 60}))


class OptionalReasonForm(forms.Form):
    """A note, where there is one."""

    reason = forms.CharField(
        label=_("说明"), max_length=REASON_LENGTH, required=False, widget=forms.Textarea(attrs={"rows": 3, "cols": 60})
    )


class PauseForm(ReasonForm):
    """What to pause, and why."""

    partner = forms.ChoiceField(label=_("接收方"), choices=_partners, required=False)
    message_type = forms.ChoiceField(label=_("报文类型"), required=False)
    field_order = ["partner", "message_type", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["message_type"].choices = _choices(outbound_types())  # type: ignore[attr-defined]


class SettleForm(ReasonForm):
    """What the partner said of a message."""

    heard = forms.ChoiceField(
        label=_("对方答复"),
        choices=[("delivered", _("对方持有该报文")), ("not_delivered", _("对方没有该报文，也不会接收"))],
        widget=forms.RadioSelect,
    )
    field_order = ["heard", "reason"]


class ChosenForm(OptionalReasonForm):
    """The messages that were shown and are to go again."""

    message_ids = forms.CharField(widget=forms.HiddenInput)

    def clean_message_ids(self) -> list[UUID]:
        """As ids, none twice."""
        try:
            return list(dict.fromkeys(UUID(text) for text in self.cleaned_data["message_ids"].split()))
        except ValueError:
            raise forms.ValidationError(_("报文编号有误，请返回列表重新选择。")) from None
