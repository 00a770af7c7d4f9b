"""The npm files that pages use, as they end up among the static files."""

import re
from pathlib import Path

import pytest

from devserver import vendor
from devserver.errors import DevServerError


def test_copying_is_complete_and_the_second_time_does_nothing(tmp_path: Path) -> None:
    assert vendor.copy(tmp_path) == len(vendor.FILES) + len(vendor.FONTS) + len(vendor.icon_names())
    assert vendor.copy(tmp_path) == 0
    copied = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert copied == {*vendor.FILES, *vendor.FONTS, *(f"icons/{name}.svg" for name in vendor.icon_names())}


def test_what_was_changed_or_does_not_belong_is_put_right(tmp_path: Path) -> None:
    vendor.copy(tmp_path)
    (tmp_path / "htmx" / "htmx.min.js").write_text("other")
    (tmp_path / "left-over.js").write_text("")
    assert vendor.copy(tmp_path) == 2
    assert vendor.copy(tmp_path) == 0


def test_no_copied_file_names_a_source_map_or_loads_from_another_host(tmp_path: Path) -> None:
    vendor.copy(tmp_path)
    for name in vendor.FILES:
        content = (tmp_path / name).read_text(encoding="utf-8")
        assert "sourceMappingURL" not in content
        assert not re.search(r"""(?:url\(|@import|importScripts\(|import\()\s*['"]?https?:""", content)


@pytest.mark.parametrize(
    "text", ["a{b:url(fonts/x.woff2)}", "a{b:url('https://example.org/x')}", '@import "other.css";', 'a{b:url( "//h/x" )}']
)
def test_a_style_sheet_that_refers_to_something_else_is_refused(text: str) -> None:
    with pytest.raises(DevServerError, match="which is not copied"):
        vendor.check_stylesheet("x.css", text.encode())


def test_a_style_sheet_complete_in_itself_is_taken() -> None:
    assert vendor.check_stylesheet("x.css", b"a{b:url(data:image/png;base64,AA);c:url(#d)}") is None


def test_the_list_of_icons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "icons.txt"
    assert vendor.icon_names(listing) == []
    listing.write_text("# shell\ntruck  # the menu\n\nhome\n")
    assert vendor.icon_names(listing) == ["truck", "home"]
    listing.write_text("../../secret\n")
    with pytest.raises(DevServerError, match="is not the name of an icon"):
        vendor.icon_names(listing)
    listing.write_text("no-such-icon-anywhere\n")
    monkeypatch.setattr(vendor, "icon_names", lambda: ["no-such-icon-anywhere"])
    with pytest.raises(DevServerError, match="there is no icon 'no-such-icon-anywhere'"):
        vendor.copy(tmp_path / "vendor")


def test_without_the_packages_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vendor.FILES, "tabler/tabler.min.css", tmp_path / "absent.css")
    with pytest.raises(DevServerError, match="make setup"):
        vendor.copy(tmp_path / "vendor")
