"""Enterprises and their users."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.auth.validators import ASCIIUsernameValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.rights import ENTERPRISE_ROLES, Role, rights_of
from core import identifiers


class Enterprise(models.Model):
    """An enterprise as its business licence names it; the owner of everything its users file."""

    name = models.CharField(_("企业名称"), max_length=200)
    credit_code = models.CharField(_("统一社会信用代码"), max_length=18, unique=True, validators=[identifiers.validate_credit_code])
    organisation_code = models.CharField(_("组织机构代码"), max_length=9, validators=[identifiers.validate_organisation_code])
    customs_registration_no = models.CharField(
        _("海关注册编码"), max_length=10, blank=True, validators=[identifiers.validate_customs_registration_no]
    )
    office_phone = models.CharField(_("办公电话"), max_length=30, blank=True)
    office_address = models.CharField(_("办公地址"), max_length=200, blank=True)
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


class PortalUserManager(UserManager["User"]):
    """Finds users whatever the case of the name they type; makes the first superuser a member of platform staff."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username__iexact=username)

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
    mobile = models.CharField(_("手机号"), max_length=20, blank=True)
    role = models.CharField(_("角色"), max_length=30, choices=Role.choices)
    enterprise = models.ForeignKey(
        Enterprise, verbose_name=_("所属企业"), null=True, blank=True, on_delete=models.PROTECT, related_name="users"
    )
    #: 卸货地代码 of the terminal or yard whose staff this is; empty for everyone else.
    unloading_code = models.CharField(_("卸货地代码"), max_length=20, blank=True)
    #: Number of the bound IC card; the card issue brings binding, until then it is empty.
    ic_card_no = models.CharField(_("IC 卡号"), max_length=13, blank=True, validators=[identifiers.validate_ic_card_no])

    objects: ClassVar[PortalUserManager] = PortalUserManager()
    REQUIRED_FIELDS = ["full_name"]

    class Meta(AbstractUser.Meta):
        verbose_name = _("用户")  # type: ignore[assignment]
        verbose_name_plural = _("用户")  # type: ignore[assignment]
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_username_any_case"),
            models.UniqueConstraint("ic_card_no", condition=~models.Q(ic_card_no=""), name="user_one_card_one_account"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known"),
            models.CheckConstraint(
                condition=models.Q(enterprise__isnull=False) | ~models.Q(role__in=sorted(ENTERPRISE_ROLES)),
                name="user_enterprise_role_has_enterprise",
            ),
        ]

    def has_right(self, right: str) -> bool:
        """Whether this user may do `right` (a name of `accounts.rights.Right`); a closed account or enterprise may nothing."""
        if not self.is_active or (self.enterprise is not None and not self.enterprise.is_active):
            return False
        return right in rights_of(self.role)

    def get_full_name(self) -> str:
        return self.full_name or self.username

    def get_short_name(self) -> str:
        return self.get_full_name()
