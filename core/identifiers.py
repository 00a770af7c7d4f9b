"""Numbers of the trade and their checks (`domain.md` §1).

Each `validate_*` takes the value as stored (upper case, no blanks; see `normalised`) and raises ValidationError with a text
that says what is wrong. python-stdnum checks what it knows; only what it lacks is written here.
"""

import re
import unicodedata
from datetime import date

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from stdnum import iso6346
from stdnum.cn import ric, uscc
from stdnum.exceptions import ValidationError as StdnumError

_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
#: No I and no O anywhere after the province (GA 36): they would be read as 1 and 0.
_PLATE_SERIAL = "0-9A-HJ-NP-Z"
_ORDINARY_PLATE = re.compile(rf"^[{_PROVINCES}][A-HJ-NP-Z](?:[{_PLATE_SERIAL}]{{5}}|[{_PLATE_SERIAL}]{{4}}[挂学警港澳])$")
#: New energy, small: D or F stands first of the six, the second may be a letter; large: D or F stands last.
_NEW_ENERGY_PLATE = re.compile(rf"^[{_PROVINCES}][A-HJ-NP-Z](?:[DF][{_PLATE_SERIAL}][0-9]{{4}}|[0-9]{{5}}[DF])$")

#: First two digits of GB/T 2260; 81 to 83 are of residence permits for Hong Kong, Macao and Taiwan.
_PROVINCE_CODES = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]")
_PHONE = re.compile(
    r"(?:(?:(?:\+|00)86-?(?:[1-9][0-9]{1,2}-?)?|0[1-9][0-9]{1,2}-?)?[2-9][0-9]{2,3}-?[0-9]{4}"
    r"|(?:(?:\+|00)?86-?)?1[3-9][0-9](?:-?[0-9]{4}){2}|[48]00-?[0-9]{3}-?[0-9]{4}|(?:9[56]|12)[0-9]{3,4})"
    r"(?:(?:-|转|#|\*|X|EXT\.?)[0-9]{1,6})?"
)


