"""The files that pages and printed documents use from npm packages, copied to where the portal finds them (`vendor/…`)."""

import os
import re
from pathlib import Path

from devserver.errors import DevServerError

ROOT = Path(__file__).resolve().parent.parent
NODE_MODULES = ROOT / "node_modules"
#: Names of the icons that templates use, one a line; `#` begins a remark.
ICON_LIST = ROOT / "static" / "portal" / "icons.txt"
ICONS = NODE_MODULES / "@tabler" / "icons" / "icons" / "outline"
#: Where it goes → where it comes from.
FILES = {
    "tabler/tabler.min.css": NODE_MODULES / "@tabler" / "core" / "dist" / "css" / "tabler.min.css",
    "htmx/htmx.min.js": NODE_MODULES / "htmx.org" / "dist" / "htmx.min.js",
}
#: Fonts that printed documents embed, with the licence that goes with them. Not among the static files: no page loads them.
_NOTO_SANS_SC = NODE_MODULES / "@expo-google-fonts" / "noto-sans-sc"
FONTS = {
    "fonts/NotoSansSC-Regular.ttf": _NOTO_SANS_SC / "400Regular" / "NotoSansSC_400Regular.ttf",
    "fonts/NotoSansSC-LICENSE.txt": _NOTO_SANS_SC / "LICENSE_FONT",
}
#: The maps are not copied; the manifest storage would refuse a reference to a file that is not there.
SOURCE_MAP = re.compile(rb"(?:/\*[#@]\s*sourceMappingURL=[^*]*\*/|^//[#@]\s*sourceMappingURL=.*$)", re.MULTILINE)
CSS_REFERENCE = re.compile(rb"""(?:url\(\s*['"]?|@import\s+['"])([^'")\s]+)""")
ICON_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def icon_names(listing: Path = ICON_LIST) -> list[str]:
    """The icons named in the list; none when there is no list. Raises DevServerError for what is no icon's name."""
    if not listing.exists():
        return []
    names = [line.split("#", 1)[0].strip() for line in listing.read_text(encoding="utf-8").splitlines()]
    names = [name for name in names if name]
    for name in names:
        if not ICON_NAME.fullmatch(name):
            raise DevServerError(f"{listing}: {name!r} is not the name of an icon")
    return names


def check_stylesheet(name: str, content: bytes) -> None:
    """A copied style sheet must be complete in itself: only data: URLs and fragments.

    Raises DevServerError naming the first reference to anything else, be it another host or a file that is not copied.
    """
    for reference in CSS_REFERENCE.findall(content):
        if not reference.startswith((b"data:", b"#")):
            raise DevServerError(
                f"{name} refers to {reference.decode(errors='replace')}, which is not copied. Add it to devserver/vendor.py."
            )


def copy(target: Path) -> int:
    """Make `target` hold exactly the files that are used; gives how many were written or removed (none when all were right).

    Raises DevServerError when a package or an icon is missing.
    """
    wanted: dict[Path, bytes] = {}
    for name, source in FILES.items():
        content = SOURCE_MAP.sub(b"", _read(source))
        if name.endswith(".css"):
            check_stylesheet(name, content)
        wanted[target / name] = content
    for name, source in FONTS.items():
        wanted[target / name] = _read(source)
    for icon in icon_names():
        wanted[target / "icons" / f"{icon}.svg"] = _read(ICONS / f"{icon}.svg")
    changes = 0
    for path, content in wanted.items():
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.write_bytes(content)
            draft.replace(path)
            changes += 1
    for path in target.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
            changes += 1
    return changes


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except FileNotFoundError as error:
        if source.parent == ICONS and ICONS.is_dir():
            raise DevServerError(f"{ICON_LIST}: there is no icon {source.stem!r}") from error
        raise DevServerError(f"{source} is missing. Type: make setup") from error
