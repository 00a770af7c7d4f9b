"""An entry page with the fields of the smart gate (domain.md §3.1, §3.2) and nothing behind it, for the tests of the building block.

The view keeps what was saved in `SAVED`, so that a test can look at what an application would have been given.
"""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import TextChoices
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from core.codes import ChoicesSource, CodeOption
from core.forms.fields import CodeField, NumberField, SystemField
from core.forms.form import EntryForm
from core.forms.page import EntryPage
from core.forms.rules import Rule
from core.forms.signing import NotDeclared, SigningRequest
from core.http import leave_page
from core.shell import open_page
from core.views import WorkPageMixin


class Transport(TextChoices):
    WATER = "2", "水路"
    ROAD = "4", "公路"
    AIR = "5", "航空"


class Direction(TextChoices):
    IMPORT = "I", "进口"
    EXPORT = "E", "出口"


class BindKey(TextChoices):
    PLATE = "VN", "车牌号"
    TAG = "VE", "电子车牌号"
    CARD = "IC", "IC卡"
    BARCODE = "BC", "条形码"


class Business(TextChoices):
    DECLARATION = "1000000000", "报关"
    TRANSIT = "0100000000", "转关"
    EMPTY = "0000100000", "空箱"


class BoundObject(TextChoices):
    CONTAINER = "C", "集装箱"
    BILL = "B", "提单"
    TRANSIT = "T", "转关单"
    VEHICLE = "VC", "车辆海关编号"
    PLATE = "VN", "车辆车牌"


class BillType(TextChoices):
    FIRST = "1", "一程"
    SECOND = "2", "二程"


class Districts:
    """A table too long for a list in the page: it is looked up."""

    key = "customs"
    lookup_url = "/lookup/"
    OPTIONS = (
        CodeOption("0900", "大连海关", "dlhg"),
        CodeOption("0901", "大连港湾", "dlgw"),
        CodeOption("0908", "连大窑湾", "ldyw"),
        CodeOption("0940", "营口海关", "ykhg"),
    )

    def options(self, on: Any = None) -> tuple[CodeOption, ...]:
        return self.OPTIONS

    def get(self, code: str, on: Any = None) -> CodeOption | None:
        return next((option for option in self.OPTIONS if option.code == code), None)


class HeaderForm(EntryForm):
    data_center_no = SystemField(label="数据中心统一编码")
    trip_no = SystemField(label="车次确认编号")
    customs_code = CodeField(Districts(), label="关区代码", help_text="输入关区代码、名称或拼音首字母")
    status = SystemField(label="单证状态")
    bind_key_type = CodeField(ChoicesSource(BindKey), label="绑定介质类型", help_text="按空格键调出列表")
    bind_key_info = forms.CharField(label="绑定介质关键信息", max_length=64, help_text="选择绑定介质类型后填写")
    business_type = CodeField(ChoicesSource(Business), label="业务类型")
    transport_mode = CodeField(ChoicesSource(Transport), label="运输方式", help_text="按空格键调出列表")
    ie_flag = CodeField(ChoicesSource(Direction), label="进出口标志")
    vehicle_weight = NumberField(label="车辆重量", max_digits=12, decimal_places=3, min_value=0, help_text="单位：千克")
    remark = forms.CharField(label="备注", max_length=1000, required=False, help_text="最多1000个字符")
    lock_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    rules = [Rule("bind_key_info", grey_when={"bind_key_type": {""}})]
    wide = {"remark"}


class LineForm(EntryForm):
    object_type = CodeField(ChoicesSource(BoundObject), label="绑定对象类型", help_text="按空格键调出列表")
    object_id = forms.CharField(label="绑定对象ID", required=False, max_length=64, help_text="按绑定对象类型填写号码")
    vessel_name = forms.CharField(label="船名", required=False, max_length=64)
    voyage_no = forms.CharField(label="航次/货物运输批次号", max_length=32)
    business_type = CodeField(ChoicesSource(Business), label="业务类型")
    bill_type = CodeField(ChoicesSource(BillType), label="提单类型", required=False)
    pickup_weight = NumberField(label="本次提货重量", required=False, max_digits=12, decimal_places=3)
    container_no_1 = forms.CharField(label="集装箱号1", required=False, max_length=11)
    remark = forms.CharField(label="备注", required=False, max_length=1000, help_text="回车键保存本行")

    rules = [
        Rule(
            "object_id",
            required_when=[{"object_type": {"C", "T", "VC", "VN"}}, {"object_type": {"B"}, "header.ie_flag": {"I"}}],
        ),
        Rule("vessel_name", required_when={"header.transport_mode": {"2"}}, grey_when={"header.transport_mode": {"4", "5"}}),
        Rule("bill_type", required_when={"object_type": {"B"}}, grey_when={"object_type": {"", "C", "T", "VC", "VN"}}),
        Rule("pickup_weight", required_when={"object_type": {"B"}}, grey_when={"object_type": {"", "C", "T", "VC", "VN"}}),
        Rule("container_no_1", required_when={"business_type": {"0000100000"}}, message="业务类型为空箱时，请填写集装箱号。"),
    ]
    wide = {"remark"}


