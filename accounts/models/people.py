"""Enterprises, their users, how they registered, and what proves their qualifications."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.auth.validators import ASCIIUsernameValidator
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.rights import ENTERPRISE_ROLES, ApplicationKey, Role, rights_of
from core import identifiers
from core.fields import EncryptedTextField
from core.tenancy import TenantManager, TenantQuerySet
from core.text import masked


class EnterpriseType(models.TextChoices):
    """企业类型 (M2 企业信息); an enterprise may be several."""

    SEA_FORWARDER = "sea_forwarder", _("海运货运代理")
    AIR_FORWARDER = "air_forwarder", _("空运货运代理")
    PORT_GROUP = "port_group", _("港务集团/码头")
    AIRLINE = "airline", _("航空公司")
    TALLY = "tally", _("理货公司")
    CHARTERING_AGENT = "chartering_agent", _("散杂租船代理")
    SHIPPING_LINE = "shipping_line", _("船公司")
    SHIPPING_AGENT = "shipping_agent", _("船代公司")
    MANUFACTURER = "manufacturer", _("制造商")
    TRADER = "trader", _("贸易公司")
    LOGISTICS_SERVICE = "logistics_service", _("物流产品/信息服务商")
    SUPERVISING_AUTHORITY = "supervising_authority", _("行业监管部门")
    ADMINISTERING_AUTHORITY = "administering_authority", _("行业管理部门")
    EXPRESS = "express", _("快递公司")
    CUSTOMS_BROKER = "customs_broker", _("报关行")
    WAREHOUSE = "warehouse", _("仓储企业")
    ROAD_HAULIER = "road_haulier", _("陆运公司")
    YARD = "yard", _("场站")
    OTHER = "other", _("其他")


class Service(models.TextChoices):
    """业务开通: what the single window as a whole offers (M2); this portal's own applications are `rights.ApplicationKey`."""

    GOODS_DECLARATION = "goods_declaration", _("货物申报")
    LICENCES = "licences", _("资质许可")
    VESSEL_DECLARATION = "vessel_declaration", _("船舶申报")
    GENERAL_QUERY = "general_query", _("综合信息查询")
    MANIFEST = "manifest", _("舱单申报")
    CROSS_BORDER_COMMERCE = "cross_border_commerce", _("跨境电商")
    INSPECTION_BOOKING = "inspection_booking", _("查验预约")
    AIR_EXPRESS = "air_express", _("空运快件申报")
    DANGEROUS_GOODS = "dangerous_goods", _("危险货物联网核查")


#: 通关政务业务 and 口岸物流业务, as the manual groups them (M2 业务开通).
CLEARANCE_SERVICES = (
    Service.GOODS_DECLARATION,
    Service.LICENCES,
    Service.VESSEL_DECLARATION,
    Service.GENERAL_QUERY,
    Service.MANIFEST,
    Service.CROSS_BORDER_COMMERCE,
)
PORT_SERVICES = (Service.INSPECTION_BOOKING, Service.AIR_EXPRESS, Service.DANGEROUS_GOODS)


def _of(choices: type[models.TextChoices], label: Any) -> "ArrayField[Any, Any]":
    return ArrayField(models.CharField(max_length=30, choices=choices.choices), verbose_name=label, default=list, blank=True)


class Enterprise(models.Model):
    """An enterprise as its business licence names it; the owner of everything its users file."""

    name = models.CharField(_("企业名称"), max_length=200)
    credit_code = models.CharField(_("统一社会信用代码"), max_length=18, unique=True, validators=[identifiers.validate_credit_code])
    organisation_code = models.CharField(_("组织机构代码"), max_length=9, validators=[identifiers.validate_organisation_code])
    customs_registration_no = models.CharField(
        _("海关注册编码"), max_length=10, blank=True, validators=[identifiers.validate_customs_registration_no]
    )
    enterprise_types = _of(EnterpriseType, _("企业类型"))
    legal_person_name = models.CharField(_("法人姓名"), max_length=50, blank=True)
    legal_person_id_no = EncryptedTextField(_("法人身份证号"), blank=True)
    office_phone = models.CharField(_("办公电话"), max_length=30, blank=True)
    office_address = models.CharField(_("办公地址"), max_length=200, blank=True)
    #: What it opened at registration, and since in 我的应用权限.
    services = _of(Service, _("业务开通"))
    applications = _of(ApplicationKey, _("开通的应用"))
    is_active = models.BooleanField(_("启用"), default=True)
    created_at = models.DateTimeField(_("登记时间"), auto_now_add=True)

    class Meta:
        verbose_name = _("企业")
        verbose_name_plural = _("企业")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(organisation_code=models.functions.Substr("credit_code", 9, 9)),
                name="enterprise_organisation_code_of_credit_code",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def masked_legal_person_id_no(self) -> str:
        """210***********1234."""
        return masked(self.legal_person_id_no)


