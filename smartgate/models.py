"""Filings of vehicles at smart gates (智能卡口散杂货): header, body lines, versions, customs' receipts (`domain.md` §3)."""

from typing import Any, ClassVar, Self

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Enterprise
from core.tenancy import TenantManager, TenantQuerySet

# Django finds an application's models through this module.
from smartgate.batches.models import Batch, BatchItem  # noqa: F401
from smartgate.drops.models import DropFile, DroppedFiling  # noqa: F401
from smartgate.importing.models import Import, ImportedFiling, ImportFile, StoredContents  # noqa: F401


class FilingStatus(models.TextChoices):
    """单证状态; the ways between them are in `states.py`."""

    DRAFT = "draft", _("暂存")
    DECLARED = "declared", _("申报")
    RELAYED = "relayed", _("发往内网成功")
    RELAY_FAILED = "relay_failed", _("发往内网失败")
    STORED = "stored", _("海关入库成功")
    REJECTED = "rejected", _("退单")
    CLOSED = "closed", _("已办结")
    LOCKED = "locked", _("已锁定")
    UNLOCKED = "unlocked", _("解除锁定")
    CLOSED_MANUALLY = "closed_manually", _("人工办结")
    DEPARTED = "departed", _("已口岸离场")
    VOIDED = "voided", _("已删单")

    @property
    def query_label(self) -> str | Promise:
        """How query and statistics name the state: 海关入库成功 is 海关审核通过 there alone (M4 §3.2.1). Translated when it is shown."""
        return _("海关审核通过") if self is FilingStatus.STORED else self.label


#: States in which customs still expects the vehicle: one such filing per vehicle (`domain.md` §3.3).
OPEN_STATUSES = (FilingStatus.DECLARED, FilingStatus.RELAYED, FilingStatus.STORED, FilingStatus.LOCKED, FilingStatus.UNLOCKED)


class Function(models.TextChoices):
    """What is asked of customs: `Function` on the wire."""

    ADD = "ADD", _("申报")
    MOD = "MOD", _("变更")
    DEL = "DEL", _("删单")


class Outcome(models.TextChoices):
    """What became of a 变更 or 删单."""

    DRAFT = "draft", _("暂存")
    WAITING = "waiting", _("待海关答复")
    ACCEPTED = "accepted", _("海关已接受")
    REJECTED = "rejected", _("海关已退回")
    NOT_SENT = "not_sent", _("未送达海关")
    OVERTAKEN = "overtaken", _("已失效")


class BindKeyType(models.TextChoices):
    """绑定介质类型: by what the gate recognises the vehicle."""

    PLATE = "VN", _("车牌号")
    ELECTRONIC_PLATE = "VE", _("电子车牌号")
    IC_CARD = "IC", _("IC卡")
    BARCODE = "BC", _("条形码")


class BusinessType(models.TextChoices):
    """业务类型: ten flags, those combinations that the manual offers."""

    DECLARATION = "1000000000", _("报关")
    TRANSIT = "0100000000", _("转关")
    INSPECTION = "0010000000", _("查验分流")
    DISTRIBUTION = "0001000000", _("分拨分流")
    EMPTY_CONTAINER = "0000100000", _("空箱")
    EMPTY_VEHICLE = "0000000100", _("空车")
    CENTRAL_INSPECTION = "0000010000", _("集中查验")
    MULTIMODAL = "0000001000", _("多式联运")
    DECLARATION_AND_INSPECTION = "1010000000", _("报关+查验分流")
    MULTIMODAL_AND_DECLARATION = "1000001000", _("多式联运+报关")


class TransportMode(models.TextChoices):
    """运输方式 that a smart gate knows."""

    WATER = "2", _("水路")
    ROAD = "4", _("公路")
    AIR = "5", _("航空")


class ImportExport(models.TextChoices):
    """进出口标志 and 进出方向."""

    IMPORT = "I", _("进口")
    EXPORT = "E", _("出口")


class VehicleFlowType(models.TextChoices):
    """过卡车辆类型: laden or empty, in and out."""

    LADEN_IN_EMPTY_OUT = "01", _("重进空出")
    EMPTY_IN_LADEN_OUT = "02", _("空进重出")
    LADEN_IN_LADEN_OUT = "03", _("重进重出")
    EMPTY_IN_EMPTY_OUT = "04", _("空进空出")


class ObjectType(models.TextChoices):
    """绑定对象类型: what the vehicle carries is known by."""

    CONTAINER = "C", _("集装箱")
    BILL = "B", _("提单")
    TRANSIT_DOCUMENT = "T", _("转关单")
    VEHICLE_CUSTOMS_NO = "VC", _("车辆海关编号")
    VEHICLE_PLATE = "VN", _("车辆车牌")


