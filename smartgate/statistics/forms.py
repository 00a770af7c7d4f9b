"""The period that is counted."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils.timezone import localdate
from django.utils.translation import gettext_lazy as _

from core.listing import DayRangeField

DEFAULT_DAYS = 30
#: A year and its leap day: what is counted while the user waits has an end.
MOST_DAYS = 366


class PeriodForm(forms.Form):
    """录入时间 from–to; without it the last thirty days, with one end of it thirty days from there."""

    entered_at = DayRangeField(label=_("录入时间"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["entered_at"].widget.attrs["class"] = "form-control is-invalid" if self.errors else "form-control"

    def clean_entered_at(self) -> tuple[date, date]:
        """The first and the last day."""
        first, last = self.cleaned_data["entered_at"] or (None, None)
        if last is None:
            last = localdate() if first is None else min(first + timedelta(days=DEFAULT_DAYS - 1), max(localdate(), first))
        if first is None:
            first = last - timedelta(days=DEFAULT_DAYS - 1)
        if (last - first).days >= MOST_DAYS:
            raise forms.ValidationError(_("统计期间最长为 %(most)s 天，请缩短。"), params={"most": MOST_DAYS}, code="too_long")
        return first, last
