"""`python -m devserver system`: what only the operating system has, for the tests in a browser, at a card reader and with a broker."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Debian asks this program before it starts a service; exit status 101 says no.
POLICY = Path("/usr/sbin/policy-rc.d")
BRIDGE_REQUIREMENTS = ROOT / "card_bridge" / "requirements.txt"


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
    "rabbitmq-server": lambda: Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists(),
    "vsmartcard-vpcd": lambda: Path("/etc/reader.conf.d/vpcd").exists(),
    # What pyscard is built from: PyPI has it ready-made for Windows and macOS only.
    "gcc": lambda: shutil.which("gcc") is not None or _has_pyscard(),
    "swig": lambda: shutil.which("swig") is not None or _has_pyscard(),
    "libpcsclite-dev": lambda: Path("/usr/include/PCSC/winscard.h").exists() or _has_pyscard(),
    "python3-dev": lambda: (Path(sysconfig.get_path("include")) / "Python.h").exists() or _has_pyscard(),
}


def _has_pyscard() -> bool:
    return importlib.util.find_spec("smartcard") is not None


def missing() -> list[str]:
    """The packages that are not there."""
    return [name for name, is_there in PACKAGES.items() if not is_there()]


def install() -> int:
    """Install what is missing where that is allowed; elsewhere say what to type. Always 0: tests that lack it report themselves."""
    wanted = missing()
    if wanted:
        _install(wanted)
    _install_pyscard()
    return 0


def _install(wanted: list[str]) -> None:
    line = f"apt-get install --yes --no-install-recommends {' '.join(wanted)}"
    if os.geteuid() == 0 and shutil.which("apt-get") is not None:
        print(f"Installing {', '.join(wanted)} for the tests", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        with _no_service_started():
            for command in (["apt-get", "update", "--quiet=2"], [*line.split(), "--quiet=2"]):
                subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
        if "rabbitmq-server" in wanted and shutil.which("systemctl") is not None:
            # Nor at the next start of the machine: the tests run a broker of their own.
            subprocess.run(["systemctl", "--quiet", "disable", "rabbitmq-server"], stderr=subprocess.DEVNULL, check=False)
    if missing():
        print(
            f"\nNot on this machine: {', '.join(missing())}. Tests that need them are reported as skipped. Type:\n  sudo {line}\n",
            flush=True,
        )


@contextmanager
def _no_service_started() -> Iterator[None]:
    """What is installed meanwhile is there to be called by tests, not to run."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _install_pyscard() -> None:
    """pyscard into the virtual environment. Not with the other packages: a first run must not need a compiler."""
    if _has_pyscard():
        return
    print("Installing pyscard for the tests at a card reader", flush=True)
    options = ["-qq", "--disable-pip-version-check", "--require-hashes", "-r", str(BRIDGE_REQUIREMENTS)]
    done = subprocess.run([sys.executable, "-m", "pip", "install", *options], env={**os.environ, "PIP_USER": "0"}, check=False)
    importlib.invalidate_caches()
    if done.returncode != 0:
        print("\npyscard could not be built. Tests at a card reader are reported as skipped; what it needs is named above.\n", flush=True)
