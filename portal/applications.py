"""The portal's applications: what the home page offers, whom an announcement can be for, which right opens each (PRT-01)."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.rights import ApplicationKey, Right


class Edition(TextChoices):
    """The two tabs of 业务办理 (M1 §1.3, M4 §2)."""

    STANDARD = "standard", _("标准版应用")
    LOCAL = "local", _("地方特色应用")


@dataclass(frozen=True, slots=True)
class Application:
    """One tile of the home page.

    `service` is the heading it stands under (口岸物流), `right` what opens it: None while the application is not there yet.
    """

    key: ApplicationKey
    edition: Edition
    service: str | Promise
    icon: str
    summary: str | Promise
    right: Right | None = None

    @property
    def label(self) -> str | Promise:
        """What it is called."""
        return self.key.label


SMARTGATE = Application(
    ApplicationKey.SMARTGATE,
    Edition.STANDARD,
    _("口岸物流"),
    "truck",
    _("车辆进入海关监管场所前，录入并申报车牌号、电子车牌、IC卡或条形码等绑定介质信息。"),
    Right.SMARTGATE_VIEW,
)
APPLICATIONS: Sequence[Application] = (
    SMARTGATE,
    Application(
        ApplicationKey.ORIGIN_CERT,
        Edition.STANDARD,
        _("原产地证"),
        "certificate",
        _("向中国贸促会申报一般原产地证书和优惠原产地证书，查询审核结果，自主打印。"),
    ),
    Application(
        ApplicationKey.INSPECTION,
        Edition.LOCAL,
        _("口岸服务"),
        "clipboard-check",
        _("查询和接收本企业的海关查验指令、调箱反馈等信息。"),
    ),
    Application(
        ApplicationKey.HSCODE_LIBRARY,
        Edition.LOCAL,
        _("货物申报"),
        "books",
        _("维护本企业进出口商品的规范申报要素，申报时直接引用。"),
    ),
)
BY_KEY = {application.key.value: application for application in APPLICATIONS}
