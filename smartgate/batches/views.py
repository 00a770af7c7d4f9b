"""Pages of 批量申报."""

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView, View

from accounts.forms.card import presented_in
from accounts.models import User
from accounts.rights import Right
from accounts.services.card_signing import CardRefused, not_bound
from core.forms.lines import small_number
from core.tenancy import get_for_user
from core.views import WorkPageMixin
from core.workflow import ActionRefused
from smartgate import cautions
from smartgate.batches import queries, services
from smartgate.batches.models import Batch, BatchItem
from smartgate.importing.models import Import
from smartgate.services import texts_to_sign

#: Filings on one page: their texts take about a kilobyte each.
SHOWN = 1000
#: Declared ones are only told of.
SHOWN_DECLARED = 200
LISTED = 20
#: A page without a script, and without a card, declares for so long before it answers.
UNSIGNED_SECONDS = 15


class BatchPage(WorkPageMixin):
    """A page of batches; on those of one batch `stored` is the user's own, everything else is 404."""

    right = Right.SMARTGATE_DECLARE
    kwargs: dict[str, Any]

    @property
    def user(self) -> User:
        """Who asks; WorkPageMixin lets nobody in who is not logged in."""
        return cast("User", self.request.user)

    @cached_property
    def stored(self) -> Batch:
        """The batch that the URL names."""
        batch: Batch = get_for_user(Batch.objects, self.user, pk=self.kwargs["pk"])
        return batch


def _key(text: str | None) -> int | None:
    """The id of a row as a page sends it."""
    return small_number(text, digits=18)


def _shown(text: str) -> dict[int, int]:
    """Items and the `lock_version` of each, in their order, as the page without a script sends them: `7:1 8:3`."""
    pairs = [one.partition(":") for one in text.split()]
    return {item: version for key, _colon, value in pairs if (item := _key(key)) is not None and (version := _key(value)) is not None}


class BatchesView(BatchPage, TemplateView):
    """批量申报: drafts to tick, and the batches that there are."""

    title = gettext_lazy("批量申报")
    template_name = "smartgate/batches.html"

    def post(self, request: HttpRequest) -> HttpResponse:
        ticked = [number for text in request.POST.getlist("filing")[: queries.MOST_TICKED] if (number := _key(text)) is not None]
        try:
            batch = services.from_filings(actor=self.user, filing_ids=ticked)
        except ActionRefused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse("smartgate:batches"))
        return HttpResponseRedirect(reverse("smartgate:batch", args=[batch.pk]))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            **kwargs,
            filings=list(queries.declarable(self.user)),
            most_ticked=queries.MOST_TICKED,
            batches=list(queries.batches_of(self.user)[:LISTED]),
        )


class FromImportView(BatchPage, View):
    """批量申报 of what a workbook became."""

    title = gettext_lazy("批量申报")
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        try:
            batch = services.from_import(actor=self.user, import_id=pk)
        except Import.DoesNotExist:
            raise Http404 from None
        except ActionRefused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse("smartgate:import", args=[pk]))
        return HttpResponseRedirect(reverse("smartgate:batch", args=[batch.pk]))


class BatchView(BatchPage, TemplateView):
    """One batch: what is declared, and what will be, each with the text that is signed for it."""

    title = gettext_lazy("批量申报")
    template_name = "smartgate/batch.html"

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Where no signature is wanted. Where one is, the page's script sends each filing by itself (`DeclareItemView`)."""
        batch = self.stored
        if not settings.CARD_REQUIRED:
            services.declare_unsigned(actor=self.user, batch=batch, shown=_shown(request.POST.get("shown", "")), seconds=UNSIGNED_SECONDS)
        else:
            messages.error(request, _("批量申报需要浏览器允许运行脚本，由IC卡逐票签名。"))
        return HttpResponseRedirect(reverse("smartgate:batch", args=[pk]))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        left = list(queries.left_of(self.stored, SHOWN))
        filings = [item.filing for item in left]
        told = cautions.of_filings(self.user, filings)
        counts = queries.counts_of(self.stored)
        bound = self.user.ic_card_no
        return super().get_context_data(
            **kwargs,
            batch=self.stored,
            counts=counts,
            left=list(zip(left, told, texts_to_sign(actor=self.user, filings=filings), strict=True)),
            cautioned=sum(1 for one in told if one),
            shown=" ".join(f"{item.pk}:{item.filing.lock_version}" for item in left),
            later=counts.left - len(left),
            declared=list(queries.declared_of(self.stored, SHOWN_DECLARED)),
            bound_card=bound,
            why_not="" if bound or not settings.CARD_REQUIRED else not_bound(),
            is_signed=settings.CARD_REQUIRED,
        )


class DeclareItemView(BatchPage, View):
    """One filing of a batch, signed: what the page's script sends, one after the other."""

    title = gettext_lazy("批量申报")
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        item_id, lock_version = _key(request.POST.get("item")), _key(request.POST.get("lock_version"))
        batch = self.stored
        if item_id is None or lock_version is None:
            return JsonResponse({"error": _("请刷新页面后重试。")}, status=400)
        try:
            item = services.declare_item(
                actor=self.user, batch=batch, item_id=item_id, lock_version=lock_version, presented=presented_in(request.POST)
            )
        except BatchItem.DoesNotExist:
            raise Http404 from None
        except CardRefused as refusal:
            return JsonResponse({"error": str(refusal)}, status=409)
        counts = queries.counts_of(batch)
        return JsonResponse(
            {
                "declared": item.is_declared,
                "label": str(item.filing.get_status_display()),
                "reason": "" if item.is_declared else item.reason,
                "counts": {"declared": counts.declared, "failed": counts.failed, "waiting": counts.waiting},
            }
        )
