"""docs/operations/settings.md lists exactly the variables that are read."""

import re

from devserver.run import ROOT


def test_the_page_lists_what_is_read() -> None:
    settings = (ROOT / "portal" / "settings.py").read_text(encoding="utf-8")
    gunicorn = (ROOT / "devserver" / "gunicorn.py").read_text(encoding="utf-8")
    read = set(re.findall(r'\benv\.\w+\(\s*"(\w+)"', settings)) | set(re.findall(r"""os\.environ\.get\(["'](\w+)["']\)""", gunicorn))
    page = (ROOT / "docs" / "operations" / "settings.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert len(read) > 25
    assert listed == read
