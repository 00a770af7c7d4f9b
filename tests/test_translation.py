"""All text that users read is wrapped for translation: in templates, and in the code of every room."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHINESE = re.compile(r"[\u4e00-\u9fff]")
WRAPPED = re.compile(
    r"""\{%\s*translate\s+(?:"[^"]*"|'[^']*').*?%\}|\{%\s*blocktranslate.*?%\}.*?\{%\s*endblocktranslate\s*%\}|\{#.*?#\}|\{%\s*comment.*?endcomment\s*%\}""",
    re.DOTALL,
)
MARKERS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
ROOMS = ("core", "reference", "notifications", "accounts", "relay", "smartgate", "portal")
#: Chinese that is data and not text of the portal's own.
DATA = {
    "core/identifiers.py",  # the provinces and endings of number plates
    "core/pinyin.py",
    "core/audit.py",  # who acts when nobody does: stored, not shown in another language
    "accounts/services/authorisation_text.py",  # what the legal person's card signs
    "portal/demo.py",
    "reference/official.py",  # names of the official tables, stored with them
    "reference/shipped.py",
    "smartgate/importing/columns.py",  # names of the import's sheets, and its example: what the file holds, the same in every language
    "smartgate/signing.py",  # what cards sign: part of the protocol, the same in every language
}

templates = sorted(path.relative_to(ROOT) for path in (ROOT / "templates").rglob("*.html"))
modules = sorted(
    path.relative_to(ROOT)
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if "migrations" not in path.parts and str(path.relative_to(ROOT)) not in DATA
)


@pytest.mark.parametrize("path", templates, ids=str)
def test_templates(path):
    rest = WRAPPED.sub("", (ROOT / path).read_text(encoding="utf-8"))
    assert [line.strip() for line in rest.splitlines() if CHINESE.search(line)] == []


def bare_texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every Chinese string that is neither a docstring nor an argument of a marker."""
    allowed: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            allowed |= {id(constant) for constant in ast.walk(body[0])}
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            allowed.add(id(node.value))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in MARKERS:
            allowed |= {id(part) for argument in node.args for part in ast.walk(argument)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CHINESE.search(node.value) and id(node) not in allowed:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", modules, ids=str)
def test_code(path):
    assert list(bare_texts(ast.parse((ROOT / path).read_text(encoding="utf-8")))) == []


def test_the_detector_finds_what_is_not_wrapped():
    source = '"""说明"""\nA = "裸文本"\nB = _("已包装")\ndef f():\n    """说明"""\n    return gettext("好") + f"第{A}行"\n'
    assert list(bare_texts(ast.parse(source))) == [(2, "裸文本"), (6, "第"), (6, "行")]
    assert CHINESE.search(WRAPPED.sub("", '{% translate "好" %}<p>裸</p>'))
    assert not CHINESE.search(WRAPPED.sub("", "{% translate '好' as x %}{# 注 #}"))
