"""Who has an account at the standard edition: enterprises, each with its administrator's account and those of its operators."""

from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

PASSWORD = "Demo12345"


@dataclass(frozen=True, slots=True)
class Enterprise:
    """An enterprise as the standard edition knows it; the credit codes have right check characters and belong to nobody."""

    name: str
    credit_code: str
    legal_person_name: str


@dataclass(frozen=True, slots=True)
class Account:
    """One login; `role` is administrator (企业管理员) or operator (操作员)."""

    username: str
    name: str
    role: str
    phone_number: str
    enterprise: Enterprise
    phone_number_verified: bool = True

    @property
    def sub(self) -> str:
        """The account's id for clients: never changes, says nothing."""
        return uuid5(NAMESPACE_URL, f"standard-edition:{self.username}").hex

    def claims(self, scopes: frozenset[str]) -> dict[str, Any]:
        """What userinfo says to a client that was given these scopes."""
        said: dict[str, Any] = {"sub": self.sub}
        if "profile" in scopes:
            said |= {"name": self.name, "preferred_username": self.username}
        if "phone" in scopes:
            said |= {"phone_number": self.phone_number, "phone_number_verified": self.phone_number_verified}
        if "email" in scopes:
            said |= {"email": f"{self.username}@example.com", "email_verified": True}
        if "enterprise" in scopes:
            said |= {
                "enterprise_name": self.enterprise.name,
                "credit_code": self.enterprise.credit_code,
                "legal_person_name": self.enterprise.legal_person_name,
                "role": self.role,
            }
        return said


_DALIAN = Enterprise("大连示范国际货运代理有限公司", "912102002026000129", "王示范")
_YINGKOU = Enterprise("营口示范物流有限公司", "912102002026000204", "赵示范")
_SHENYANG = Enterprise("沈阳示范装备进出口有限公司", "912102002026000391", "冯示范")
_JINZHOU = Enterprise("锦州示范粮食贸易有限公司", "91210200202600047U", "陈示范")
_DANDONG = Enterprise("丹东示范国际物流有限公司", "91210200202600055N", "褚示范")

#: The first two enterprises are registered at the portal's demo as well: their accounts can bind a local one.
ACCOUNTS = (
    Account("dl_admin", "王管理", "administrator", "13904120001", _DALIAN),
    Account("dl_operator", "李操作", "operator", "13904120002", _DALIAN),
    Account("yk_admin", "钱管理", "administrator", "13904120003", _YINGKOU),
    Account("yk_operator", "赵操作", "operator", "13904120004", _YINGKOU),
    Account("sy_admin", "冯管理", "administrator", "13904120005", _SHENYANG),
    Account("sy_operator", "卫操作", "operator", "13904120006", _SHENYANG),
    Account("jz_admin", "陈管理", "administrator", "13904120007", _JINZHOU),
    Account("jz_operator", "蒋操作", "operator", "13904120008", _JINZHOU),
    Account("dd_admin", "褚管理", "administrator", "13904120009", _DANDONG),
    Account("dd_operator", "沈操作", "operator", "13904120010", _DANDONG, phone_number_verified=False),
)
