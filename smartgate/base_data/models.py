"""What an enterprise keeps of its vehicles and bills of lading."""

from typing import Any, ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Enterprise
from core.fields import EncryptedTextField
from core.tenancy import TenantManager, TenantQuerySet
from core.text import masked
from smartgate.models import BindKeyType, VehicleFlowType


def _weight(label: Any, *, required: bool = False) -> models.DecimalField:
    return models.DecimalField(
        label,
        max_digits=12,
        decimal_places=3,
        null=not required,
        blank=not required,
        validators=[MinValueValidator(0)],
        help_text=_("千克"),
    )


class UsualVehicle(models.Model):
    """常用车辆: a plate or another medium, and what is the same in each of the vehicle's filings."""

    # The unique constraint's index begins with it.
    enterprise = models.ForeignKey(Enterprise, verbose_name=_("企业"), on_delete=models.PROTECT, related_name="+", db_index=False)
    bind_key_type = models.CharField(_("绑定介质类型"), max_length=2, choices=BindKeyType.choices)
    bind_key_info = models.CharField(_("绑定介质关键信息"), max_length=64)
    plate_verified = models.BooleanField(_("车牌号已核实"), default=False)
    vehicle_flow_type = models.CharField(_("过卡车辆类型"), max_length=2, choices=VehicleFlowType.choices, blank=True)
    vehicle_weight = _weight(_("车辆重量"))
    trailer_weight = _weight(_("挂车重量"))
    container_weight = _weight(_("集装箱重量"))
    customs_no = models.CharField(_("车辆海关编号"), max_length=64, blank=True)
    driver_name = EncryptedTextField(_("常用司机"), blank=True)
    driver_mobile = EncryptedTextField(_("司机手机号"), blank=True)
    remark = models.CharField(_("备注"), max_length=200, blank=True)
    updated_at = models.DateTimeField(_("更新时间"))
    lock_version = models.PositiveIntegerField(default=1)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("常用车辆")
        verbose_name_plural = _("常用车辆")
        base_manager_name = "unscoped"
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "bind_key_info", "bind_key_type"], name="usual_vehicle_once"),
            models.CheckConstraint(condition=models.Q(bind_key_type__in=BindKeyType.values), name="usual_vehicle_type_known"),
        ]
        indexes = [models.Index(fields=["enterprise", "-updated_at", "-id"], name="usual_vehicle_by_time")]

    def __str__(self) -> str:
        return self.bind_key_info

    @property
    def masked_driver_name(self) -> str:
        """张**: enough for who knows him."""
        return self.driver_name[:1] + "*" * (len(self.driver_name) - 1)

    @property
    def masked_driver_mobile(self) -> str:
        """138****1234."""
        return masked(self.driver_mobile)


class KnownBill(models.Model):
    """常用提单: how much a bill of lading is for, and by which vessel and voyage it came."""

    # The unique constraint's index begins with it.
    enterprise = models.ForeignKey(Enterprise, verbose_name=_("企业"), on_delete=models.PROTECT, related_name="+", db_index=False)
    bill_no = models.CharField(_("提单号"), max_length=64)
    total_weight = _weight(_("总重量"), required=True)
    vessel_name = models.CharField(_("船名"), max_length=64, blank=True)
    voyage_no = models.CharField(_("航次/货物运输批次号"), max_length=32, blank=True)
    remark = models.CharField(_("备注"), max_length=200, blank=True)
    updated_at = models.DateTimeField(_("更新时间"))
    lock_version = models.PositiveIntegerField(default=1)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("常用提单")
        verbose_name_plural = _("常用提单")
        base_manager_name = "unscoped"
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "bill_no"], name="known_bill_once"),
            models.CheckConstraint(condition=models.Q(total_weight__gte=0), name="known_bill_weight_not_negative"),
        ]
        indexes = [models.Index(fields=["enterprise", "-updated_at", "-id"], name="known_bill_by_time")]

    def __str__(self) -> str:
        return self.bill_no
