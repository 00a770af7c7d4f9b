"""Numbers of the trade: known good ones pass, each way of being wrong is refused with a text that says which number it is."""

from datetime import date

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from core import identifiers
from tests.factories import CREDIT_ALPHABET, credit_code, organisation_code

GOOD = [
    (identifiers.validate_credit_code, "91350100M000100Y43"),
    (identifiers.validate_credit_code, "91110000600037341L"),
    (identifiers.validate_organisation_code, "600037341"),
    (identifiers.validate_organisation_code, "M000100Y4"),
    (identifiers.validate_identity_number, "11010519491231002X"),
    (identifiers.validate_identity_number, "210202198001010016"),  # older than the county its number names
    (identifiers.validate_phone, "0411-82732333"),
    (identifiers.validate_phone, "（0411）8273 2333 转 801"),
    (identifiers.validate_phone, "82732333"),
    (identifiers.validate_phone, "400-668-5666"),
    (identifiers.validate_phone, "+86 411 82732333"),
    (identifiers.validate_phone, "13904110001"),
    (identifiers.validate_phone, "95198"),
    (identifiers.validate_customs_registration_no, "2102910001"),
    (identifiers.validate_customs_registration_no, "330261A004"),
    (identifiers.validate_entry_no, "090820261000000001"),
    (identifiers.validate_entry_no, "090820260123456789"),
    (identifiers.validate_container_no, "CSQU3054383"),
    (identifiers.validate_plate, "辽B12345"),
    (identifiers.validate_plate, "辽BREJ01"),
    (identifiers.validate_plate, "辽B1234挂"),
    (identifiers.validate_plate, "辽B1234学"),
    (identifiers.validate_plate, "辽B1234警"),
    (identifiers.validate_plate, "粤Z1234港"),
    (identifiers.validate_plate, "粤Z1234澳"),
    (identifiers.validate_plate, "辽BD12345"),
    (identifiers.validate_plate, "辽BFA2345"),
    (identifiers.validate_plate, "辽B12345D"),
    (identifiers.validate_plate, "辽B12345F"),
    (identifiers.validate_ic_card_no, "2100012345678"),
    (identifiers.validate_ccpit_code, "210200"),
    (identifiers.validate_ccpit_enterprise_code, "600037341"),
]
BAD = [
    (identifiers.validate_credit_code, "91350100M000100Y44"),  # check character
    (identifiers.validate_credit_code, "91350100M000100Y4"),  # too short
    (identifiers.validate_credit_code, "91350100I000100Y43"),  # a letter the alphabet lacks
    (identifiers.validate_credit_code, "91350100m000100y43"),  # lower case
    (identifiers.validate_organisation_code, "600037342"),
    (identifiers.validate_organisation_code, "60003734-1"),
    (identifiers.validate_identity_number, "990105194912310027"),  # no province
    (identifiers.validate_phone, "1234"),
    (identifiers.validate_phone, "0411-827"),
    (identifiers.validate_phone, "没有"),
    (identifiers.validate_phone, "0411-82732333-1234567"),
    (identifiers.validate_identity_number, "110105194912310021"),  # check digit
    (identifiers.validate_identity_number, "11010519490231002X"),  # 31 February
    (identifiers.validate_identity_number, "11010529491231002X"),  # not born yet
    (identifiers.validate_identity_number, "110105491231002"),  # the old 15 digits
    (identifiers.validate_customs_registration_no, "210291000"),
    (identifiers.validate_customs_registration_no, "A102910001"),
    (identifiers.validate_entry_no, "090820262000000001"),  # flag 2
    (identifiers.validate_entry_no, "09082026100000000"),
    (identifiers.validate_entry_no, "090830261000000001"),  # year 3026
    (identifiers.validate_container_no, "ZIMU1234567"),  # check digit
    (identifiers.validate_container_no, "CSQX3054383"),  # category
    (identifiers.validate_container_no, "CSQU305438"),
    (identifiers.validate_plate, "辽B1234"),
    (identifiers.validate_plate, "辽BI2345"),
    (identifiers.validate_plate, "辽BO2345"),
    (identifiers.validate_plate, "辽I12345"),
    (identifiers.validate_plate, "B12345辽"),
    (identifiers.validate_plate, "大B12345"),
    (identifiers.validate_plate, "辽BE12345"),  # neither D nor F
    (identifiers.validate_plate, "辽B12345E"),
    (identifiers.validate_plate, "辽B12345挂"),
    (identifiers.validate_ic_card_no, "210001234567"),
    (identifiers.validate_ic_card_no, "21000123456-8"),
    (identifiers.validate_ccpit_code, "21020"),
    (identifiers.validate_ccpit_enterprise_code, "60003734"),
]


@pytest.mark.parametrize(("validate", "value"), GOOD)
def test_good_numbers_pass(validate, value):
    assert validate(value) is None


@pytest.mark.parametrize(("validate", "value"), BAD)
def test_bad_numbers_are_refused_in_chinese(validate, value):
    with pytest.raises(ValidationError) as error:
        validate(value)
    assert "不正确" in error.value.messages[0]


@given(st.integers(0, 99_999_999))
def test_every_made_credit_code_holds_its_organisation_code(number):
    code = credit_code(number)
    identifiers.validate_credit_code(code)
    assert identifiers.organisation_code_of(code) == organisation_code(number)
    identifiers.validate_organisation_code(identifiers.organisation_code_of(code))


@given(st.integers(0, 99_999_999), st.integers(0, 17), st.sampled_from(CREDIT_ALPHABET))
def test_one_wrong_character_is_always_found(number, position, char):
    code = credit_code(number)
    wrong = code[:position] + char + code[position + 1 :]
    if wrong != code:
        with pytest.raises(ValidationError):
            identifiers.validate_credit_code(wrong)


def test_an_identity_number_may_be_of_today_but_not_of_tomorrow():
    number = "11010519491231002X"
    assert identifiers.validate_identity_number(number, today=date(1949, 12, 31)) is None
    with pytest.raises(ValidationError):
        identifiers.validate_identity_number(number, today=date(1949, 12, 30))


@pytest.mark.parametrize(("typed", "stored"), [(" csqu 3054383", "CSQU3054383"), ("ＣＯＳＵ１２３", "COSU123"), ("cosu1.2/3", "COSU1.2/3")])
def test_normalised(typed, stored):
    assert identifiers.normalised(typed) == stored


@pytest.mark.parametrize("typed", ["辽b·12345", "辽B•12345", "辽B.12345", "辽Ｂ１２３４５", " 辽B 12345"])
def test_normalised_plate(typed):
    assert identifiers.normalised_plate(typed) == "辽B12345"
