"""Pages of 批量导入. A view does HTTP and calls one service or one query."""

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import generic

from accounts.models import User
from accounts.rights import Right
from core.forms.lines import small_number
from core.http import leave_page, wants_part
from core.listing.export import XLSX_TYPE
from core.tenancy import get_for_user
from core.views import WorkPageMixin
from core.workflow import ActionRefused
from smartgate.importing import documents, queries, services
from smartgate.importing.forms import UploadForm
from smartgate.importing.models import Import, ImportFile, ImportState
from smartgate.importing.workbook import MOST_ROWS, some


def _download(content: bytes, name: str) -> HttpResponse:
    disposition = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return HttpResponse(content, content_type=XLSX_TYPE, headers={"Content-Disposition": disposition})


class ImportPage(WorkPageMixin):
    """A page of imports; on those of one workbook `stored` is the user's own, everything else is 404."""

    right = Right.SMARTGATE_EDIT
    kwargs: dict[str, Any]

    @property
    def user(self) -> User:
        """Who asks; WorkPageMixin lets nobody in who is not logged in."""
        return cast("User", self.request.user)

    @cached_property
    def stored(self) -> Import:
        """The workbook that the URL names."""
        one: Import = get_for_user(Import.objects, self.user, pk=self.kwargs["pk"])
        return one


class ImportsView(ImportPage, generic.FormView):
    """批量导入: the template, the upload, and what was uploaded."""

    title = gettext_lazy("批量导入")
    template_name = "smartgate/imports.html"
    form_class = UploadForm

    def form_valid(self, form: UploadForm) -> HttpResponse:
        file = form.cleaned_data["workbook"]
        try:
            made = services.upload(actor=self.user, file_name=file.name, content=file.read())
        except ActionRefused as refusal:
            form.add_error("workbook", str(refusal))
            return self.form_invalid(form)
        return HttpResponseRedirect(reverse("smartgate:import", args=[made.pk]))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            **kwargs,
            imports=list(queries.imports_of(self.user)[: services.MOST_KEPT]),
            most_rows=MOST_ROWS,
            most_bytes=settings.IMPORT_MAX_BYTES,
            keep_days=settings.IMPORT_KEEP_DAYS,
        )


class TemplateView(ImportPage, generic.View):
    """下载模板."""

    title = gettext_lazy("下载模板")
    http_method_names = ["get"]

    def get(self, request: HttpRequest) -> HttpResponse:
        return _download(documents.template(), _("卡口申报导入模板.xlsx"))


def _state_context(user: User, one: Import) -> dict[str, Any]:
    doubles = queries.rows_doubled(user, one) if one.state == ImportState.CHECKED else ()
    return {
        "upload": one,
        "can_declare": user.has_right(Right.SMARTGATE_DECLARE),
        "problems": queries.problems_of(one) if one.bad_count else (),
        "has_marked": bool(one.bad_count) and queries.has_marked(user, one),
        "shown_problems": queries.SHOWN_PROBLEMS,
        "double_count": len(doubles),
        "double_rows": some(doubles),
    }


class ImportView(ImportPage, generic.TemplateView):
    """One workbook: how far it is, what is wrong with it, what can be done with it."""

    title = gettext_lazy("导入结果")
    template_name = "smartgate/import.html"

    def page_title(self) -> str:
        return _("导入 %(name)s") % {"name": self.stored.file_name}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, **_state_context(self.user, self.stored))


class ProgressView(ImportPage, generic.TemplateView):
    """The part of the page that changes while a worker is at it; the page asks for it again by itself."""

    title = gettext_lazy("导入进度")
    keeps_place = False
    is_background = True
    template_name = "smartgate/import_state.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Only the script can use the part, and only while something moves; then the whole page is another one."""
        page = reverse("smartgate:import", args=[self.stored.pk])
        if wants_part(request) and self.stored.is_working:
            return super().get(request, *args, **kwargs)
        return leave_page(request, page)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, **_state_context(self.user, self.stored))


class MarkedView(ImportPage, generic.View):
    """下载错误文件: the workbook as it was, with its errors marked; once filings are stored from it, only those that are not."""

    title = gettext_lazy("错误文件")
    http_method_names = ["get"]

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        file: ImportFile = get_for_user(ImportFile.objects.defer("content"), self.user, upload=self.stored)
        if not file.marked or self.stored.state == ImportState.STORING:
            raise Http404("nothing is wrong with it, or its filings are just being stored")
        name = _("%(name)s_仅有误的单据.xlsx") if self.stored.stored_by_id else _("%(name)s_错误.xlsx")
        return _download(bytes(file.marked), name % {"name": self.stored.file_name.removesuffix(".xlsx")})


class StoreView(ImportPage, generic.View):
    """暂存全部."""

    title = gettext_lazy("暂存全部")
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        try:
            services.store(actor=self.user, import_id=self.stored.pk, doubles=small_number(request.POST.get("doubles", "")) or 0)
        except ActionRefused as refusal:
            messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("smartgate:import", args=[pk]))


class DeleteView(ImportPage, generic.View):
    """删除 of a workbook; what was stored from it stays."""

    title = gettext_lazy("删除导入文件")
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        try:
            services.delete(actor=self.user, import_id=self.stored.pk)
        except ActionRefused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse("smartgate:import", args=[pk]))
        messages.success(request, _("已删除导入文件“%(name)s”。已暂存的单据不受影响。") % {"name": self.stored.file_name})
        return HttpResponseRedirect(reverse("smartgate:imports"))
