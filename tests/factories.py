"""Valid numbers of the trade, made for tests by rules of their own (not by the code under test)."""

CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
IDENTITY_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def organisation_code(number: int) -> str:
    """A 组织机构代码 with the right check character (GB 11714)."""
    body = f"{number:08d}"
    remainder = 11 - sum(int(char) * weight for char, weight in zip(body, ORGANISATION_WEIGHTS, strict=True)) % 11
    return body + {10: "X", 11: "0"}.get(remainder, str(remainder))


def credit_code(number: int) -> str:
    """A 统一社会信用代码 of an enterprise in Dalian with the right check character (GB 32100)."""
    body = f"91210200{organisation_code(number)}"
    total = sum(CREDIT_ALPHABET.index(char) * weight for char, weight in zip(body, CREDIT_WEIGHTS, strict=True))
    return body + CREDIT_ALPHABET[(31 - total % 31) % 31]


def identity_number(number: int) -> str:
    """A 身份证号 of somebody of Dalian, born between 1985 and 1999, with the right check digit (GB 11643)."""
    body = f"210202{1985 + number % 15}{number // 15 % 12 + 1:02d}{number // 180 % 28 + 1:02d}{number % 1000:03d}"
    total = sum(int(char) * weight for char, weight in zip(body, IDENTITY_WEIGHTS, strict=True))
    return body + "10X98765432"[total % 11]