class PortalUserManager(UserManager["User"]):
    """Finds users whatever the case of the name they type; makes the first superuser a member of platform staff."""

    def named(self, username: str) -> "User | None":
        """The user of this name, whatever its case; None when there is none. By the index that keeps names apart."""
        return self.select_related("enterprise").alias(any_case=Lower("username")).filter(any_case=username.lower()).first()

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.alias(any_case=Lower("username")).get(any_case=(username or "").lower())

    def create_superuser(self, username: str, email: str | None = None, password: str | None = None, **extra: Any) -> "User":
        extra.setdefault("role", Role.PLATFORM_STAFF)
        return super().create_superuser(username, email, password, **extra)


class User(AbstractUser):
    """Someone who logs in: an enterprise's administrator or operator, or somebody of an authority or the platform."""

    username = models.CharField(
        _("登录用户名"),
        max_length=18,
        unique=True,
        validators=[ASCIIUsernameValidator()],
        error_messages={"unique": _("该用户名已被使用。")},
    )
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    full_name = models.CharField(_("姓名"), max_length=50)
    id_no = EncryptedTextField(_("身份证号"), blank=True)
    mobile = models.CharField(_("手机号"), max_length=11, blank=True, validators=[identifiers.validate_mobile])
    role = models.CharField(_("角色"), max_length=30, choices=Role.choices)
    enterprise = models.ForeignKey(
        Enterprise, verbose_name=_("所属企业"), null=True, blank=True, on_delete=models.PROTECT, related_name="users"
    )
    #: 卸货地代码 of the terminal or yard whose staff this is; empty for everyone else.
    unloading_code = models.CharField(_("卸货地代码"), max_length=20, blank=True)
    #: Which of the enterprise's applications an operator may use (我的应用权限); an administrator may use all of them.
    applications = _of(ApplicationKey, _("应用权限"))
    #: When 账号验证 was passed (ACC-08); until then nothing else opens for a user of an enterprise.
    first_login_verified_at = models.DateTimeField(_("首次登录验证时间"), null=True, blank=True)
    #: Set where somebody else chose the password: the user must choose his own before anything else opens.
    must_change_password = models.BooleanField(_("须修改密码"), default=False)
    #: ACC-12: when the account was frozen for not being used, and when its user was told that it would be.
    frozen_at = models.DateTimeField(_("冻结时间"), null=True, blank=True)
    dormancy_warned_at = models.DateTimeField(_("冻结提醒时间"), null=True, blank=True)

    objects: ClassVar[PortalUserManager] = PortalUserManager()
    REQUIRED_FIELDS = ["full_name"]

    class Meta(AbstractUser.Meta):
        verbose_name = _("用户")  # type: ignore[assignment]
        verbose_name_plural = _("用户")  # type: ignore[assignment]
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_username_any_case"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known"),
            models.CheckConstraint(
                condition=models.Q(enterprise__isnull=False) | ~models.Q(role__in=sorted(ENTERPRISE_ROLES)),
                name="user_enterprise_role_has_enterprise",
            ),
        ]

    @property
    def is_administrator(self) -> bool:
        """Whether this is the administrator of an enterprise."""
        return self.role == Role.ENTERPRISE_ADMINISTRATOR

    @property
    def open_applications(self) -> frozenset[str] | None:
        """The applications open to this user; None for users of authorities and the platform, to whom no enterprise opens any."""
        if self.enterprise is None:
            return None
        opened = frozenset(self.enterprise.applications)
        return opened if self.is_administrator else opened & frozenset(self.applications)

    @property
    def ic_card_no(self) -> str:
        """Number of the bound IC card, empty without one. It goes into the numbers of filings: what somebody only says of his card when he
        registers stays in his Registration. Asks the database the first time."""
        bound = getattr(self, "bound_card", None)
        return bound.card_no if bound is not None else ""

    @property
    def masked_mobile(self) -> str:
        """138****1234: enough for its owner to know it."""
        return f"{self.mobile[:3]}****{self.mobile[-4:]}" if self.mobile else ""

    @property
    def masked_id_no(self) -> str:
        """210***********1234: no page shows an identity number in full."""
        return masked(self.id_no)

    def has_right(self, right: str) -> bool:
        """Whether this user may do `right` (a name of `accounts.rights.Right`); a closed account or enterprise may nothing."""
        if not self.is_active or self.frozen_at is not None or (self.enterprise is not None and not self.enterprise.is_active):
            return False
        return right in rights_of(self.role, self.open_applications)

    def get_full_name(self) -> str:
        return self.full_name or self.username

    def get_short_name(self) -> str:
        return self.get_full_name()


