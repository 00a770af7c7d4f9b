"""IC cards for platform staff: whose they are, and unbinding one that was lost (CARD-03)."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import BoundCard
from accounts.services import bound_cards
from accounts.views.own import own_user

#: As much as the trail holds of a reason.
_LONGEST_REASON = 500


@admin.register(BoundCard)
class BoundCardAdmin(admin.ModelAdmin):
    """IC卡: nothing is edited, a card is bound by the card alone; 解绑 asks first and wants a reason."""

    list_display = ["card_no", "user", "enterprise", "holder_name", "valid_to", "bound_at"]
    search_fields = ["card_no", "user__username", "holder_name", "enterprise__name", "certificate_no"]
    list_select_related = ["user", "enterprise"]
    ordering = ["-bound_at"]
    actions = ["unbind"]
    readonly_fields: ClassVar[Any] = [
        "card_no",
        "user",
        "enterprise",
        "holder_name",
        "masked_identity",
        "enterprise_name",
        "organisation_code",
        "key_name",
        "certificate_no",
        "valid_from",
        "valid_to",
        "bound_at",
        "end_warned_at",
    ]
    fields = readonly_fields

    def get_queryset(self, request: HttpRequest) -> "QuerySet[BoundCard]":
        """Staff see all of them; nobody looks at the certificate itself."""
        cards: QuerySet[BoundCard] = BoundCard.unscoped.defer("certificate", "holder_id_no").order_by(*self.ordering)
        return cards

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: BoundCard | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: BoundCard | None = None) -> bool:
        return False

    def has_unbind_permission(self, request: HttpRequest) -> bool:
        """For the action below: the model's own permission to delete, which nothing else here uses."""
        return own_user(request).has_perm("accounts.delete_boundcard")

    @admin.display(description=_("证件号码"))
    def masked_identity(self, card: BoundCard) -> str:
        """210***********1234."""
        return card.masked_holder_id_no or "-"

    @admin.action(description=_("解绑所选的卡"), permissions=["unbind"])
    def unbind(self, request: HttpRequest, queryset: "QuerySet[BoundCard]") -> HttpResponse | None:
        """For a card that was lost: asks first, with the reason that goes into the trail."""
        cards: list[Any] = list(queryset.select_related("user", "enterprise"))
        reason = request.POST.get("reason", "").strip()[:_LONGEST_REASON]
        if "confirmed" not in request.POST or not reason:
            if "confirmed" in request.POST:
                messages.error(request, gettext("请填写解绑原因。"))
            context = {
                **self.admin_site.each_context(request),
                "title": _("解绑IC卡"),
                "cards": cards,
                "opts": self.model._meta,
                "list_url": reverse("admin:accounts_boundcard_changelist"),
            }
            return TemplateResponse(request, "admin/accounts/unbind_card.html", context)
        for card in cards:
            if bound_cards.unbind(actor=own_user(request), user_id=card.user_id, card_no=card.card_no, reason=reason):
                self.message_user(request, gettext("已解绑 %(card)s（%(user)s）。") % {"card": card, "user": card.user}, messages.SUCCESS)
            else:
                self.message_user(request, gettext("%(card)s 已经解绑。") % {"card": card}, messages.WARNING)
        return None
