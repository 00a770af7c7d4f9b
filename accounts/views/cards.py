"""我的IC卡 (M2, ACC-10): the card number that registration took down. Binding by a reader is CARD-03's."""

from typing import Any

from django.utils.translation import gettext_lazy

from accounts import queries
from accounts.rights import Right
from accounts.views.page import AccountPage


class CardsView(AccountPage):
    """The user's card, in the manual's columns."""

    title = gettext_lazy("我的IC卡")
    right = Right.ENTERPRISE_VIEW
    template_name = "accounts/cards.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        enterprise = queries.enterprise_of(self.user)
        return super().get_context_data(card_no=queries.stated_card_no(self.user), enterprise=enterprise, **kwargs)
