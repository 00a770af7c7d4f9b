"""Pages of 批量申报."""

from collections.abc import Sequence
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
from accounts.services.card_signing import not_bound
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
#: Signed filings in one request, and for how long it declares before it answers: people watch how far it is.
MOST_SENT = 50
SIGNED_SECONDS = 4


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

    def declare(self, sent: Sequence[services.Sent], seconds: float) -> tuple[list[BatchItem], str]:
        """`declare_items` of the batch; 404 for one that is not in it."""
        try:
            return services.declare_items(actor=self.user, batch=self.stored, sent=sent, seconds=seconds)
        except BatchItem.DoesNotExist:
            raise Http404 from None


def _key(text: str | None) -> int | None:
    """The id of a row as a page sends it."""
    return small_number(text, digits=18)


def _shown(text: str) -> list[tuple[int, int]]:
    """Items, each with the `lock_version` that the page showed, in their order: `7:1 8:3`. What is none is passed over."""
    pairs = [one.partition(":") for one in text.split()[:SHOWN]]
    return [(item, version) for one, _colon, two in pairs if (item := _key(one)) is not None and (version := _key(two)) is not None]


class BatchesView(BatchPage, TemplateView):
    """批量申报: drafts to tick, and the batches that there are."""

    title = gettext_lazy("批量申报")
    template_name = "smartgate/batches.html"

    def post(self, request: HttpRequest) -> HttpResponse:
        # Without a script one button names all that are listed.
        named = request.POST["listed"].split() if "listed" in request.POST else request.POST.getlist("filing")
        ticked = [number for text in named[: queries.MOST_TICKED] if (number := _key(text)) is not None]
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
        """Where no signature is wanted. Where one is, the page's script sends what the card has signed (`DeclareItemsView`)."""
        address = reverse("smartgate:batch", args=[self.stored.pk])
        if not settings.CARD_REQUIRED:
            self.declare([services.Sent(*one) for one in _shown(request.POST.get("shown", ""))], UNSIGNED_SECONDS)
        else:
            messages.error(request, _("批量申报需要浏览器允许运行脚本，由IC卡逐票签名。"))
        return HttpResponseRedirect(address)

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
            most_sent=MOST_SENT,
        )


class DeclareItemsView(BatchPage, View):
    """Some filings of a batch, signed: what the page's script sends while the card signs the next ones."""

    title = gettext_lazy("批量申报")
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        batch = self.stored
        shown, signatures = _shown(request.POST.get("shown", "")), request.POST.getlist("signature")
        if not 0 < len(shown) == len(signatures) <= MOST_SENT:
            return JsonResponse({"error": _("请刷新页面后重试。")}, status=400)
        certificate = request.POST.get("certificate", "")
        sent = [
            services.Sent(*one, presented_in({"certificate": certificate, "signature": signature}))
            for one, signature in zip(shown, signatures, strict=True)
        ]
        done, refusal = self.declare(sent, SIGNED_SECONDS)
        counts = queries.counts_of(batch)
        answer = {
            "items": [
                {
                    "item": item.pk,
                    "declared": item.is_declared,
                    "label": str(item.filing.get_status_display()),
                    "reason": "" if item.is_declared else item.reason,
                }
                for item in done
            ],
            "counts": {"declared": counts.declared, "failed": counts.failed, "waiting": counts.waiting},
            "error": refusal,
        }
        return JsonResponse(answer, status=409 if refusal else 200)
