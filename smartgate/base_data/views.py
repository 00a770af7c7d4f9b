"""Pages of 常用车辆 and 常用提单, and what the entry page asks while somebody types."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe
from django.views.generic import View

from accounts.models import User
from accounts.rights import Right
from core.forms.page import Button, EntryPage
from core.http import safe_next
from core.listing import QueryPageView, RowAction
from core.tenancy import get_for_user
from core.views import WorkPageMixin
from core.workflow import ActionRefused
from smartgate.base_data import queries, services
from smartgate.base_data.filters import BillFilter, VehicleFilter
from smartgate.base_data.forms import BillForm, VehicleForm
from smartgate.base_data.models import KnownBill, UsualVehicle
from smartgate.base_data.tables import BillTable, VehicleTable
from smartgate.models import BindKeyType, ObjectType

#: Longer than any number that is looked for.
MAX_TYPED = 64


class BaseListView(QueryPageView):
    """A list of base data."""

    right = Right.SMARTGATE_VIEW
    template_name = "smartgate/base_list.html"
    model: ClassVar[type[UsualVehicle] | type[KnownBill]]
    #: Beginning of the names of its addresses: vehicle, bill.
    kind: ClassVar[str]
    deleting: ClassVar[str | Promise]

    def get_queryset(self) -> Any:
        return self.model.objects.for_user(self.request.user)

    def row_actions(self, user: Any, row: Any) -> Sequence[RowAction]:
        if not user.has_right(Right.SMARTGATE_EDIT):
            return []
        return [
            RowAction(_("修改"), reverse(f"smartgate:{self.kind}_edit", args=[row.pk]), "pencil"),
            RowAction(
                _("删除"),
                reverse(f"smartgate:{self.kind}_delete", args=[row.pk]),
                "trash",
                method="post",
                confirm=str(self.deleting) % {"name": row},
            ),
        ]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may_edit = self.request.user.has_right(Right.SMARTGATE_EDIT)  # type: ignore[union-attr]  # WorkPageMixin lets nobody else in
        return super().get_context_data(new_url=reverse(f"smartgate:{self.kind}_new") if may_edit else "", **kwargs)


class VehicleListView(BaseListView):
    """常用车辆."""

    title = gettext_lazy("常用车辆")
    page = "smartgate.vehicles"
    model = UsualVehicle
    kind = "vehicle"
    filterset_class = VehicleFilter
    table_class = VehicleTable
    ordering = ("-updated_at",)
    sortable = {"updated_at": "updated_at", "bind_key_info": "bind_key_info"}
    empty_hint = gettext_lazy("还没有常用车辆。点击“新增”录入第一辆，录入单据时即可选用。")
    deleting = gettext_lazy("确认删除常用车辆 %(name)s 吗？已有单据不受影响。")


class BillListView(BaseListView):
    """常用提单."""

    title = gettext_lazy("常用提单")
    page = "smartgate.bills"
    model = KnownBill
    kind = "bill"
    filterset_class = BillFilter
    table_class = BillTable
    ordering = ("-updated_at",)
    sortable = {"updated_at": "updated_at", "bill_no": "bill_no"}
    empty_hint = gettext_lazy("还没有常用提单。点击“新增”录入提单总重量，申报前即可核对剩余重量。")
    deleting = gettext_lazy("确认删除常用提单 %(name)s 吗？已有单据不受影响。")


class BaseRecordPage(WorkPageMixin, EntryPage):
    """新增 or 修改 of one record: an entry page without a body."""

    right = Right.SMARTGATE_EDIT
    header_title = gettext_lazy("基础资料")
    model: ClassVar[type[UsualVehicle] | type[KnownBill]]
    kind: ClassVar[str]
    #: The field that names the record, beside which it is told that there is one already.
    named_by: ClassVar[str]
    is_edit = False
    kwargs: dict[str, Any]

    @property
    def user(self) -> User:
        """WorkPageMixin lets nobody in who is not logged in."""
        return cast("User", self.request.user)

    @cached_property
    def stored(self) -> Any:
        """The record that the URL names."""
        return get_for_user(self.model.objects, self.user, pk=self.kwargs["pk"])

    def store(self, values: dict[str, Any], pk: int | None, lock_version: int | None) -> Any:
        """Call the service."""
        raise NotImplementedError

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.is_edit:
            self.stored  # noqa: B018 - a stranger's record is not there, whichever button
        return super().post(request, *args, **kwargs)

    def initial(self) -> Mapping[str, Any]:
        if not self.is_edit:
            return {}
        return {name: getattr(self.stored, name) for name in self.form_class.base_fields}

    def refuse_post(self, action: str) -> HttpResponse | None:
        if action.startswith("declare"):
            raise PermissionDenied
        return None

    def save(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
        shown = header.pop("lock_version", None)
        try:
            record = self.store(header, self.stored.pk if self.is_edit else None, (shown or 0) if self.is_edit else None)
        except services.KnownAlready as refusal:
            raise ValidationError({self.named_by: str(refusal)}) from None
        except services.ChangedMeanwhile as refusal:
            self.stored.refresh_from_db()
            raise ValidationError(str(refusal)) from None
        except ActionRefused as refusal:
            raise ValidationError(str(refusal)) from None
        except ObjectDoesNotExist:
            raise Http404 from None
        messages.success(self.request, _("“%(name)s”已保存。") % {"name": record})
        return HttpResponseRedirect(self.list_url())

    def renewed(self) -> Mapping[str, Any]:
        return {"lock_version": self.stored.lock_version} if self.is_edit else {}

    def list_url(self) -> str:
        """Where the page came from and goes back to."""
        return reverse(f"smartgate:{self.kind}s")

    def buttons(self) -> Sequence[Button]:
        return [
            Button(_("保存"), "device-floppy", action="save"),
            Button(_("返回列表"), "list-details", url=self.list_url()),
        ]


class VehiclePage(BaseRecordPage):
    """One vehicle."""

    model = UsualVehicle
    kind = "vehicle"
    named_by = "bind_key_info"
    form_class = VehicleForm
    header_title = gettext_lazy("车辆信息")

    def store(self, values: dict[str, Any], pk: int | None, lock_version: int | None) -> UsualVehicle:
        entry = services.VehicleEntry(**values)
        return services.save_vehicle(actor=self.user, entry=entry, vehicle_id=pk, lock_version=lock_version)


class NewVehicleView(VehiclePage):
    """新增."""

    title = gettext_lazy("新增常用车辆")

    def initial(self) -> Mapping[str, Any]:
        return {"bind_key_type": BindKeyType.PLATE}


class EditVehicleView(VehiclePage):
    """修改."""

    title = gettext_lazy("修改常用车辆")
    is_edit = True


class BillPage(BaseRecordPage):
    """One bill of lading."""

    model = KnownBill
    kind = "bill"
    named_by = "bill_no"
    form_class = BillForm
    header_title = gettext_lazy("提单信息")

    def store(self, values: dict[str, Any], pk: int | None, lock_version: int | None) -> KnownBill:
        return services.save_bill(actor=self.user, entry=services.BillEntry(**values), bill_id=pk, lock_version=lock_version)


class NewBillView(BillPage):
    """新增."""

    title = gettext_lazy("新增常用提单")


class EditBillView(BillPage):
    """修改."""

    title = gettext_lazy("修改常用提单")
    is_edit = True


class DeleteBaseView(WorkPageMixin, View):
    """删除, after the list has asked."""

    title = gettext_lazy("删除")
    right = Right.SMARTGATE_EDIT
    http_method_names = ["post"]
    kind: ClassVar[str]

    def remove(self, actor: User, pk: int) -> None:
        """Call the service."""
        raise NotImplementedError

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        try:
            self.remove(cast("User", request.user), pk)
        except ObjectDoesNotExist:
            raise Http404 from None
        messages.success(request, _("删除成功。"))
        return HttpResponseRedirect(safe_next(request, reverse(f"smartgate:{self.kind}s")))


class DeleteVehicleView(DeleteBaseView):
    """删除 of a vehicle."""

    kind = "vehicle"

    def remove(self, actor: User, pk: int) -> None:
        services.delete_vehicle(actor=actor, vehicle_id=pk)


class DeleteBillView(DeleteBaseView):
    """删除 of a bill."""

    kind = "bill"

    def remove(self, actor: User, pk: int) -> None:
        services.delete_bill(actor=actor, bill_id=pk)


def _offered(request: HttpRequest, find: Callable[[Any, str, str], Sequence[queries.Offer]]) -> HttpResponse:
    """What `find` finds for the user, what he typed and the kind of thing he is at; in the shape of `reference.views.lookup`."""
    if not request.user.is_authenticated:
        response = JsonResponse({"error": _("请先登录。")}, status=401, json_dumps_params={"ensure_ascii": False})
    elif not request.user.has_right(Right.SMARTGATE_EDIT):
        response = JsonResponse({"error": _("您没有录入单据的权限。")}, status=403, json_dumps_params={"ensure_ascii": False})
    else:
        offers = find(request.user, request.GET.get("kind", ""), request.GET.get("q", "")[:MAX_TYPED])
        results = [{"code": offer.value, "name": offer.note, "initials": "", "fills": offer.fills} for offer in offers]
        response = JsonResponse({"results": results}, json_dumps_params={"ensure_ascii": False})
    patch_cache_control(response, private=True, no_store=True)
    return response


@require_safe
def lookup_vehicles(request: HttpRequest) -> HttpResponse:
    """Vehicles for 绑定介质关键信息; `kind` is the 绑定介质类型 chosen."""

    def find(user: Any, kind: str, typed: str) -> Sequence[queries.Offer]:
        return queries.vehicles_offered(user, kind=kind, typed=typed) if kind in BindKeyType.values else []

    return _offered(request, find)


@require_safe
def lookup_bills(request: HttpRequest) -> HttpResponse:
    """Bills for 绑定对象ID; `kind` is the 绑定对象类型 chosen, and only for a bill there are any."""

    def find(user: Any, kind: str, typed: str) -> Sequence[queries.Offer]:
        return queries.bills_offered(user, typed=typed) if kind == ObjectType.BILL else []

    return _offered(request, find)
