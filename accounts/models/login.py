"""SMS codes and attempts to log in."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class SmsPurpose(models.TextChoices):
    """What an SMS code is good for: a code for one thing opens no other."""

    REGISTRATION = "registration", _("用户注册")
    FIRST_LOGIN = "first_login", _("账号验证")
    PASSWORD_RESET = "password_reset", _("找回密码")
    NEW_MOBILE = "new_mobile", _("更换手机号")
    #: No code, but counted like one: an administrator's password for an operator goes to a number that he names.
    ONE_TIME_PASSWORD = "one_time_password", _("一次性密码")


class SmsCode(models.Model):
    """A code under way to a phone. Of the six digits only a keyed digest is kept."""

    purpose = models.CharField(max_length=20, choices=SmsPurpose.choices)
    mobile = models.CharField(max_length=11)
    digest = models.CharField(max_length=64)
    ip = models.CharField(max_length=64, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("短信验证码")
        verbose_name_plural = _("短信验证码")
        indexes = [
            models.Index(fields=["mobile", "-created_at"], name="sms_code_mobile"),
            models.Index(fields=["ip", "-created_at"], name="sms_code_ip"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.created_at:%Y-%m-%d %H:%M:%S}"


class LoginMethod(models.TextChoices):
    """By what somebody logged in."""

    PASSWORD = "password", _("用户名密码")
    SINGLE_SIGN_ON = "single_sign_on", _("中央标准版")
    CARD = "card", _("卡介质")
    PASSKEY = "passkey", _("通行密钥")


class LoginOutcome(models.TextChoices):
    """How an attempt to log in ended."""

    FAILED = "failed", _("身份验证未通过")
    #: Who he is was shown, by password or card. The second factor is still to come; if it never does, this stays.
    PROVEN = "proven", _("身份已验证，未完成登录")
    SUCCEEDED = "succeeded", _("成功")
    #: The same, and the account may not be used: pending, rejected, frozen, disabled; or the card opens none.
    CLOSED = "closed", _("账号不可用")
    THROTTLED = "throttled", _("尝试过多")


class LoginAttempt(models.Model):
    """One attempt to log in: the login history of a user (ACC-14) and what the throttle counts.

    `account` is a keyed digest of what was typed as user name: people type passwords into that field, too.
    """

    at = models.DateTimeField(_("时间"))
    account = models.CharField(max_length=64)
    user = models.ForeignKey("accounts.User", verbose_name=_("用户"), null=True, on_delete=models.CASCADE, related_name="login_attempts")
    method = models.CharField(_("登录方式"), max_length=20, choices=LoginMethod.choices)
    outcome = models.CharField(_("结果"), max_length=20, choices=LoginOutcome.choices)
    #: Whether the browser had logged in to this account before.
    known_browser = models.BooleanField(_("常用浏览器"), default=False)
    ip = models.CharField(_("来源地址"), max_length=64, blank=True)
    place = models.CharField(_("地点"), max_length=100, blank=True)
    device = models.CharField(_("设备"), max_length=100, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("登录记录")
        verbose_name_plural = _("登录记录")
        indexes = [
            models.Index(fields=["account", "-at"], name="login_attempt_account"),
            models.Index(fields=["ip", "-at"], name="login_attempt_ip"),
            models.Index(fields=["user", "-at", "-id"], name="login_attempt_user"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.outcome}"
