"""Published content for tests."""

from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone

from portal.models import Attachment, ContentItem, Kind


def make_item(kind: Kind = Kind.NOTICE, title: str = "关于系统升级的通知", **fields: Any) -> ContentItem:
    """An item that has been out for an hour, unless `fields` say otherwise."""
    out = {"publisher": "中国电子口岸数据中心", "body": "第一段\n\n第二段", "published_at": timezone.now() - timedelta(hours=1)}
    return ContentItem.objects.create(kind=kind, title=title, **{**out, **fields})


def make_attachment(item: ContentItem, name: str = "操作手册.txt", content: bytes = "操作手册".encode()) -> Attachment:
    """A stored file of an item."""
    attachment = Attachment(item=item, name=name, size=len(content))
    attachment.file.save(name, ContentFile(content))
    return attachment
