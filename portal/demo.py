"""Demo data: the accounts that `make run` prints, and filings that fill the query page.

Filings are made by the same services that users call; those declared go through the relay to the customs simulator, whose
script for a vehicle goes by its plate (`docs/protocol/README.md`), so every state shows up with real receipts.
"""

import random
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from stdnum import iso6346

from accounts.models import Enterprise, User
from accounts.rights import Role
from smartgate import services
from smartgate.models import BillType, BindKeyType, BusinessType, Filing, ImportExport, ObjectType, TransportMode, VehicleFlowType


@dataclass(frozen=True)
class DemoEnterprise:
    """An enterprise of the demo; the credit code has a right check character and belongs to nobody."""

    name: str
    credit_code: str
    customs_registration_no: str
    office_address: str


FORWARDER = DemoEnterprise("大连示范国际货运代理有限公司", "912102002026000129", "2102980001", "大连市中山区人民路 1 号")
HAULIER = DemoEnterprise("营口示范物流有限公司", "912102002026000204", "2108980002", "营口市鲅鱼圈区新港大路 2 号")


@dataclass(frozen=True)
class DemoUser:
    """An account of the demo."""

    username: str
    full_name: str
    role: Role
    enterprise: DemoEnterprise | None = None
    unloading_code: str = ""
    is_staff: bool = False


USERS = (
    DemoUser("demo_admin", "王管理", Role.ENTERPRISE_ADMINISTRATOR, FORWARDER),
    DemoUser("demo_operator", "李操作", Role.OPERATOR, FORWARDER),
    DemoUser("other_operator", "赵操作", Role.OPERATOR, HAULIER),
    DemoUser("demo_terminal", "孙场站", Role.TERMINAL, unloading_code="DYW01"),
    DemoUser("demo_customs", "周关员", Role.CUSTOMS),
    DemoUser("demo_ccpit", "吴贸促", Role.CCPIT),
    DemoUser("demo_staff", "郑平台", Role.PLATFORM_STAFF, is_staff=True),
)

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
                "office_address": demo.office_address,
            },
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
                is_staff=user.is_staff,
                is_superuser=user.is_staff,
            )


def make_filings(*, seed: int, count: int) -> int:
    """Make `count` filings unless there are some already; how many were made.

    The same seed makes the same filings. One in five stays a draft; the other enterprise gets one in six.
    """
    operator = User.objects.select_related("enterprise").get(username="demo_operator")
    other = User.objects.select_related("enterprise").get(username="other_operator")
    if Filing.unscoped.filter(created_by__in=[operator, other]).exists():
        return 0
    chance = random.Random(seed)  # noqa: S311 - demo data, repeatable on purpose
    plates = _plates(chance, count)
    now = timezone.now()
    with transaction.atomic():
        for number, plate in enumerate(plates):
            actor = other if number % 6 == 5 else operator
            is_scripted = number < sum(many for _token, many in SCRIPTED_PLATES)
            header, lines = make_contents(chance, plate)
            age = timedelta(minutes=chance.randrange(10, 60 * 24 * 12) if number % 3 else chance.randrange(5, 300))
            filing = services.save_filing(actor=actor, header=header, lines=lines, at=now - age)
            if is_scripted or chance.random() > 0.25:
                services.declare_filing(actor=actor, filing_id=filing.pk)
    return len(plates)


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
        container_weight=Decimal(chance.choice([0, 0, 2_200, 3_900])),
        remark=chance.choice(REMARKS),
    )
    voyage = f"{chance.randrange(1, 300):04d}{chance.choice('EWNS')}"
    vessel = chance.choice(VESSELS) if mode == TransportMode.WATER else ""
    return header, [_line(chance, business, flag, vessel, voyage) for _number in range(chance.randint(1, 3))]


def _line(chance: random.Random, business: BusinessType, flag: ImportExport, vessel: str, voyage: str) -> services.LineEntry:
    common: dict[str, Any] = {"direction": flag, "vessel_name": vessel, "voyage_no": voyage, "business_type": business}
    if business == BusinessType.EMPTY_CONTAINER:
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
        pickup_weight=Decimal(chance.randrange(18_000, 34_000, 10)),
    )


def _container_no(chance: random.Random) -> str:
    body = f"{chance.choice(OWNER_CODES)}{chance.randrange(10**6):06d}"
    return body + iso6346.calc_check_digit(body)
