"""Demo data: the accounts that `make run` prints, filings that fill the query page, what stands on the home page.

Filings are made by the same services that users call, and declared by whoever has a card: the caller signs (`Signer`), this module knows
no card. Those declared go through the relay to the customs simulator, whose script for a vehicle goes by its plate
(`docs/protocol/README.md`), so every state shows up with real receipts.
"""

import random
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone
from stdnum import iso6346

from accounts.models import CardPurpose, Enterprise, EnterpriseType, Qualification, Service, User
from accounts.rights import ApplicationKey, Role
from accounts.services import bound_cards, card_challenges
from accounts.services.card_signing import CardRefused, Presented
from portal.models import EVERYBODY, Attachment, Contact, ContentItem, Kind
from smartgate import services
from smartgate.base_data import services as base_data
from smartgate.base_data.models import KnownBill, UsualVehicle
from smartgate.models import (
    BillType,
    BindKeyType,
    BusinessType,
    Filing,
    FilingLine,
    ImportExport,
    ObjectType,
    TransportMode,
    VehicleFlowType,
)


@dataclass(frozen=True)
class DemoEnterprise:
    """An enterprise of the demo; the credit code has a right check character and belongs to nobody."""

    name: str
    credit_code: str
    customs_registration_no: str
    inspection_registration_no: str
    enterprise_types: tuple[EnterpriseType, ...]
    legal_person_name: str
    legal_person_id_no: str
    office_phone: str
    office_address: str


FORWARDER = DemoEnterprise(
    "大连示范国际货运代理有限公司",
    "912102002026000129",
    "2102980001",
    "2100000001",
    (EnterpriseType.SEA_FORWARDER, EnterpriseType.CUSTOMS_BROKER),
    "钱法人",
    "210202198708011071",
    "0411-82730001",
    "大连市中山区人民路 1 号",
)
HAULIER = DemoEnterprise(
    "营口示范物流有限公司",
    "912102002026000204",
    "2108980002",
    "2100000002",
    (EnterpriseType.ROAD_HAULIER, EnterpriseType.WAREHOUSE),
    "冯法人",
    "210202198808011087",
    "0417-6270002",
    "营口市鲅鱼圈区新港大路 2 号",
)


@dataclass(frozen=True)
class DemoUser:
    """An account of the demo."""

    username: str
    full_name: str
    role: Role
    #: Answered by the SMS simulator.
    mobile: str
    enterprise: DemoEnterprise | None = None
    id_no: str = ""
    unloading_code: str = ""
    is_staff: bool = False


USERS = (
    DemoUser("demo_admin", "王管理", Role.ENTERPRISE_ADMINISTRATOR, "13904110001", FORWARDER, "210202199607011018"),
    DemoUser("demo_operator", "李操作", Role.OPERATOR, "13904110002", FORWARDER, "210202199707011023"),
    DemoUser("other_operator", "赵操作", Role.OPERATOR, "13904110003", HAULIER, "210202199807011039"),
    DemoUser("demo_terminal", "孙场站", Role.TERMINAL, "13904110004", unloading_code="DYW01"),
    DemoUser("demo_customs", "周关员", Role.CUSTOMS, "13904110005"),
    DemoUser("demo_ccpit", "吴贸促", Role.CCPIT, "13904110006"),
    DemoUser("demo_staff", "郑平台", Role.PLATFORM_STAFF, "13904110007", is_staff=True),
)

#: Whose cards are bound from the start; another one is left to whoever tries it.
CARD_HOLDERS = ("demo_operator", "other_operator")


class Signer(Protocol):
    """Signs with the card of a demo account, as the page does through the card bridge."""

    def __call__(self, username: str, text: str) -> Presented:
        """What the card of this user makes of the text."""


