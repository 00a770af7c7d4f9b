"""A filing as `saving` and `relay` enter it: bulk cargo at 大窑湾 by bill of lading."""

from collections.abc import Iterator
from decimal import Decimal

from accounts.models import User
from smartgate import services
from smartgate.models import Filing

HEADER = {
    "customs_code": "0908",
    "bind_key_type": "VN",
    "business_type": "1000000000",
    "transport_mode": "2",
    "ie_flag": "I",
    "vehicle_flow_type": "02",
    "vehicle_weight": Decimal("8600"),
    "trailer_weight": Decimal("6200.5"),
    "container_weight": Decimal("0"),
    "remark": "散装大豆，后八轮自卸",
}


def header(plate: str) -> services.FilingHeader:
    """A header that breaks no rule."""
    return services.FilingHeader(**HEADER, bind_key_info=plate)  # type: ignore[arg-type]


def line(number: int) -> services.LineEntry:
    """The `number`-th body line."""
    return services.LineEntry(
        direction="I",
        object_type="B",
        object_id=f"COSU{number:09d}",
        vessel_name="新海天",
        voyage_no="0126W",
        business_type="1000000000",
        bill_type="1",
        pickup_weight=Decimal(31_500 + number),
    )


def plates() -> Iterator[str]:
    """Plates of a province that the data set has no vehicle of; none chooses a behaviour of the customs simulator."""
    for number in range(240_000):
        yield f"吉A{'ABCDEFGHJKLMNPQRSTUVWXYZ'[number // 10_000]}{number % 10_000:04d}"


def saved(actor: User, plate: str, lines: int = 1) -> Filing:
    """暂存 by the service."""
    return services.save_filing(actor=actor, header=header(plate), lines=[line(number) for number in range(lines)])