class BillType(models.TextChoices):
    """提单类型."""

    FIRST_LEG = "1", _("一程")
    SECOND_LEG = "2", _("二程")


_SUBJECT = "smartgate.filing:"


def subject_of(data_center_no: str) -> str:
    """The relay's subject of the filing with this 数据中心统一编码."""
    return f"{_SUBJECT}{data_center_no}"


def data_center_no_of(subject: str) -> str:
    """The 数据中心统一编码 in a relay subject. Raises ValueError for a subject of something else."""
    if not subject.startswith(_SUBJECT):
        raise ValueError(f"not a filing's subject: {subject!r}")
    return subject.removeprefix(_SUBJECT)


class FilingQuerySet(TenantQuerySet["Filing"]):
    """Filings; what was deleted is nobody's to see any more."""

    def visible_to(self, user: Any) -> Self:
        return super().visible_to(user).filter(deleted_at__isnull=True)

    def deleted_for(self, user: Any) -> Self:
        """What the user's enterprise has deleted: to tell it from what was never his."""
        deleted = super().visible_to(user).filter(deleted_at__isnull=False)
        deleted._scoped = True
        return deleted


def _weight(label: Any) -> models.DecimalField:
    return models.DecimalField(label, max_digits=12, decimal_places=3, validators=[MinValueValidator(0)], help_text=_("千克"))


#: Conditions of the query page of which each leaves many filings.
_BROAD = ("status", "customs_code", "business_type", "bind_key_type", "ie_flag")


def _listed(name: str, *conditions: str, carried: tuple[str, ...] = ()) -> models.Index:
    """An index of the query page for these conditions, by time, with the columns of the others and with those `carried`."""
    return models.Index(
        fields=["enterprise", *conditions, "-entered_at", "-id"],
        include=[*(column for column in _BROAD if column not in conditions), *carried],
        condition=models.Q(deleted_at__isnull=True),
        name=name,
    )