#: Who usually drives the vehicles of 常用车辆.
DRIVERS = (("张师傅", "13804110001"), ("刘师傅", "13804110002"), ("陈师傅", "13804110003"), ("杨师傅", "13804110004"))
VESSELS = ("中远海运大连", "新海天", "长荣山海", "中谷辽宁", "泛亚营口", "海丰渤海")
CUSTOMS_CODES = ("0908", "0908", "0908", "0901", "0905", "0940", "0950", "0960")
OWNER_CODES = ("COSU", "CSQU", "EGHU", "SITU", "MSKU")
REMARKS = ("", "", "", "散装大豆，后八轮自卸", "铁矿粉，加盖苫布", "钢材捆扎，注意偏载", "熏蒸后提货")
#: Plates by which the simulator plays something other than plain acceptance, and how many vehicles get each.
SCRIPTED_PLATES = (("REJ", 4), ("RFS", 2), ("LCK", 3), ("UNL", 2), ("CLS", 6), ("MAN", 3), ("DEP", 8))
PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def make_accounts() -> None:
    """The demo's enterprises and users; what is there already stays as it is."""
    enterprises: dict[DemoEnterprise | None, Enterprise | None] = {None: None}
    for demo in (FORWARDER, HAULIER):
        enterprises[demo], _created = Enterprise.objects.get_or_create(
            credit_code=demo.credit_code,
            defaults={
                "name": demo.name,
                "organisation_code": demo.credit_code[8:17],
                "customs_registration_no": demo.customs_registration_no,
                "enterprise_types": demo.enterprise_types,
                "legal_person_name": demo.legal_person_name,
                "legal_person_id_no": demo.legal_person_id_no,
                "office_phone": demo.office_phone,
                "office_address": demo.office_address,
                "services": [Service.GOODS_DECLARATION, Service.GENERAL_QUERY],
                "applications": ApplicationKey.values,
            },
        )
        Qualification.unscoped.get_or_create(
            enterprise=enterprises[demo],
            defaults={"has_foreign_trade_record": True, "inspection_registration_no": demo.inspection_registration_no},
        )
    for user in USERS:
        if not User.objects.filter(username__iexact=user.username).exists():
            User.objects.create_user(
                user.username,
                password=settings.DEMO_PASSWORD,
                full_name=user.full_name,
                role=user.role,
                enterprise=enterprises[user.enterprise],
                unloading_code=user.unloading_code,
                mobile=user.mobile,
                id_no=user.id_no,
                email=f"{user.username}@example.com",
                applications=ApplicationKey.values if user.role == Role.OPERATOR else [],
                first_login_verified_at=timezone.now(),
                is_staff=user.is_staff,
                is_superuser=user.is_staff,
            )


def bind_cards(sign: Signer) -> None:
    """Bind their cards to CARD_HOLDERS who have none. Who bound one of them elsewhere meanwhile keeps it."""
    for user in User.objects.select_related("enterprise").filter(username__in=CARD_HOLDERS, bound_card=None):
        challenge = card_challenges.issue(purpose=CardPurpose.BIND, bound_to=user.username)
        presented = sign(user.username, challenge)
        try:
            proof = bound_cards.prove(actor=user, challenge=challenge, bound_to=user.username, presented=presented)
            bound_cards.bind(actor=user, proof=proof)
        except CardRefused as refused:
            if refused.code != "bound_elsewhere":
                raise


def make_filings(*, seed: int, count: int, sign: Signer | None = None) -> int:
    """Make `count` filings unless there are some already; how many were made.

    The same seed makes the same filings. One in five stays a draft; the other enterprise gets one in six. Without `sign` all stay drafts
    where CARD_REQUIRED is on; so do those that a start broken off here had still to declare.
    """
    holders = User.objects.select_related("enterprise", "bound_card")
    operator, other = holders.get(username="demo_operator"), holders.get(username="other_operator")
    if Filing.unscoped.filter(created_by__in=[operator, other]).exists():
        return 0
    chance = random.Random(seed)  # noqa: S311 - demo data, repeatable on purpose
    plates = _plates(chance, count)
    now = timezone.now()
    to_declare: list[tuple[User, int]] = []
    with transaction.atomic():
        for number, plate in enumerate(plates):
            actor = other if number % 6 == 5 else operator
            is_scripted = number < sum(many for _token, many in SCRIPTED_PLATES)
            header, lines = make_contents(chance, plate)
            age = timedelta(minutes=chance.randrange(10, 60 * 24 * 12) if number % 3 else chance.randrange(5, 300))
            filing = services.save_filing(actor=actor, header=header, lines=lines, at=now - age)
            if is_scripted or chance.random() > 0.25:
                to_declare.append((actor, filing.pk))
    if sign is not None or not settings.CARD_REQUIRED:
        for actor, pk in to_declare:
            _declare(actor, pk, sign)
    return len(plates)


