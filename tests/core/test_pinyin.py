"""Initials as people in the trade would type them."""

import pytest

from core.pinyin import initials


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("连大窑湾", "ldyw"),
        ("空进重出", "kjzc"),
        ("重进空出", "zjkc"),
        ("辽宁朝阳", "lncy"),
        ("铁保（B型）", "tbbx"),
        ("报关+查验分流", "bgcyfl"),
        ("IC卡", "ick"),
        ("", ""),
    ],
)
def test_initials(text, expected):
    assert initials(text) == expected