def normalised(value: str) -> str:
    """A typed number as it is stored: NFKC (full-width to half-width), upper case, without blanks."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", value)).upper()


def normalised_plate(value: str) -> str:
    """A number plate as it is stored: as other numbers, and without the dot that is painted after the second character."""
    return re.sub(r"[·•.]", "", normalised(value))


def validate_credit_code(value: str) -> None:
    """统一社会信用代码, 18 characters, GB 32100-2015."""
    try:
        uscc.validate(value)
    except StdnumError:
        raise ValidationError(
            _("统一社会信用代码“%(value)s”不正确：应为 18 位且校验码相符。"), params={"value": value}, code="credit_code"
        ) from None
    if value != uscc.compact(value):
        raise ValidationError(_("统一社会信用代码“%(value)s”不正确：不能含空格或小写字母。"), params={"value": value}, code="credit_code")


def organisation_code_of(credit_code: str) -> str:
    """组织机构代码: characters 9 to 17 of a credit code."""
    return credit_code[8:17]


def organisation_check_character(body: str) -> str:
    """Check character for the first eight characters of a 组织机构代码 (GB 11714)."""
    total = sum(_ORGANISATION_ALPHABET.index(char) * weight for char, weight in zip(body, _ORGANISATION_WEIGHTS, strict=True))
    remainder = 11 - total % 11
    return {10: "X", 11: "0"}.get(remainder, str(remainder))


def validate_organisation_code(value: str) -> None:
    """组织机构代码, 9 characters with the check character of GB 11714, without the hyphen."""
    if not re.fullmatch(r"[0-9A-Z]{8}[0-9X]", value) or organisation_check_character(value[:8]) != value[8]:
        raise ValidationError(
            _("组织机构代码“%(value)s”不正确：应为 9 位且校验码相符。"), params={"value": value}, code="organisation_code"
        )


def validate_identity_number(value: str, *, today: date | None = None) -> None:
    """身份证号, 18 characters: a province, a real date of birth that is not in the future, check digit of GB 11643.

    The county is not looked up: python-stdnum refuses one that did not exist in the year of birth, but numbers were first given out in
    1984, with the counties of then, to people of every age (a Dalian citizen born in 1980 has 210202, a county since 1983).
    """
    try:
        if not re.fullmatch(r"[0-9]{17}[0-9X]", value) or not _PROVINCE_CODES.match(value) or ric.calc_check_digit(value) != value[17]:
            raise ValueError
        born = date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
        wrong = born > (today or timezone.localdate()) or born.year < 1880
    except ValueError:
        wrong = True
    if wrong:
        raise ValidationError(_("身份证号不正确：应为 18 位，出生日期真实且校验码相符。"), code="identity_number")


def validate_mobile(value: str) -> None:
    """手机号 of the mainland: 11 digits, the second 3 to 9."""
    if not re.fullmatch(r"1[3-9][0-9]{9}", value):
        raise ValidationError(_("手机号不正确：应为 11 位数字，以 13 至 19 开头。"), code="mobile")


def validate_phone(value: str) -> None:
    """办公电话: a landline with or without area code, a mobile, 400 and 800 numbers, service numbers of five digits; extension optional.

    Lenient about blanks, brackets, hyphens and full-width characters: people write telephone numbers in many ways.
    """
    compact = re.sub(r"[\s()]", "", unicodedata.normalize("NFKC", value)).upper()
    compact = re.sub(r"[‐‑–—−]", "-", compact)
    if not _PHONE.fullmatch(compact):
        raise ValidationError(
            _("电话号码“%(value)s”不正确：请填写区号和号码（如 0411-82732333，可带分机号）或手机号。"),
            params={"value": value},
            code="phone",
        )


def validate_inspection_registration_no(value: str) -> None:
    """报检单位注册号, 10 digits (M2 报检资质备案)."""
    if not re.fullmatch(r"[0-9]{10}", value):
        raise ValidationError(
            _("报检注册号“%(value)s”不正确：应为 10 位数字。"),
            params={"value": value},
            code="inspection_registration_no",
        )


def validate_customs_registration_no(value: str) -> None:
    """海关注册编码, 10 characters: district 4, zone 1, type 1, serial 4. Letters occur (330261A004)."""
    if not re.fullmatch(r"[0-9]{4}[0-9A-Z]{6}", value):
        raise ValidationError(
            _("海关注册编码“%(value)s”不正确：应为 10 位数字或大写字母，前 4 位为数字。"),
            params={"value": value},
            code="customs_registration_no",
        )


def validate_entry_no(value: str) -> None:
    """报关单号, 18 digits: customs 4, year 4, flag (1 import, 0 export), serial 9."""
    if not re.fullmatch(r"[0-9]{4}(?:19|20)[0-9]{2}[01][0-9]{9}", value):
        raise ValidationError(
            _("报关单号“%(value)s”不正确：应为 18 位数字（关区 4 位、年份 4 位、进出口标志 1 位、流水号 9 位）。"),
            params={"value": value},
            code="entry_no",
        )


def validate_container_no(value: str) -> None:
    """集装箱号, 11 characters, ISO 6346 with category U, J or Z and check digit."""
    try:
        iso6346.validate(value)
        wrong = not re.fullmatch(r"[A-Z]{3}[UJZ][0-9]{7}", value)
    except StdnumError:
        wrong = True
    if wrong:
        raise ValidationError(
            _("集装箱号“%(value)s”不正确：应为 4 位字母加 7 位数字，且末位校验码相符。"), params={"value": value}, code="container_no"
        )


def validate_plate(value: str) -> None:
    """车牌号: 7 characters, or 8 for new energy; 挂 学 警 港 澳 endings; no I or O after the province."""
    if not (_ORDINARY_PLATE.match(value) or _NEW_ENERGY_PLATE.match(value)):
        raise ValidationError(
            _("车牌号“%(value)s”不正确：应为省份简称加字母和 5 位（新能源 6 位）字母或数字，不含字母 I、O。"),
            params={"value": value},
            code="plate",
        )


def is_trailer_plate(value: str) -> bool:
    """Whether a plate says that it is a trailer's."""
    return value.endswith("挂")


def validate_verified_plate(value: str) -> None:
    """车牌号 that somebody has looked at and vouches for: 4 to 20 Chinese characters, letters or digits (foreign, cross-border and old ones
    have forms of their own, which nobody publishes together)."""
    if not re.fullmatch(r"[0-9A-Z\u4e00-\u9fff]{4,20}", value):
        raise ValidationError(
            _("车牌号“%(value)s”不正确：已核实的号牌也应为 4 至 20 位汉字、字母或数字。"), params={"value": value}, code="plate"
        )


def validate_ic_card_no(value: str) -> None:
    """IC 卡号, 13 letters or digits."""
    if not re.fullmatch(r"[0-9A-Z]{13}", value):
        raise ValidationError(_("IC 卡号“%(value)s”不正确：应为 13 位数字或大写字母。"), params={"value": value}, code="ic_card_no")


def validate_ccpit_code(value: str) -> None:
    """贸促会编码, 6 letters or digits [M5]."""
    if not re.fullmatch(r"[0-9A-Z]{6}", value):
        raise ValidationError(_("贸促会编码“%(value)s”不正确：应为 6 位数字或大写字母。"), params={"value": value}, code="ccpit_code")


def validate_ccpit_enterprise_code(value: str) -> None:
    """企业编码 of the CCPIT, 9 letters or digits [M5]."""
    if not re.fullmatch(r"[0-9A-Z]{9}", value):
        raise ValidationError(
            _("企业编码“%(value)s”不正确：应为 9 位数字或大写字母。"), params={"value": value}, code="ccpit_enterprise_code"
        )
