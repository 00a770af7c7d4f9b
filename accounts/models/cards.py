"""IC cards: challenges, bound cards, what was signed with them, and what shows that it counts."""

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.people import Enterprise, User
from accounts.rights import ApplicationKey
from core import identifiers
from core.fields import EncryptedTextField
from core.tenancy import TenantManager, TenantQuerySet
from core.text import masked


class CardPurpose(models.TextChoices):
    """What a card signs a challenge for: one for logging in binds no card."""

    LOGIN = "login", _("卡介质登录")
    BIND = "bind", _("绑定IC卡")
    AUTHORISE = "authorise", _("法人卡授权")


class CardChallenge(models.Model):
    """32 random bytes that a card is to sign: one use, two minutes, for one browser (CARD-02)."""

    value = models.CharField(max_length=64, primary_key=True)
    purpose = models.CharField(max_length=20, choices=CardPurpose.choices)
    #: Keyed digest of whom it was given to: what another browser sends back is of no use.
    bound_to = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("卡签名随机数")
        verbose_name_plural = _("卡签名随机数")

    def __str__(self) -> str:
        return f"{self.purpose} {self.created_at:%Y-%m-%d %H:%M:%S}"


class RevocationListCopy(models.Model):
    """The CRL that was last fetched from an address, for every web process and worker."""

    url = models.URLField(max_length=500, unique=True)
    der = models.BinaryField()
    this_update = models.DateTimeField()
    next_update = models.DateTimeField(null=True)
    fetched_at = models.DateTimeField()

    class Meta:
        verbose_name = _("证书吊销列表")
        verbose_name_plural = _("证书吊销列表")

    def __str__(self) -> str:
        return self.url


class BoundCard(models.Model):
    """我的IC卡 (CARD-03): the card of an account, as its own certificate names it. One card, one account (CARD-04)."""

    enterprise = models.ForeignKey(Enterprise, verbose_name=_("企业"), on_delete=models.PROTECT, related_name="+")
    user = models.OneToOneField(User, verbose_name=_("用户"), on_delete=models.CASCADE, related_name="bound_card")
    card_no = models.CharField(_("介质号码"), max_length=13, unique=True, validators=[identifiers.validate_ic_card_no])
    #: The certificate that was last seen to be this card's: a renewed one takes its place when it is first used.
    certificate_no = models.CharField(_("证书编号"), max_length=64)
    certificate = models.BinaryField(_("证书"))
    key_name = models.CharField(_("密钥类型"), max_length=20)
    holder_name = models.CharField(_("操作员姓名"), max_length=100)
    holder_id_no = EncryptedTextField(_("证件号码"), blank=True)
    enterprise_name = models.CharField(_("企业中文名称"), max_length=200)
    organisation_code = models.CharField(_("组织机构代码"), max_length=9, blank=True)
    valid_from = models.DateTimeField(_("证书生效时间"))
    valid_to = models.DateTimeField(_("证书到期时间"), db_index=True)
    bound_at = models.DateTimeField(_("绑定时间"))
    #: When the user was told that this certificate ends (CARD-08); empty again for a renewed one.
    end_warned_at = models.DateTimeField(_("到期提醒时间"), null=True, blank=True)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("IC卡")
        verbose_name_plural = _("IC卡")
        base_manager_name = "unscoped"

    def __str__(self) -> str:
        return self.card_no

    @property
    def masked_holder_id_no(self) -> str:
        """210***********1234."""
        return masked(self.holder_id_no)


class RevocationProof(models.Model):
    """A CRL or an OCSP answer that said of a signer's certificate that it was not revoked.

    Evidence names it by its contents: a CRL of megabytes is kept once, not with each of the thousand filings that it speaks of. Nothing
    updates it (a trigger refuses).
    """

    sha256 = models.CharField(max_length=64, primary_key=True)
    method = models.CharField(max_length=10)
    #: Address or file where it was first got.
    source = models.CharField(max_length=500)
    der = models.BinaryField()
    this_update = models.DateTimeField()
    next_update = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("吊销查询结果")
        verbose_name_plural = _("吊销查询结果")

    def __str__(self) -> str:
        return f"{self.method} {self.this_update:%Y-%m-%d %H:%M:%S}"


class EvidenceKind(models.TextChoices):
    """What was signed."""

    FILING = "filing", _("申报")
    AUTHORISATION = "authorisation", _("法人卡授权")


class SignatureEvidence(models.Model):
    """Who signed what with which card, and what it takes to show that again in years (CARD-07). A trigger refuses to update it."""

    enterprise = models.ForeignKey(Enterprise, verbose_name=_("企业"), on_delete=models.PROTECT, related_name="+")
    signer = models.ForeignKey(User, verbose_name=_("签名人"), on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(_("签名类别"), max_length=20, choices=EvidenceKind.choices)
    #: What the text is about, as the application names it to the relay, and how often it had been signed with this signature.
    subject = models.CharField(_("对象"), max_length=100)
    version = models.PositiveIntegerField(_("版本"))
    #: The number that people know it by: 车次确认编号.
    document_no = models.CharField(_("单据编号"), max_length=64, db_index=True)
    #: Exactly what was signed: its UTF-8 bytes.
    text = models.TextField(_("签名原文"))
    signature = models.BinaryField(_("签名值"))
    algorithm = models.CharField(_("签名算法"), max_length=20)
    card_no = models.CharField(_("介质号码"), max_length=13)
    holder_name = models.CharField(_("持卡人"), max_length=100)
    certificate_no = models.CharField(_("证书编号"), max_length=64)
    #: DER, the card's first, the anchor's last.
    chain = ArrayField(models.BinaryField(), verbose_name=_("证书链"))
    #: Empty only where the operator had switched revocation off.
    revocation = models.ForeignKey(RevocationProof, verbose_name=_("吊销查询结果"), null=True, on_delete=models.PROTECT, related_name="+")
    #: When it was verified; the signer's own clock says nothing.
    signed_at = models.DateTimeField(_("签名时间"))

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("签名凭证")
        verbose_name_plural = _("签名凭证")
        base_manager_name = "unscoped"
        constraints = [models.UniqueConstraint(fields=["subject", "version"], name="evidence_once_per_version")]

    def __str__(self) -> str:
        return f"{self.document_no} {self.version}"


class CardAuthorisation(models.Model):
    """法人卡授权 (CARD-06): the legal person opens an application's data to his enterprise, by signing for it with his card."""

    enterprise = models.ForeignKey(Enterprise, verbose_name=_("企业"), on_delete=models.PROTECT, related_name="+")
    application = models.CharField(_("应用"), max_length=30, choices=ApplicationKey.choices)
    evidence = models.OneToOneField(SignatureEvidence, verbose_name=_("签名凭证"), on_delete=models.PROTECT, related_name="+")
    authorised_by = models.ForeignKey(User, verbose_name=_("办理人"), on_delete=models.PROTECT, related_name="+")
    authorised_at = models.DateTimeField(_("授权时间"))
    ended_at = models.DateTimeField(_("终止时间"), null=True, blank=True)

    objects: ClassVar[Any] = TenantManager.from_queryset(TenantQuerySet)()
    unscoped: ClassVar[Any] = models.Manager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("法人卡授权")
        verbose_name_plural = _("法人卡授权")
        base_manager_name = "unscoped"
        constraints = [
            models.UniqueConstraint(
                fields=["enterprise", "application"], condition=models.Q(ended_at__isnull=True), name="authorisation_one_in_force"
            )
        ]

    def __str__(self) -> str:
        return f"{self.enterprise_id} {self.application}"