def make_base_data() -> None:
    """常用车辆 and 常用提单 of both enterprises, taken from their filings, unless there are some already."""
    for username in ("demo_operator", "other_operator"):
        actor = User.objects.select_related("enterprise").get(username=username)
        if UsualVehicle.objects.for_user(actor).exists() or KnownBill.objects.for_user(actor).exists():
            continue
        filings = Filing.objects.for_user(actor).order_by("pk")
        for filing, (name, mobile) in zip(filings[:4], DRIVERS, strict=False):
            entry = base_data.VehicleEntry(
                bind_key_type=filing.bind_key_type,
                bind_key_info=filing.bind_key_info,
                vehicle_flow_type=filing.vehicle_flow_type,
                vehicle_weight=filing.vehicle_weight,
                trailer_weight=filing.trailer_weight,
                driver_name=name,
                driver_mobile=mobile,
            )
            base_data.save_vehicle(actor=actor, entry=entry)
        bills = FilingLine.objects.for_user(actor).filter(object_type=ObjectType.BILL).exclude(object_id="").order_by("pk")
        for line in bills[:4]:
            base_data.save_bill(
                actor=actor,
                entry=base_data.BillEntry(
                    bill_no=line.object_id,
                    total_weight=(line.pickup_weight or Decimal(0)) * 4,
                    vessel_name=line.vessel_name,
                    voyage_no=line.voyage_no,
                ),
            )


def _declare(actor: User, pk: int, sign: Signer | None) -> None:
    presented = None
    if sign is not None:
        presented = sign(actor.username, services.text_to_sign(actor=actor, filing=Filing.unscoped.get(pk=pk)))
    services.declare_filing(actor=actor, filing_id=pk, presented=presented)


def _plates(chance: random.Random, count: int) -> list[str]:
    scripted = [f"辽B{token}{number:02d}" for token, many in SCRIPTED_PLATES for number in range(1, many + 1)]
    ordinary: dict[str, None] = {}
    while len(scripted) + len(ordinary) < count:
        ordinary[f"辽{chance.choice('ABEFGH')}{chance.choice(PLATE_LETTERS)}{chance.randrange(10_000):04d}"] = None
    return [*scripted, *ordinary][:count]


def make_contents(chance: random.Random, plate: str) -> tuple[services.FilingHeader, list[services.LineEntry]]:
    """A filing for this vehicle: bulk cargo by bill of lading, containers, or an empty lorry."""
    mode = chance.choices([TransportMode.WATER, TransportMode.ROAD, TransportMode.AIR], weights=[8, 2, 1])[0]
    flag = chance.choice([ImportExport.IMPORT, ImportExport.IMPORT, ImportExport.EXPORT])
    business = chance.choices(
        [
            BusinessType.DECLARATION,
            BusinessType.TRANSIT,
            BusinessType.DECLARATION_AND_INSPECTION,
            BusinessType.EMPTY_CONTAINER,
            BusinessType.MULTIMODAL,
        ],
        weights=[8, 2, 2, 2, 1],
    )[0]
    voyage = f"{chance.randrange(1, 300):04d}{chance.choice('EWNS')}"
    vessel = chance.choice(VESSELS) if mode == TransportMode.WATER else ""
    count = chance.randint(1, 3)
    trip: dict[str, Any] = {"direction": flag, "vessel_name": vessel, "voyage_no": voyage, "business_type": business}
    lines = [_line(chance, trip, count) for _number in range(count)]
    header = services.FilingHeader(
        customs_code=chance.choice(CUSTOMS_CODES),
        bind_key_type=BindKeyType.PLATE,
        bind_key_info=plate,
        business_type=business,
        transport_mode=mode,
        ie_flag=flag,
        vehicle_flow_type=VehicleFlowType.EMPTY_IN_LADEN_OUT if flag == ImportExport.IMPORT else VehicleFlowType.LADEN_IN_EMPTY_OUT,
        vehicle_weight=Decimal(chance.randrange(7_000, 9_500, 20)),
        trailer_weight=Decimal(chance.randrange(5_500, 7_500, 20)),
        container_weight=Decimal(chance.choice([2_200, 3_900]) if any(line.container_no_1 for line in lines) else 0),
        remark=chance.choice(REMARKS),
    )
    return header, lines