class Filing(models.Model):
    """One vehicle's filing, with the contents that count: what the enterprise entered, and from 申报 on what customs has been told.

    `version` and `message_id` are those of the contents: of the declaration, later of the last 变更 or 删单 that customs accepted; what is
    still asked of customs stands in `FilingVersion` alone. `lock_version` counts what changes the row, whoever does, and what users do to
    its versions (a 变更 stored, discarded, sent); that customs did not take a change leaves the row as it is, and is not counted.
    """

    # No index of its own: each of the page's begins with it.
    enterprise = models.ForeignKey(Enterprise, verbose_name=_("企业"), on_delete=models.PROTECT, related_name="+", db_index=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("录入人"), on_delete=models.PROTECT, related_name="+")
    data_center_no = models.CharField(_("数据中心统一编码"), max_length=18)
    trip_no = models.CharField(_("车次确认编号"), max_length=32)
    customs_code = models.CharField(_("关区代码"), max_length=4)
    status = models.CharField(_("单证状态"), max_length=20, choices=FilingStatus.choices, default=FilingStatus.DRAFT)
    status_note = models.CharField(_("状态说明"), max_length=1000, blank=True)
    entered_at = models.DateTimeField(_("录入时间"))
    credit_code = models.CharField(_("统一社会信用代码"), max_length=18)
    organisation_code = models.CharField(_("组织机构代码"), max_length=9)
    operator = models.CharField(_("操作人员"), max_length=18)
    bind_key_type = models.CharField(_("绑定介质类型"), max_length=2, choices=BindKeyType.choices)
    bind_key_info = models.CharField(_("绑定介质关键信息"), max_length=64)
    #: Somebody vouches for plates, here and in the body, whose form the program does not know. Not on the wire.
    plate_verified = models.BooleanField(_("车牌号已核实"), default=False, db_default=False)
    business_type = models.CharField(_("业务类型"), max_length=10, choices=BusinessType.choices)
    transport_mode = models.CharField(_("运输方式"), max_length=1, choices=TransportMode.choices)
    ie_flag = models.CharField(_("进出口标志"), max_length=1, choices=ImportExport.choices)
    vehicle_flow_type = models.CharField(_("过卡车辆类型"), max_length=2, choices=VehicleFlowType.choices, blank=True)
    vehicle_weight = _weight(_("车辆重量"))
    trailer_weight = _weight(_("挂车重量"))
    container_weight = _weight(_("集装箱重量"))
    remark = models.CharField(_("备注"), max_length=1000, blank=True)

    version = models.PositiveIntegerField(_("申报版本"), default=0)
    message_id = models.UUIDField(_("申报报文编号"), null=True)
    entry_token = models.UUIDField(_("录入页标记"), null=True)
    declared_at = models.DateTimeField(_("申报时间"), null=True)
    status_at = models.DateTimeField(_("状态时间"))
    deleted_at = models.DateTimeField(_("删除时间"), null=True)
    lock_version = models.PositiveIntegerField(default=1)

    objects: ClassVar[Any] = TenantManager.from_queryset(FilingQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(FilingQuerySet)()

    class Meta:
        verbose_name = _("智能卡口散杂货申报单")
        verbose_name_plural = _("智能卡口散杂货申报单")
        base_manager_name = "unscoped"
        constraints = [
            # Not `unique=True`, which makes a second index of each for searches with LIKE.
            models.UniqueConstraint(fields=["data_center_no"], name="filing_data_center_no"),
            models.UniqueConstraint(fields=["trip_no"], name="filing_trip_no"),
            models.CheckConstraint(condition=models.Q(status__in=FilingStatus.values), name="filing_status_known"),
            models.CheckConstraint(
                condition=models.Q(vehicle_weight__gte=0, trailer_weight__gte=0, container_weight__gte=0),
                name="filing_weights_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(status=FilingStatus.DRAFT)
                | models.Q(version__gte=1, message_id__isnull=False, declared_at__isnull=False),
                name="filing_sent_has_message",
            ),
            models.UniqueConstraint(fields=["created_by", "entry_token"], name="filing_once_per_entry"),
            models.UniqueConstraint(
                fields=["bind_key_type", "bind_key_info"],
                condition=models.Q(status__in=OPEN_STATUSES, deleted_at__isnull=True),
                name="filing_one_open_per_vehicle",
            ),
        ]
        # Every index ends in the sort key of the query page, so that any condition pages by keyset; and it carries the other
        # conditions' columns along, so that two of them together pick and count rows from the index alone (docs/adr/0050).
        indexes = [
            # 业务数据统计 reads this one alone (docs/adr/0102).
            _listed("filing_by_time", carried=("bind_key_info",)),
            _listed("filing_by_status", "status"),
            _listed("filing_by_customs", "customs_code"),
            _listed("filing_by_business", "business_type"),
            _listed("filing_by_key_type", "bind_key_type"),
            # One vehicle has few filings: nothing to carry.
            models.Index(
                fields=["enterprise", "bind_key_info", "-entered_at", "-id"],
                condition=models.Q(deleted_at__isnull=True),
                name="filing_by_key_info",
            ),
        ]

    def __str__(self) -> str:
        return self.trip_no

    @property
    def subject(self) -> str:
        """Under this name the relay keeps this filing's messages in order. By a number that receipts carry, too: whose they are is
        known without asking the database."""
        return subject_of(self.data_center_no)


class FilingLine(models.Model):
    """One body line: an object that the vehicle carries."""

    enterprise = models.ForeignKey(Enterprise, on_delete=models.PROTECT, related_name="+")
    # The unique constraint's index begins with it.
    filing = models.ForeignKey(Filing, on_delete=models.CASCADE, related_name="lines", db_index=False)
    line_no = models.PositiveIntegerField(_("序号"))
    direction = models.CharField(_("进出方向"), max_length=1, choices=ImportExport.choices, blank=True)
    object_type = models.CharField(_("绑定对象类型"), max_length=2, choices=ObjectType.choices)
    object_id = models.CharField(_("绑定对象ID"), max_length=64, blank=True)
    vessel_name = models.CharField(_("船名"), max_length=64, blank=True)
    voyage_no = models.CharField(_("航次/货物运输批次号"), max_length=32)
    business_type = models.CharField(_("业务类型"), max_length=10, choices=BusinessType.choices)
    bill_type = models.CharField(_("提单类型"), max_length=1, choices=BillType.choices, blank=True)
    pickup_weight = models.DecimalField(_("本次提货重量"), max_digits=12, decimal_places=3, null=True, blank=True, help_text=_("千克"))
    container_no_1 = models.CharField(_("集装箱号1"), max_length=11, blank=True)
    container_no_2 = models.CharField(_("集装箱号2"), max_length=11, blank=True)
    seal_no_1 = models.CharField(_("安全智能锁号1"), max_length=98, blank=True)
    seal_no_2 = models.CharField(_("安全智能锁号2"), max_length=98, blank=True)
    remark = models.CharField(_("备注"), max_length=1000, blank=True)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("表体")
        verbose_name_plural = _("表体")
        base_manager_name = "unscoped"
        ordering = ["filing", "line_no"]
        # 申报前检查 looks a container or a 转关单 up among the open filings of everybody, a bill among one's own. Not partial: PostgreSQL
        # leaves a partial index aside when more than a hundred numbers are asked for.
        indexes = [
            models.Index(fields=["object_id"], name="filing_line_by_object"),
            models.Index(fields=["container_no_1"], name="filing_line_by_container_1"),
            models.Index(fields=["container_no_2"], name="filing_line_by_container_2"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["filing", "line_no"], name="filing_line_no"),
            models.CheckConstraint(condition=models.Q(line_no__gte=1), name="filing_line_no_from_one"),
            models.CheckConstraint(
                condition=models.Q(pickup_weight__isnull=True) | models.Q(pickup_weight__gte=0), name="filing_line_weight_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.filing_id}/{self.line_no}"


class FilingVersion(models.Model):
    """What was sent to customs, or is to be: a declaration (ADD), a 变更 (MOD), a 删单 (DEL), with its contents (docs/adr/0100).

    The filing itself says what became of its declaration, and `outcome` is empty there. `number` counts all that was sent about a filing.
    """

    enterprise = models.ForeignKey(Enterprise, on_delete=models.PROTECT, related_name="+", db_index=False)
    # The unique constraint's index begins with it.
    filing = models.ForeignKey(Filing, on_delete=models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField(_("申报版本"), null=True)
    function = models.CharField(_("业务功能"), max_length=3, choices=Function.choices)
    #: The version that customs held when this one was entered, which it changes or voids.
    base = models.PositiveIntegerField(_("针对版本"), null=True)
    #: As the wire has them (`smartgate.contents`).
    contents = models.JSONField(_("内容"))
    #: 绑定介质 of the contents: nobody else gets this vehicle while a change to it waits.
    bind_key_type = models.CharField(_("绑定介质类型"), max_length=2, choices=BindKeyType.choices)
    bind_key_info = models.CharField(_("绑定介质关键信息"), max_length=64)
    #: NULL for what was declared before versions were kept: the audit trail says who did.
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("经办人"), on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    asked_at = models.DateTimeField(_("申报时间"))
    message_id = models.UUIDField(_("报文编号"), null=True)
    delivered_at = models.DateTimeField(_("发往内网时间"), null=True)
    outcome = models.CharField(_("结果"), max_length=10, choices=Outcome.choices, blank=True)
    outcome_at = models.DateTimeField(_("结果时间"), null=True)
    reason = models.CharField(_("原因"), max_length=1000, blank=True)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("申报版本")
        verbose_name_plural = _("申报版本")
        base_manager_name = "unscoped"
        ordering = ["filing", "number"]
        constraints = [
            models.UniqueConstraint(fields=["filing", "number"], name="filing_version_number"),
            models.UniqueConstraint(fields=["filing"], condition=models.Q(outcome=Outcome.DRAFT), name="filing_one_draft"),
            models.UniqueConstraint(fields=["filing"], condition=models.Q(outcome=Outcome.WAITING), name="filing_one_change"),
            models.UniqueConstraint(
                fields=["bind_key_type", "bind_key_info"],
                condition=models.Q(outcome=Outcome.WAITING),
                name="filing_one_change_per_vehicle",
            ),
            models.CheckConstraint(
                condition=models.Q(outcome=Outcome.DRAFT, number__isnull=True, message_id__isnull=True)
                | ~models.Q(outcome=Outcome.DRAFT) & models.Q(number__gte=1, message_id__isnull=False),
                name="filing_version_sent_has_message",
            ),
            models.CheckConstraint(
                condition=models.Q(function=Function.ADD, outcome="", base__isnull=True)
                | models.Q(function__in=[Function.MOD, Function.DEL], outcome__in=Outcome.values, base__isnull=False),
                name="filing_version_change_has_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.filing_id}/{self.number or self.outcome}"


class FilingReceipt(models.Model):
    """海关回执: what customs said of a filing, whether it moved the filing or not."""

    enterprise = models.ForeignKey(Enterprise, on_delete=models.PROTECT, related_name="+")
    # The unique constraint's index begins with it.
    filing = models.ForeignKey(Filing, on_delete=models.CASCADE, related_name="receipts", db_index=False)
    receipt_no = models.CharField(_("回执编号"), max_length=40)
    event = models.CharField(_("回执类型"), max_length=20)
    version = models.PositiveIntegerField(_("申报版本"))
    event_time = models.DateTimeField(_("海关处理时间"))
    received_at = models.DateTimeField(_("接收时间"))
    code = models.CharField(_("回执代码"), max_length=32, blank=True)
    note = models.CharField(_("回执说明"), max_length=1000, blank=True)
    applied = models.BooleanField(_("已生效"))
    not_applied_reason = models.CharField(_("未生效原因"), max_length=200, blank=True)
    message_id = models.UUIDField(_("报文编号"))
    #: Customs answered what its exchange had refused, and said when it was asked that it has no such filing.
    disowned = models.BooleanField(_("海关确认作废"), default=False, db_default=False)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("海关回执")
        verbose_name_plural = _("海关回执")
        base_manager_name = "unscoped"
        ordering = ["filing", "received_at", "id"]
        constraints = [models.UniqueConstraint(fields=["filing", "receipt_no"], name="filing_receipt_once")]

    def __str__(self) -> str:
        return self.receipt_no


# Django finds an application's models through this module.
