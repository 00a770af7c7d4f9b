"""The code tables that come with the product, enough for a first run: typed from `domain.md` §8, countries from ISO 3166.

A table that the official files bring, too, has the same key and the same codes here, so that they can take its place.
"""

import csv
import gettext
from pathlib import Path

import pycountry

from reference.official import FILES
from reference.readers import CodeRow, TableData

DATA_DIR = Path(__file__).resolve().parent / "data"
#: Key → columns of its file that go into `Code.extra`; people look codes up by their texts as well.
TABLES: dict[str, tuple[str, ...]] = {
    "customs": (),
    "transport_mode": (),
    "transaction_mode": (),
    "currency": ("alpha_3",),
}
#: Names that the trade uses and ISO 3166 does not.
COUNTRY_NAMES = {"HKG": "中国香港", "MAC": "中国澳门", "TWN": "中国台湾"}
_NAMES = {spec.key: spec.name for spec in FILES}


def shipped_tables() -> list[TableData]:
    """All shipped tables."""
    return [*(_from_file(key, columns) for key, columns in TABLES.items()), _countries()]


def _from_file(key: str, extra_columns: tuple[str, ...]) -> TableData:
    path = DATA_DIR / f"{key}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            CodeRow(
                code=row["code"],
                name=row["name"],
                aliases=tuple(row[column] for column in extra_columns),
                extra=tuple((column, row[column]) for column in extra_columns),
            )
            for row in csv.DictReader(file)
        ]
    return TableData(key, _NAMES[key], f"reference/data/{path.name}", rows)


def _countries() -> TableData:
    """Countries by their three-letter code, as declarations have them since 2018."""
    chinese = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=["zh_CN"]).gettext
    rows = []
    for country in pycountry.countries:
        english = getattr(country, "common_name", country.name)
        rows.append(
            CodeRow(
                code=country.alpha_3,
                name=COUNTRY_NAMES.get(country.alpha_3) or chinese(english),
                aliases=(country.alpha_2, english),
                extra=(("alpha_2", country.alpha_2), ("numeric", country.numeric), ("name_en", english)),
            )
        )
    return TableData("country", _NAMES["country"], "ISO 3166-1 (pycountry)", rows)