def _line(chance: random.Random, common: dict[str, Any], count: int) -> services.LineEntry:
    """One of the `count` lines of a filing; what they weigh together a lorry can carry."""
    if common["business_type"] == BusinessType.EMPTY_CONTAINER:
        first, second = _container_no(chance), _container_no(chance)
        return services.LineEntry(**common, object_type=ObjectType.CONTAINER, object_id=first, container_no_1=first, container_no_2=second)
    if chance.random() < 0.3:
        number = _container_no(chance)
        seals = "|".join(f"DL{chance.randrange(10**6):06d}" for _number in range(chance.randint(1, 2)))
        return services.LineEntry(**common, object_type=ObjectType.CONTAINER, object_id=number, container_no_1=number, seal_no_1=seals)
    return services.LineEntry(
        **common,
        object_type=ObjectType.BILL,
        object_id=f"{chance.choice(OWNER_CODES)}{chance.randrange(10**9):09d}",
        bill_type=chance.choice(BillType.values),
        pickup_weight=Decimal(chance.randrange(18_000 // count, 30_000 // count, 10)),
    )


def _container_no(chance: random.Random) -> str:
    body = f"{chance.choice(OWNER_CODES)}{chance.randrange(10**6):06d}"
    return body + iso6346.calc_check_digit(body)


@dataclass(frozen=True)
class DemoItem:
    """Something published; `days` ago, for everybody unless said otherwise. `attachment` is the name of a text file."""

    kind: Kind
    days: int
    publisher: str
    title: str
    body: str = ""
    audience: str = EVERYBODY
    target_page: str = ""
    attachment: str = ""


PLATFORM, CENTRE, CUSTOMS = "辽宁国际贸易单一窗口", "中国电子口岸数据中心", "大连海关"
CONTENT = (
    DemoItem(
        Kind.NOTICE,
        2,
        PLATFORM,
        "关于国庆节期间平台服务安排的通知",
        "国庆节期间平台正常运行，服务热线 24 小时值守。\n\n单据可随时录入和申报；人工审核事项顺延至节后第一个工作日办理。",
    ),
    DemoItem(
        Kind.NOTICE,
        9,
        PLATFORM,
        "关于智能卡口散杂货系统上线运行的通知",
        "散杂货车辆进出海关监管场所，自即日起可通过本平台录入并申报车辆绑定信息。\n\n首次使用的企业请先核对海关注册编码。",
        target_page="smartgate:new",
    ),
    DemoItem(
        Kind.NOTICE,
        1,
        CENTRE,
        "智能卡口散杂货系统操作手册（第 2 版）",
        "新版手册补充了空车、集装箱车辆的录入说明。请下载附件查阅。",
        ApplicationKey.SMARTGATE,
        attachment="智能卡口散杂货系统操作手册.txt",
    ),
    DemoItem(
        Kind.NOTICE,
        6,
        CENTRE,
        "关于规范填报车牌号和电子车牌的通知",
        "车牌号请按行驶证填写，汉字、字母与数字之间不加空格。新能源车牌为八位。\n\n填报错误的单据可在“查询”中修改后重新申报。",
        ApplicationKey.SMARTGATE,
        "smartgate:list",
    ),
    DemoItem(
        Kind.NOTICE, 20, CUSTOMS, "关于调整大窑湾口岸卡口开放时间的通知", "卡口开放时间调整为每日 6:00 至 24:00。", ApplicationKey.SMARTGATE
    ),
    DemoItem(Kind.NOTICE, 31, CUSTOMS, "海关总署公告：关于增列海关监管方式代码的公告", "详见海关总署公告原文。"),
    DemoItem(Kind.NEWS, 1, PLATFORM, "大连海关推出多项措施进一步优化口岸营商环境", "措施涵盖通关时效、口岸收费、单证电子化等方面。"),
    DemoItem(Kind.NEWS, 4, PLATFORM, "中国（辽宁）国际贸易单一窗口成功实现原产地证书自助打印", "原产地证书申请人可在本企业自助打印证书。"),
    DemoItem(Kind.NEWS, 12, PLATFORM, "辽宁自贸区大连片区组织口岸部门集中培训", "培训内容包括货物申报、口岸物流和原产地证业务。"),
    DemoItem(Kind.NEWS, 25, PLATFORM, "跨境电子商务综合试验区扩围，零售进口业务稳步增长", "辽宁省内试验区业务量稳步增长。"),
    DemoItem(Kind.POLICY, 15, CUSTOMS, "中华人民共和国海关监管区管理办法", "进出海关监管区的运输工具，应当接受海关监管。"),
    DemoItem(Kind.POLICY, 40, CUSTOMS, "海关总署关于进出境运输车辆管理的有关规定", "适用于承运海关监管货物的境内运输车辆。"),
    DemoItem(Kind.POLICY, 60, CUSTOMS, "关于推进全国海关通关一体化有关事项的公告", "企业可自主选择申报、纳税、验放地点。"),
    DemoItem(
        Kind.DOWNLOAD,
        3,
        PLATFORM,
        "“单一窗口”用户管理手册",
        "用户注册、登录和企业资质备案的操作说明。",
        attachment="单一窗口用户管理手册.txt",
    ),
    DemoItem(Kind.DOWNLOAD, 8, PLATFORM, "智能卡口散杂货录入要点", "表头、表体各栏目的填制要求。", attachment="智能卡口散杂货录入要点.txt"),
    DemoItem(Kind.VIDEO, 10, PLATFORM, "贸促会原产地证书申请—操作培训", "培训视频整理中，文字稿可在“资料下载”栏目查阅。"),
    DemoItem(Kind.VIDEO, 10, PLATFORM, "智能卡口散杂货车辆申报—操作培训", "培训视频整理中，文字稿可在“资料下载”栏目查阅。"),
    DemoItem(
        Kind.FAQ,
        5,
        PLATFORM,
        "单据暂存后还能修改吗？",
        "可以。在“查询”中找到该单据，点击“修改”。申报后不能直接修改，被退单的可以修改后重新申报。",
    ),
    DemoItem(
        Kind.FAQ, 7, PLATFORM, "提示“单据已申报，不能修改”怎么办？", "请先点击“查看回执”确认海关审核结果。仍有疑问的，请拨打服务热线。"
    ),
    DemoItem(Kind.FAQ, 14, PLATFORM, "忘记密码怎么办？", "请联系本企业管理员重置密码；企业管理员忘记密码的，请拨打服务热线。"),
)
#: M1 §5.1, M2.
CONTACTS = (
    ("7x24小时热线", Contact.Way.PHONE, "0411-82732333", True),
    ("服务热线", Contact.Way.PHONE, "95198", True),
    ("客服 QQ 1 群", Contact.Way.TEXT, "492792487", False),
    ("客服 QQ 2 群", Contact.Way.TEXT, "194310489", False),
    ("公众号", Contact.Way.TEXT, "辽宁国际贸易单一窗口", False),
)


def make_content() -> None:
    """What stands on the home page and on an application's own page; only where staff have nothing published yet."""
    if not Contact.objects.exists():
        Contact.objects.bulk_create(
            Contact(label=label, way=way, value=value, is_hotline=is_hotline, position=10 * number)
            for number, (label, way, value, is_hotline) in enumerate(CONTACTS, start=1)
        )
    if ContentItem.objects.exists():
        return
    now = timezone.now()
    for demo in CONTENT:
        item = ContentItem.objects.create(
            kind=demo.kind,
            title=demo.title,
            body=demo.body,
            publisher=demo.publisher,
            published_at=now - timedelta(days=demo.days),
            audience=demo.audience,
            target_page=demo.target_page,
        )
        if demo.attachment:
            text = f"{demo.title}\n\n{demo.body}\n".encode()
            attachment = Attachment(item=item, name=demo.attachment, size=len(text))
            attachment.file.save(demo.attachment, ContentFile(text))
