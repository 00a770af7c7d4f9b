"""Pages of 变更 and 删单 (M4 §3.2.2.4, §3.2.2.6, SGW-08), and of what each version changed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView

from accounts.forms.card import presented_in
from accounts.rights import Right
from accounts.services.card_signing import CardRefused, Presented
from accounts.signing import signing_request
from core.forms.cautions import Caution
from core.forms.lines import small_number
from core.forms.page import Button
from core.forms.signing import ASK, SigningRequest
from core.http import leave_page
from core.workflow import ActionRefused
from smartgate import comparison, contents, queries, services, states
from smartgate.models import Filing, FilingVersion, Function
from smartgate.views import FilingPage, StoredFilingPage, header_entered, header_of, url_of


class ChangePage(StoredFilingPage):
    """What the entry pages of 变更 and 删单 have in common: they are for a filing that customs holds, one change at a time."""

    is_edit = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.refuse() or super().get(request, *args, **kwargs)

    def refuse(self) -> HttpResponse | None:
        """The way to 查看, with the reason, when the filing cannot be changed now."""
        try:
            services.require_may_ask(self.stored, self.own)
        except ActionRefused as refusal:
            return self.leave(str(refusal))
        return None

    def leave(self, reason: str) -> HttpResponse:
        """To 查看, which is told why."""
        messages.warning(self.request, reason)
        return leave_page(self.request, url_of(states.VIEW, self.stored))

    def initial(self) -> Mapping[str, Any]:
        return {**header_of(self.stored), "operator": services.operator_of(self.user)}


class AmendFilingView(ChangePage):
    """变更: the accepted contents, or the draft of new ones, to be changed and sent (M4 §3.2.2.6)."""

    title = gettext_lazy("变更")
    own = states.AMEND
    template_name = "smartgate/amend.html"
    declare_question = gettext_lazy("是否要申报该票单据的变更？海关接受前，仍以海关现持有的版本为准。")

    def page_title(self) -> str:
        return _("变更 %(key)s") % {"key": self.stored.bind_key_info}

    @cached_property
    def draft(self) -> FilingVersion | None:
        """What was stored of the 变更."""
        return queries.draft_of(self.user, self.stored)

    def refuse_post(self, action: str) -> HttpResponse | None:
        # What stores or declares is refused, and put into the audit trail, by its service: what was typed stays on the page.
        return None if action in ("save", "declare", "declare_confirmed") else self.refuse()

    def initial(self) -> Mapping[str, Any]:
        changed = contents.header_of(self.draft.contents) if self.draft else {}
        return {**super().initial(), **changed, "operator": services.operator_of(self.user)}

    def initial_lines(self) -> Iterable[Mapping[str, Any]]:
        return contents.lines_of(self.draft.contents) if self.draft else super().initial_lines()

    def store(self, header: dict[str, Any], lines: list[dict[str, Any]], *, to_declare: bool) -> Filing:
        saved = services.save_amendment(
            actor=self.user,
            filing_id=self.stored.pk,
            lock_version=header.get("lock_version") or 0,
            header=header_entered(header),
            lines=[services.LineEntry(**line) for line in lines],
        )
        # Looked at before it was stored: what is asked and cautioned of now is the new one.
        vars(self).pop("draft", None)
        return saved

    def send(self, filing: Filing, presented: Presented | None) -> None:
        services.send_amendment(actor=self.user, filing_id=filing.pk, lock_version=filing.lock_version, presented=presented)

    def text_to_sign(self) -> str:
        return services.amendment_text(actor=self.user, filing=self.stored)

    def cautions(self, entered: tuple[dict[str, Any], list[dict[str, Any]]] | None) -> Sequence[Caution]:
        if entered is None and self.draft is not None:
            entered = (contents.header_of(self.draft.contents), contents.lines_of(self.draft.contents))
        return super().cautions(entered)

    def signing(self) -> SigningRequest | None:
        try:
            return super().signing()
        except ActionRefused:
            # Asked for by its address, and there is no draft.
            return None

    def saved_text(self, filing: Filing) -> str:
        return _("变更内容已暂存，尚未申报。海关现持有的仍是第 %(version)s 版。") % {"version": filing.version}

    def sent_text(self) -> str:
        return _("变更已发往海关。海关答复前单据内容和状态不变，答复将显示在本页。")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        is_stale = self.draft is not None and self.draft.base != self.stored.version
        return super().get_context_data(**kwargs, filing=self.stored, draft=self.draft, is_stale=is_stale)


class DiscardAmendmentView(FilingPage, TemplateView):
    """放弃变更: asks, and drops what was stored of a 变更."""

    title = gettext_lazy("放弃变更")
    right = Right.SMARTGATE_EDIT
    keeps_place = False
    template_name = "smartgate/discard_amendment.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if queries.draft_of(self.user, self.stored) is None:
            return HttpResponseRedirect(url_of(states.VIEW, self.stored))
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """放弃 was confirmed."""
        try:
            was_there = services.discard_amendment(actor=self.user, filing_id=pk)
        except Filing.DoesNotExist:
            raise Http404 from None
        if was_there:
            messages.success(request, _("已放弃变更，单据保持海关现持有的内容。"))
        return HttpResponseRedirect(url_of(states.VIEW, self.stored))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, filing=self.stored, draft=queries.draft_of(self.user, self.stored))


class VoidFilingView(ChangePage):
    """删单: everything grey, and only 申报 can be pressed (M4 §3.2.2.4)."""

    title = gettext_lazy("删单")
    right = Right.SMARTGATE_DECLARE
    own = states.VOID
    template_name = "smartgate/void.html"
    readonly = True
    declare_question = gettext_lazy("是否确认申报该数据？海关接受后该票作废，不能恢复。")

    def page_title(self) -> str:
        return _("删单 %(key)s") % {"key": self.stored.bind_key_info}

    def buttons(self) -> Sequence[Button]:
        return [
            Button(_("新增"), "square-plus", enabled=False),
            Button(_("暂存"), "device-floppy", enabled=False),
            Button(_("复制"), "copy", enabled=False),
            Button(_("申报"), "send", action="declare"),
        ]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """申报 asks, and then sends; whatever else is pressed leads back to the page."""
        action = request.POST.get("action", "")
        if action == "declare_confirmed":
            return self._void()
        if action != "declare":
            return HttpResponseRedirect(url_of(states.VOID, self.stored))
        if settings.CARD_REQUIRED:
            return HttpResponseRedirect(f"{url_of(states.VOID, self.stored)}?{ASK}")
        return self.refuse() or self._ask()

    def _void(self) -> HttpResponse:
        try:
            services.send_void(
                actor=self.user,
                filing_id=self.stored.pk,
                # A page that does not say which version it shows has none.
                lock_version=small_number(self.request.POST.get("lock_version", "")) or 0,
                presented=presented_in(self.request.POST) if settings.CARD_REQUIRED else None,
            )
        except CardRefused as refusal:
            return self._ask(str(refusal))
        except Filing.DoesNotExist:
            raise Http404 from None
        except ActionRefused as refusal:
            return self.leave(_("未能申报删单：%(reason)s") % {"reason": refusal})
        messages.success(self.request, _("删单已发往海关。海关答复前单据状态不变，答复将显示在本页。"))
        return HttpResponseRedirect(url_of(states.VIEW, self.stored))

    def _ask(self, refusal: str = "") -> HttpResponse:
        header = self.form_class(initial=self.initial(), readonly=True)
        lines = self._stored_lines(header)
        return self._page(header, lines, question=str(self.declare_question), signing=self.signing(), refusal=refusal)

    def _is_asking(self) -> bool:
        return ASK in self.request.GET

    def signing(self) -> SigningRequest | None:
        if not settings.CARD_REQUIRED:
            return None
        return signing_request(user=self.user, text=services.void_text(actor=self.user, filing=self.stored))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, filing=self.stored, question_back=_("返回"), question_impossible=_("尚不能申报删单。"))


class VersionView(FilingPage, TemplateView):
    """变更对比: what a version says beside the one before it, and what customs said of it."""

    title = gettext_lazy("版本对比")
    right = Right.SMARTGATE_VIEW
    template_name = "smartgate/version.html"

    def page_title(self) -> str:
        return _("第 %(number)s 版 %(key)s") % {"number": self.kwargs["number"], "key": self.stored.bind_key_info}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        version = get_object_or_404(FilingVersion.objects.for_user(self.user), filing=self.stored, number=self.kwargs["number"])
        versions = queries.versions_of(self.user, self.stored)
        # A declaration is compared with what was sent before it.
        earlier = [one for one in versions if one.number == version.base or (version.base is None and one.number < version.number)]
        # The one whose contents are shown, too: they are fetched when they are looked at.
        base = earlier[0] if earlier else None
        parts = comparison.compare(base.contents if base else None, version.contents)
        return super().get_context_data(
            **kwargs,
            filing=self.stored,
            version=version,
            base=base,
            parts=parts,
            is_void=version.function == Function.DEL,
            changed=sum(part.changed for part in parts) if base else 0,
            receipts=[receipt for receipt in self.stored.receipts.all() if receipt.version == version.number],
            back=reverse("smartgate:detail", args=[self.stored.pk]),
        )
