"""Files handed to users as one zip."""

import zipfile
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO

from django.utils import timezone


def packed(files: Mapping[str, bytes], *, at: datetime) -> bytes:
    """A zip of these files by their names, all of the time `at` (in our own zone; zips know none): the same files make the same bytes."""
    made = BytesIO()
    date = timezone.localtime(at).timetuple()[:6]
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
