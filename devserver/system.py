"""`python -m devserver system`: what only the operating system has, for the tests in a browser and at a card reader."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path


def _has_chinese_font() -> bool:
    if shutil.which("fc-list") is None:
        return False
    return bool(subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, check=False).stdout.strip())


#: Debian's package → whether what we want of it is there.
PACKAGES: dict[str, Callable[[], bool]] = {
    "chromium": lambda: shutil.which("chromium") is not None,
    "fonts-noto-cjk": _has_chinese_font,
    "poppler-utils": lambda: shutil.which("pdftotext") is not None,
    "opensc": lambda: shutil.which("opensc-tool") is not None,
    "pcscd": lambda: shutil.which("pcscd") is not None,
    "vsmartcard-vpcd": lambda: Path("/etc/reader.conf.d/vpcd").exists(),
}


def missing() -> list[str]:
    """The packages that are not there."""
    return [name for name, is_there in PACKAGES.items() if not is_there()]


def install() -> int:
    """Install what is missing where that is allowed; elsewhere say what to type. Always 0: tests that lack it report themselves."""
    wanted = missing()
    if not wanted:
        return 0
    line = f"apt-get install --yes --no-install-recommends {' '.join(wanted)}"
    if os.geteuid() == 0 and shutil.which("apt-get") is not None:
        print(f"Installing {', '.join(wanted)} for the tests", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "--quiet=2"], [*line.split(), "--quiet=2"]):
            subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    if missing():
        print(
            f"\nNot on this machine: {', '.join(missing())}. Tests that need them are reported as skipped. Type:\n  sudo {line}\n",
            flush=True,
        )
    return 0
