"""卡控件下载: the page that everybody may open, and the card bridge as a zip that runs."""

import io
import subprocess
import sys
import zipfile

import pytest

from accounts import bridge_archive

pytestmark = [pytest.mark.django_db, pytest.mark.covers("CARD-01")]
PAGE, ZIP = "/accounts/card-control/", "/accounts/card-control/card_bridge.zip"


def test_the_zip_holds_the_program_and_nothing_else(client):
    response = client.get(ZIP)
    assert response["Content-Type"] == "application/zip"
    assert response["Content-Disposition"] == f'attachment; filename="card_bridge-{bridge_archive.version()}.zip"'
    names = zipfile.ZipFile(io.BytesIO(response.content)).namelist()
    assert {"card_bridge/__main__.py", "card_bridge/backends/pcsc.py", "card_bridge/requirements.txt", "card_bridge/README.zh-CN.md"} <= {
        *names
    }
    assert all(name.startswith("card_bridge/") and "__pycache__" not in name and not name.endswith(".pyc") for name in names)
    assert names == sorted(names)


def test_the_zip_is_the_same_whenever_it_is_made(settings, tmp_path):
    """Whatever the files' dates, and whatever has been run there."""
    copies = []
    for number in (1, 2):
        settings.BASE_DIR = tmp_path / str(number)
        program = settings.BASE_DIR / "card_bridge"
        program.mkdir(parents=True)
        (program / "__init__.py").write_text('VERSION = "9"\n')
        if number == 2:
            (program / "__pycache__").mkdir()
            (program / "__pycache__" / "left.py").write_text("left")
            (program / "left.pyc").write_bytes(b"left")
            (program / "__init__.py").chmod(0o700)
        bridge_archive.archive.cache_clear()
        copies.append(bridge_archive.archive())
    bridge_archive.archive.cache_clear()
    assert copies[0] == copies[1]
    assert zipfile.ZipFile(io.BytesIO(copies[0])).namelist() == ["card_bridge/__init__.py"]


def test_what_is_unpacked_runs(client, tmp_path):
    zipfile.ZipFile(io.BytesIO(client.get(ZIP).content)).extractall(tmp_path)
    shown = subprocess.run([sys.executable, "-m", "card_bridge", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "--origin" in shown.stdout