class ReviewStatus(models.TextChoices):
    """How far a registration is (ACC-06)."""

    PENDING = "pending", _("待审核")
    APPROVED = "approved", _("审核通过")
    REJECTED = "rejected", _("审核不通过")


class Registration(models.Model):
    """One filled-in registration: what was said, what was agreed to, and what the platform's staff decided.

    It keeps its own copy of what names the applicant: a rejected registration gives the credit code and the user name free again.
    """

    #: Given by the page before it is sent: what is sent twice is registered once. Empty for users who came another way.
    submission = models.UUIDField(_("提交编号"), unique=True, null=True, editable=False)
    enterprise = models.ForeignKey(Enterprise, verbose_name=_("企业"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    user = models.ForeignKey("accounts.User", verbose_name=_("用户"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    role = models.CharField(_("注册角色"), max_length=30, choices=Role.choices)
    enterprise_name = models.CharField(_("企业名称"), max_length=200)
    credit_code = models.CharField(_("统一社会信用代码"), max_length=18, db_index=True)
    username = models.CharField(_("登录用户名"), max_length=18)
    full_name = models.CharField(_("姓名"), max_length=50)
    mobile = models.CharField(_("手机号"), max_length=11)
    email = models.EmailField(_("邮箱"))
    services = _of(Service, _("业务开通"))
    applications = _of(ApplicationKey, _("开通的应用"))
    inspection_registration_no = models.CharField(_("企业报检注册号"), max_length=10, blank=True)
    customs_registration_no = models.CharField(_("企业海关注册编码"), max_length=10, blank=True)
    ic_card_no = models.CharField(_("用户海关IC卡号"), max_length=13, blank=True)
    #: Which version of each agreement was accepted: [{"agreement": …, "version": …, "sha256": …, "accepted_at": …}].
    agreements = models.JSONField(_("接受的协议"), default=list)
    ip = models.CharField(_("来源地址"), max_length=64, blank=True)
    status = models.CharField(_("审核状态"), max_length=10, choices=ReviewStatus.choices, default=ReviewStatus.PENDING)
    reason = models.CharField(_("审核意见"), max_length=500, blank=True)
    reviewed_by = models.ForeignKey(
        "accounts.User", verbose_name=_("审核人"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    submitted_at = models.DateTimeField(_("提交时间"))
    reviewed_at = models.DateTimeField(_("审核时间"), null=True, blank=True)

    class Meta:
        verbose_name = _("注册申请")
        verbose_name_plural = _("注册申请")
        indexes = [models.Index(fields=["status", "-submitted_at"], name="registration_status")]

    def __str__(self) -> str:
        return f"{self.enterprise_name} {self.username}"


class Qualification(models.Model):
    """我的资质 of one enterprise (ACC-11). Passwords of other systems are encrypted and never shown again."""

    enterprise = models.OneToOneField(
        Enterprise, verbose_name=_("企业"), primary_key=True, on_delete=models.CASCADE, related_name="qualification"
    )
    has_foreign_trade_record = models.BooleanField(_("是否已有对外贸易经营者备案"), null=True, blank=True)
    inspection_registration_no = models.CharField(_("报检单位注册号"), max_length=10, blank=True)
    eciq_account = models.CharField(_("质检ECIQ申报账号"), max_length=50, blank=True)
    eciq_password = EncryptedTextField(_("质检ECIQ申报密码"), blank=True)
    origin_record_no = models.CharField(_("质检产地证备案号"), max_length=20, blank=True)
    origin_platform_account = models.CharField(_("质检通讯平台账号"), max_length=50, blank=True)
    origin_platform_password = EncryptedTextField(_("质检通讯平台密码"), blank=True)
    ccpit_code = models.CharField(_("贸促会编码"), max_length=6, blank=True, validators=[identifiers.validate_ccpit_code])
    ccpit_enterprise_code = models.CharField(
        _("企业编码"), max_length=9, blank=True, validators=[identifiers.validate_ccpit_enterprise_code]
    )
    ccpit_signatory = models.CharField(_("手签员姓名"), max_length=50, blank=True)
    lock_version = models.PositiveIntegerField(_("版本"), default=0)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("企业资质")
        verbose_name_plural = _("企业资质")
        base_manager_name = "unscoped"

    def __str__(self) -> str:
        return str(self.enterprise)
