"""Pages of the smart gate (M4 §3). A view does HTTP and calls one service or one query."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import uuid4

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView, View

from accounts.forms.card import presented_in
from accounts.models import User
from accounts.rights import Right
from accounts.services.card_signing import CardRefused, Presented
from accounts.services.evidence import files
from accounts.signing import signing_request
from core import shell
from core.archives import packed
from core.forms.cautions import Caution
from core.forms.lines import small_number
from core.forms.page import Button, EntryPage
from core.forms.signing import ASK, NotDeclared, SigningRequest
from core.http import leave_page, safe_next, wants_part
from core.listing import QueryPageView, RowAction
from core.pdf import FontsMissing, pdf_response
from core.tenancy import get_for_user
from core.views import WorkPageMixin
from core.workflow import ActionRefused
from smartgate import cautions, queries, services, states
from smartgate.base_data.queries import bills_offered, vehicles_offered
from smartgate.documents import filing_sheet
from smartgate.filters import FilingFilter
from smartgate.forms import FilingForm, FilingLineForm
from smartgate.models import BindKeyType, Filing, FilingStatus, Outcome
from smartgate.tables import STATUS_COLOURS, FilingTable

#: Icons of the row actions, in the order of M4 §3.2.2; 复制 is on the filing's own page.
_ACTION_ICONS = {
    states.VIEW: "eye",
    states.EDIT: "pencil",
    states.DELETE: "trash",
    states.VOID: "file-x",
    states.RECEIPTS: "receipt",
    states.AMEND: "file-pencil",
    states.PRINT: "printer",
}
#: While a filing is in one of these, something is about to happen to it: its page looks again by itself.
_MOVING = {FilingStatus.DECLARED, FilingStatus.RELAYED}
#: How a change can end without changing anything.
_CAME_TO_NOTHING = {Outcome.REJECTED, Outcome.NOT_SENT, Outcome.OVERTAKEN}
#: Until a filing has waited so many seconds its page looks again every so many; most answers come within the first half minute.
_POLLING = ((30, 1.5), (120, 5), (600, 15))


#: In the address of 新增: begin with the header of one's last filing; what belongs to its vehicle and this load is left out.
FOLLOW = "follow"
OF_THE_VEHICLE = ("bind_key_info", "plate_verified", "vehicle_weight", "trailer_weight", "container_weight")


def url_of(action: states.Action, filing: Filing) -> str:
    """Where an action on a filing is asked for."""
    return reverse("smartgate:detail" if action is states.VIEW else f"smartgate:{action.name}", args=[filing.pk])


def _deletion_of(filing: Filing) -> tuple[str, str]:
    """What 删除 asks, wherever it is pressed (M4 §3.1.2, §3.2.2.3), and where it is posted: of the version that the page shows."""
    question = _("是否确认删除该数据？车次确认编号 %(trip_no)s，删除后不可恢复，只能重新录入，请谨慎操作！") % {"trip_no": filing.trip_no}
    return question, f"{url_of(states.DELETE, filing)}?lock_version={filing.lock_version}"


class FilingPage(WorkPageMixin):
    """A page of the smart gate; on those of one filing `stored` is the user's own, everything else is 404."""

    kwargs: dict[str, Any]

    @property
    def user(self) -> User:
        """Who asks; WorkPageMixin lets nobody in who is not logged in."""
        return cast("User", self.request.user)

    @cached_property
    def stored(self) -> Filing:
        """The filing that the URL names."""
        filing: Filing = get_for_user(Filing.objects, self.user, pk=self.kwargs["pk"])
        return filing


class FilingListView(QueryPageView):
    """查询 (M4 §3.2, SGW-06)."""

    title = gettext_lazy("查询")
    right = Right.SMARTGATE_VIEW
    page = "smartgate.filings"
    filterset_class = FilingFilter
    table_class = FilingTable
    ordering = ("-entered_at",)
    sortable = {"entered_at": "entered_at"}
    print_title = gettext_lazy("智能卡口散杂货申报单清单")
    empty_hint = gettext_lazy("还没有单据。点击左侧菜单“新增”录入第一票。")

    def get_queryset(self) -> Any:
        return queries.filings_for(self.request.user)

    def row_actions(self, user: Any, row: Filing) -> Sequence[RowAction]:
        def offered(action: states.Action, icon: str) -> RowAction:
            if action is not states.DELETE:
                return RowAction(action.label, url_of(action, row), icon)
            question, url = _deletion_of(row)
            return RowAction(action.label, url, icon, method="post", confirm=question, answer=_("确认"))

        return [
            offered(action, icon)
            for action, icon in _ACTION_ICONS.items()
            if states.may(
                action,
                user=user,
                status=row.status,
                has_receipt=row.has_receipt,  # type: ignore[attr-defined]
                is_changing=row.is_changing,  # type: ignore[attr-defined]
            )
        ]