#: What the page was given to save or declare: (event, header, lines).
SAVED: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = []


@method_decorator(never_cache, name="dispatch")
class ExamplePage(EntryPage):
    form_class = HeaderForm
    line_form_class = LineForm
    max_lines = 4

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        if self.request.method == "GET":
            open_page(self.request, "散杂货新增", self.request.path)
        return super().get_context_data(page_title="智能卡口散杂货 新增", **kwargs)

    def initial(self) -> dict[str, Any]:
        return {"status": "未暂存", "data_center_no": "202600000000000001", "lock_version": 7}

    def new_url(self) -> str:
        return "/entry/"

    def save(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
        if header["remark"] == "refuse":
            in_line, in_page = {"lines.1.object_id": ["箱号重复。"]}, {"__all__": ["系统拒绝。"]}
            raise ValidationError({"bind_key_info": ["该车辆已有在途单据。"], **in_line, **in_page})
        SAVED.append(("save", header, lines))
        return HttpResponseRedirect("/saved/")

    def declare(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
        SAVED.append(("declare", header, lines))
        return HttpResponseRedirect("/saved/")


class WorkPage(WorkPageMixin, ExamplePage):
    """The same page behind the login."""

    title = "散杂货新增"
    right = "smartgate.edit"


class SigningPage(ExamplePage):
    """Declaring needs a signature, here the word "signed"."""

    def store_to_sign(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
        if header["remark"] == "refuse":
            raise ValidationError("系统拒绝。")
        SAVED.append(("stored", header, lines))
        return HttpResponseRedirect("/signing/?declare")

    def signing(self) -> SigningRequest:
        can = self.request.GET.get("declare") != "no"
        context = {"bound_card": "2100000000001", "why_not": "尚未绑卡。"}
        return SigningRequest("第一行 <b>\n第二行", "accounts/signing_panel.html", context, is_possible=can)

    def renewed(self) -> dict[str, Any]:
        return {"lock_version": 8}

    def declare(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> HttpResponse:
        if self.request.POST.get("signature") != "signed":
            raise NotDeclared("当前卡号 1 与用户注册信息卡号 2 不一致，无法进行申报")
        return super().declare(header, lines)


class WorkSigningPage(WorkPageMixin, SigningPage):
    """The same behind the login."""

    title = "散杂货修改"
    right = "smartgate.edit"


class LongPage(ExamplePage):
    """A stored filing that has more lines than the page takes by now."""

    def initial_lines(self) -> list[dict[str, Any]]:
        return [{"object_type": "C", "object_id": f"CSQU{number}"} for number in range(6)]


class MovedOnPage(ExamplePage):
    """A filing that can no longer be changed, whatever is sent."""

    def refuse_post(self, action: str) -> HttpResponse | None:
        return leave_page(self.request, f"/saved/?refused={action}")


class StoredPage(ExamplePage):
    """The same filing, to read only."""

    readonly = True

    def initial(self) -> dict[str, Any]:
        return {**super().initial(), "customs_code": "0908", "transport_mode": "2", "bind_key_type": "VN", "bind_key_info": "辽B12345"}

    def initial_lines(self) -> list[dict[str, Any]]:
        return [{"object_type": "C", "object_id": "CSQU3054383", "voyage_no": "026W", "business_type": Business.DECLARATION}]


class SavedPage(EntryPage):
    """Where a save leads to: a page without a form of its own."""

    form_class = HeaderForm
    readonly = True


def lookup(request: HttpRequest) -> JsonResponse:
    """The long table by the beginning of code, name or initials."""
    typed = request.GET["q"].lower()
    found = [o for o in Districts.OPTIONS if o.code.startswith(typed) or typed in o.name or o.initials.startswith(typed)]
    return JsonResponse({"results": [{"code": o.code, "name": o.name, "initials": o.initials} for o in found]})
