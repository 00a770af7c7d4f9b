"""Which files platform staff may attach: known kinds whose first bytes say the same as their name, up to a size."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OLE = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
_OFFICE = "application/vnd.openxmlformats-officedocument."


class MediaType:
    """Endings, what a download of each says it is, and how such a file begins (from the second number on)."""

    KNOWN: Mapping[str, tuple[str, int, tuple[bytes, ...]]] = {
        ".pdf": ("application/pdf", 0, (b"%PDF-",)),
        ".doc": ("application/msword", 0, _OLE),
        ".xls": ("application/vnd.ms-excel", 0, _OLE),
        ".ppt": ("application/vnd.ms-powerpoint", 0, _OLE),
        ".docx": (f"{_OFFICE}wordprocessingml.document", 0, _ZIP),
        ".xlsx": (f"{_OFFICE}spreadsheetml.sheet", 0, _ZIP),
        ".pptx": (f"{_OFFICE}presentationml.presentation", 0, _ZIP),
        ".zip": ("application/zip", 0, _ZIP),
        ".png": ("image/png", 0, (b"\x89PNG\r\n\x1a\n",)),
        ".jpg": ("image/jpeg", 0, (b"\xff\xd8\xff",)),
        ".mp4": ("video/mp4", 4, (b"ftyp",)),
        ".txt": ("text/plain; charset=utf-8", 0, ()),
    }

    @classmethod
    def of(cls, name: str) -> str:
        """The media type of a file name; that of unknown bytes for an ending that is no longer on the list."""
        known = cls.KNOWN.get(PurePath(name).suffix.lower())
        return known[0] if known else "application/octet-stream"


def validate_attachment(file: Any) -> None:
    """Raises ValidationError for a file that is too large, empty, of an unknown kind, or not what its name says."""
    ending = PurePath(file.name).suffix.lower()
    if ending not in MediaType.KNOWN:
        kinds = " ".join(sorted(known.removeprefix(".") for known in MediaType.KNOWN))
        raise ValidationError(_("不能上传这种文件。可以上传的类型：%(kinds)s"), params={"kinds": kinds}, code="kind")
    limit = settings.CONTENT_ATTACHMENT_MAX_BYTES
    if file.size > limit:
        raise ValidationError(
            _("文件大小为 %(size)s，超过上限 %(limit)s。请压缩或拆分后重新上传。"),
            params={"size": filesizeformat(file.size), "limit": filesizeformat(limit)},
            code="size",
        )
    _type, offset, beginnings = MediaType.KNOWN[ending]
    file.seek(0)
    head = file.read(1024)
    file.seek(0)
    right = head[offset:].startswith(beginnings) if beginnings else _is_text(head)
    if not right:
        raise ValidationError(
            _("文件内容不是 %(ending)s 格式。请检查文件后重新上传。"), params={"ending": ending.removeprefix(".")}, code="content"
        )


def _is_text(head: bytes) -> bool:
    """UTF-8, but for a character that the cut at the end went through."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and b"\0" not in head
    return b"\0" not in head