class FilingEntryPage(FilingPage, EntryPage):
    """新增, 修改, 复制: the entry page over a new or a stored filing."""

    right = Right.SMARTGATE_EDIT
    template_name = "smartgate/filing_entry.html"
    form_class = FilingForm
    line_form_class = FilingLineForm
    #: Whether 暂存 changes what is stored; otherwise it makes a new filing.
    is_edit = False
    #: Whose page shows what 暂存 stored.
    own: states.Action = states.EDIT
    #: Set when the filing was saved meanwhile, here or elsewhere: the page goes back with the version that its next 暂存 replaces.
    is_behind = False

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.can_declare = request.user.is_authenticated and request.user.has_right(states.DECLARE.right)

    def new_url(self) -> str:
        return reverse("smartgate:new")

    def save(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
        try:
            filing = self._store(header, lines)
        except services.EntryAlreadyDeclared as sent:
            return self._show_sent(sent)
        messages.success(self.request, self.saved_text(filing))
        return HttpResponseRedirect(url_of(self.own, filing))

    def store_to_sign(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse | None:
        """申报 with the card: the draft is stored, and its own page shows what is to be signed."""
        if not settings.CARD_REQUIRED:
            return None
        self._require_right_to_declare()
        try:
            filing = self._store(header, lines)
        except services.EntryAlreadyDeclared as sent:
            return self._show_sent(sent)
        return HttpResponseRedirect(f"{url_of(self.own, filing)}?{ASK}")

    def declare(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
        """Store, then declare. What is stored stays stored when declaring is refused: the user goes on from the draft."""
        self._require_right_to_declare()
        try:
            filing = self._store(header, lines, to_declare=True)
        except services.EntryAlreadyDeclared as sent:
            return self._show_sent(sent)
        is_signed = settings.CARD_REQUIRED
        if is_signed and not self.is_edit:
            return HttpResponseRedirect(f"{url_of(self.own, filing)}?{ASK}")
        self.stored, self.is_behind = filing, self.is_edit
        if is_signed and filing.lock_version != header.get("lock_version"):
            raise NotDeclared(_("内容在显示签名原文之后有改动，已暂存。请核对新的签名原文，再确认申报。"))
        try:
            presented = presented_in(self.request.POST) if is_signed else None
            self.send(filing, presented)
        except ActionRefused as refusal:
            if is_signed and isinstance(refusal, CardRefused):
                # The right card can be put in.
                raise NotDeclared(str(refusal)) from refusal
            messages.error(self.request, _("单据已暂存，但未能申报：%(reason)s") % {"reason": refusal})
            return HttpResponseRedirect(url_of(self.own, filing))
        return self._show(filing, self.sent_text())

    def delete_button(self) -> Button:
        """删除 of the stored filing; grey where its state does not allow it (M4 §3.1.2)."""
        question, url = _deletion_of(self.stored)
        is_allowed = states.may(states.DELETE, user=self.user, status=self.stored.status)
        return Button(states.DELETE.label, "trash", url=url, enabled=is_allowed, question=question, answer=_("确认"))

    def saved_text(self, filing: Filing) -> str:
        """What is said after 暂存."""
        return _("暂存成功。数据中心统一编码：%(number)s") % {"number": filing.data_center_no}

    def sent_text(self) -> str:
        """What is said after 申报."""
        return _("申报成功。单据已发往海关，回执将显示在本页。")

    def send(self, filing: Filing, presented: Presented | None) -> None:
        """申报 what is stored. Raises ActionRefused."""
        services.declare_filing(actor=self.user, filing_id=filing.pk, lock_version=filing.lock_version, presented=presented)

    def text_to_sign(self) -> str:
        """What the user's card signs to do so."""
        return services.text_to_sign(actor=self.user, filing=self.stored)

    def cautions(self, entered: tuple[dict[str, Any], list[dict[str, Any]]] | None) -> Sequence[Caution]:
        if entered is not None:
            header, lines = entered
            return cautions.cautions(user=self.user, header=header, lines=lines, filing_id=self.stored.pk if self.is_edit else None)
        return cautions.of_filing(self.user, self.stored, list(self.stored.lines.all())) if self.is_edit else ()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # Without a script the browser's own lists offer what is in the page; the script asks for itself while somebody types.
        offers: dict[str, Any] = {}
        if not self.readonly and not wants_part(self.request):
            offers = {"usual_vehicles": vehicles_offered(self.user, kind=BindKeyType.PLATE), "known_bills": bills_offered(self.user)}
        return super().get_context_data(**offers, **kwargs)

    def signing(self) -> SigningRequest | None:
        if not (self.is_edit and settings.CARD_REQUIRED):
            return None
        return signing_request(user=self.user, text=self.text_to_sign())

    def _require_right_to_declare(self) -> None:
        if not self.user.has_right(states.DECLARE.right):
            raise PermissionDenied

    def _show_sent(self, sent: services.EntryAlreadyDeclared) -> HttpResponse:
        came_back = sent.filing.status in states.EDITABLE
        messages.add_message(self.request, messages.WARNING if came_back else messages.SUCCESS, str(sent))
        return HttpResponseRedirect(url_of(states.VIEW, sent.filing))

    def _show(self, filing: Filing, text: str) -> HttpResponse:
        messages.success(self.request, text)
        return HttpResponseRedirect(url_of(states.VIEW, filing))

    def renewed(self) -> Mapping[str, Any]:
        return {"lock_version": self.stored.lock_version} if self.is_behind else {}

    def _store(self, header: dict[str, Any], lines: list[dict[str, Any]], *, to_declare: bool = False) -> Filing:
        try:
            return self.store(header, lines, to_declare=to_declare)
        except services.FilingChanged as refusal:
            self.is_behind = True
            raise ValidationError(str(refusal)) from None
        except ActionRefused as refusal:
            raise ValidationError(str(refusal)) from None
        except Filing.DoesNotExist:
            raise Http404 from None

    def store(self, header: dict[str, Any], lines: list[dict[str, Any]], *, to_declare: bool) -> Filing:
        """暂存; `to_declare` says that 申报 follows. Raises as `services.save_filing`."""
        return services.save_filing(
            actor=self.user,
            filing_id=self.stored.pk if self.is_edit else None,
            # A page that does not say which version it shows has none: better asked again than overwritten.
            lock_version=(header.get("lock_version") or 0) if self.is_edit else None,
            entry_token=header.get("entry_token"),
            to_declare=to_declare,
            header=header_entered(header),
            lines=[services.LineEntry(**line) for line in lines],
        )


def header_entered(header: Mapping[str, Any]) -> services.FilingHeader:
    """What a form's cleaned header says of a filing."""
    return services.FilingHeader(**{name: header[name] for name in services.HEADER_NAMES})


def _own_fields(user: User) -> dict[str, Any]:
    """What a new filing starts with: grey fields that are known before it is stored, and the mark of this entry."""
    enterprise = user.enterprise
    if enterprise is None:
        raise PermissionDenied
    return {
        "entry_token": uuid4(),
        "status": _("未暂存"),
        "credit_code": enterprise.credit_code,
        "organisation_code": enterprise.organisation_code,
        "operator": services.operator_of(user),
    }


def header_of(filing: Filing) -> dict[str, Any]:
    """The header's fields as the entry page shows a stored filing's."""
    return {
        **services.header_values(filing),
        "data_center_no": filing.data_center_no,
        "trip_no": filing.trip_no,
        "status": filing.get_status_display(),
        "entered_at": f"{timezone.localtime(filing.entered_at):%Y-%m-%d}",
        "credit_code": filing.credit_code,
        "organisation_code": filing.organisation_code,
        "operator": filing.operator,
        "lock_version": filing.lock_version,
    }


def lines_of(filing: Filing) -> list[dict[str, Any]]:
    """The lines' fields as the entry page shows a stored filing's."""
    return [services.line_values(line) for line in filing.lines.all()]


class NewFilingView(FilingEntryPage):
    """新增 (M4 §3.1)."""

    title = gettext_lazy("新增")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self._is_following:
            # The strip of opened pages leads to an empty page again.
            self.keeps_query = False
            if self._last is None:
                messages.info(request, _("还没有可沿用的单据，请先录入第一票。"))
            else:
                text = _("已沿用上一票（%(trip_no)s）的表头，请核对；车辆和重量未沿用，请重新录入。")
                messages.info(request, text % {"trip_no": self._last.trip_no})
        return super().get(request, *args, **kwargs)

    @property
    def _is_following(self) -> bool:
        return FOLLOW in self.request.GET

    @cached_property
    def _last(self) -> Filing | None:
        return queries.last_of(self.user)

    def initial(self) -> Mapping[str, Any]:
        own = _own_fields(self.user)
        if not self._is_following or self._last is None:
            return own
        taken_over = {name: value for name, value in services.header_values(self._last).items() if name not in OF_THE_VEHICLE}
        return {**taken_over, **own}

    def buttons(self) -> Sequence[Button]:
        follow = Button(_("沿用上一票"), "history", url=f"{self.new_url()}?{FOLLOW}", discards=True)
        return [*super().buttons(), follow]


class CopyFilingView(FilingEntryPage):
    """复制: a new filing that starts with the contents of another."""

    title = gettext_lazy("复制")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.source is None:
            messages.warning(request, _("被复制的单据已删除，不能再带出其内容。您在本页录入过的内容仍可继续录入、暂存。"))
        return super().get(request, *args, **kwargs)

    @cached_property
    def source(self) -> Filing | None:
        """What is copied; None when it was deleted since: what was typed into the copy goes on without it."""
        return None if queries.was_deleted(self.user, self.kwargs["pk"]) else self.stored

    def initial(self) -> Mapping[str, Any]:
        taken_over = services.header_values(self.source) if self.source else {}
        return {**taken_over, **_own_fields(self.user)}

    def initial_lines(self) -> Iterable[Mapping[str, Any]]:
        return lines_of(self.source) if self.source else ()


class StoredFilingPage(FilingEntryPage):
    """An entry page that shows the lines of a stored filing, and leads to its copy."""

    def initial_lines(self) -> Iterable[Mapping[str, Any]]:
        return lines_of(self.stored)

    def copy_url(self) -> str:
        return url_of(states.COPY, self.stored) if self.user.has_right(states.COPY.right) else ""


class EditFilingView(StoredFilingPage):
    """修改 (M4 §3.2.2.2)."""

    title = gettext_lazy("修改")
    is_edit = True

    def page_title(self) -> str:
        return _("修改 %(key)s") % {"key": self.stored.bind_key_info}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._refuse_editing() or super().get(request, *args, **kwargs)

    def refuse_post(self, action: str) -> HttpResponse | None:
        # What stores or declares is refused, and put into the audit trail, by its service.
        return None if action in ("save", "declare_confirmed") else self._refuse_editing()

    def buttons(self) -> Sequence[Button]:
        return [*super().buttons(), self.delete_button()]

    def _refuse_editing(self) -> HttpResponse | None:
        try:
            states.require(states.EDIT, self.stored.status)
        except ActionRefused as refusal:
            messages.warning(self.request, str(refusal))
            return leave_page(self.request, url_of(states.VIEW, self.stored))
        return None

    def initial(self) -> Mapping[str, Any]:
        return {**header_of(self.stored), "operator": services.operator_of(self.user)}


class FilingView(StoredFilingPage):
    """查看: everything grey, the state and what customs said (M4 §3.2.2.1)."""

    title = gettext_lazy("查看")
    right = Right.SMARTGATE_VIEW
    template_name = "smartgate/filing_detail.html"
    readonly = True

    def page_title(self) -> str:
        return _("查看 %(key)s") % {"key": self.stored.bind_key_info}

    def initial(self) -> Mapping[str, Any]:
        return header_of(self.stored)

    def new_url(self) -> str:
        return super().new_url() if self.user.has_right(Right.SMARTGATE_EDIT) else ""

    def buttons(self) -> Sequence[Button]:
        return [*super().buttons(), self.delete_button()]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        signatures = queries.signatures_of(self.user, self.stored)
        return super().get_context_data(**kwargs, signatures=signatures, **status_context(self.user, self.stored))


def _poll_seconds(since: datetime) -> float | None:
    """How soon the page looks again; None when what it waits for has been waited for long enough."""
    waited = (timezone.now() - since).total_seconds()
    return next((every for until, every in _POLLING if waited < until), None)


def status_context(user: Any, filing: Filing) -> dict[str, Any]:
    """What the parts of 查看 show that change while customs works."""
    receipts = list(filing.receipts.all())
    versions = queries.versions_of(user, filing)
    change = next((version for version in versions if version.outcome == Outcome.WAITING), None)
    draft = queries.draft_of(user, filing)
    waits_since = filing.status_at if filing.status in _MOVING else change.asked_at if change else None

    def may(action: states.Action) -> bool:
        return states.may(action, user=user, status=filing.status, is_changing=change is not None)

    return {
        "filing": filing,
        "status_colour": STATUS_COLOURS.get(filing.status, "secondary"),
        "is_moving": waits_since is not None,
        "poll_seconds": _poll_seconds(waits_since) if waits_since else None,
        #: The version whose contents the page shows.
        "shown_version": filing.version,
        "receipts": receipts,
        "versions": versions if len(versions) > 1 else [],
        # Told on top: the change that waits, else the last one if nothing came of it.
        "change": change or (versions[0] if versions and versions[0].outcome in _CAME_TO_NOTHING else None),
        "draft": draft,
        "history": queries.history_of(filing),
        "can_edit": may(states.EDIT),
        "can_amend": may(states.AMEND),
        "can_void": may(states.VOID),
        "can_discard": draft is not None and user.has_right(states.AMEND.right),
    }


class FilingStatusView(FilingPage, TemplateView):
    """The part of 查看 that changes while customs works; the page asks for it again by itself."""

    title = gettext_lazy("单证状态")
    right = Right.SMARTGATE_VIEW
    keeps_place = False
    #: A page left open does not keep its session alive.
    is_background = True
    template_name = "smartgate/filing_progress.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Only the script can use the part; who opens its address himself gets the page."""
        return super().get(request, *args, **kwargs) if wants_part(request) else HttpResponseRedirect(url_of(states.VIEW, self.stored))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # Asked once more by a page that shows an older version's contents: it says so, and leads to the newer ones.
        shown = small_number(self.request.GET.get("version", ""))
        context = status_context(self.user, self.stored)
        if shown is not None:
            context |= {"shown_version": shown, "is_behind": shown != self.stored.version}
        return super().get_context_data(**kwargs, **context)


class ReceiptsView(FilingPage, TemplateView):
    """查看回执 (M4 §3.2.2.5)."""

    title = gettext_lazy("查看回执")
    right = Right.SMARTGATE_VIEW
    template_name = "smartgate/receipts.html"

    def page_title(self) -> str:
        return _("回执 %(key)s") % {"key": self.stored.bind_key_info}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, **status_context(self.user, self.stored))


class PrintFilingView(FilingPage, View):
    """打印 of a filing (SGW-09): a PDF that the browser shows and prints."""

    title = gettext_lazy("打印")
    right = states.PRINT.right
    http_method_names = ["get"]

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        filing = self.stored
        try:
            content = filing_sheet(
                filing=filing,
                lines=filing.lines.all(),
                enterprise_name=filing.enterprise.name,
                printed_by=str(self.user),
                printed_at=timezone.now(),
            ).pdf()
        except FontsMissing as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(url_of(states.VIEW, filing))
        return pdf_response(content, filing.trip_no)


class SignatureView(FilingPage, View):
    """下载签名凭证: what shows that a declaration was signed, to be checked without the portal (CARD-07)."""

    title = gettext_lazy("签名凭证")
    right = Right.SMARTGATE_VIEW
    http_method_names = ["get"]

    def get(self, request: HttpRequest, pk: int, version: int) -> HttpResponse:
        evidence = get_object_or_404(queries.signatures_of(self.user, self.stored), version=version)
        content = packed(files(evidence), at=evidence.signed_at)
        disposition = f'attachment; filename="{self.stored.trip_no}-{version}.zip"'
        return HttpResponse(content, content_type="application/zip", headers={"Content-Disposition": disposition})


class DeleteFilingView(FilingPage, View):
    """删除, after the list or the filing's own page has asked (M4 §3.1.2, §3.2.2.3)."""

    title = gettext_lazy("删除")
    right = Right.SMARTGATE_EDIT
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        pages = [url_of(action, self.stored) for action in (states.VIEW, states.EDIT, states.AMEND)]
        pages += [page.key for page in shell.opened_pages(request) if page.key.startswith(pages[0]) and page.key not in pages]
        # What is typed there is a filing of its own.
        kept = url_of(states.COPY, self.stored)
        try:
            shown = request.GET.get("lock_version", "")
            services.delete_filing(
                actor=self.user, filing_id=pk, lock_version=int(shown) if shown.isdecimal() and len(shown) < 10 else None
            )
        except Filing.DoesNotExist:
            raise Http404 from None
        except ActionRefused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(safe_next(request, url_of(states.VIEW, self.stored)))
        # What is gone has no page to come back to, and nothing typed into one is of use.
        for page in (page for page in pages if page != kept):
            shell.close_page(request, page)
            shell.draft_saved(request, page)
        messages.success(request, _("删除成功。"))
        return HttpResponseRedirect(safe_next(request, reverse("smartgate:list")))
