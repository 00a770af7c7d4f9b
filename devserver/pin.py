"""`make lock`: the newest versions that requirements*.in, card_bridge/requirements.in and package.json allow, pinned with their hashes."""

import subprocess
import sys
from pathlib import Path

from devserver.bootstrap import find_npm
from devserver.errors import DevServerError

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = "3.11"


def run() -> int:
    """Write all requirements*.txt and package-lock.json anew; gives 0. No registry's address gets into them."""
    lock("--upgrade")
    npm, _ = find_npm()
    subprocess.run([*npm, "install", "--package-lock-only", "--ignore-scripts", "--loglevel=error"], cwd=ROOT, check=True)
    if '"resolved"' in (ROOT / "package-lock.json").read_text(encoding="utf-8"):
        raise DevServerError("package-lock.json names the registry it was made from: this npm does not know the option in .npmrc.")
    return 0


def lock(*more: str) -> None:
    """Write all requirements*.txt anew; `more` goes to uv. The card bridge's is for Windows and macOS as well."""
    quiet = ["--no-emit-index-url", "--no-emit-find-links", "--no-header"]
    # Markers stay: gmssl-pyx is only for processors that it has a wheel for.
    options = ["--generate-hashes", "--no-strip-markers", *quiet, "--python-version", OLDEST_PYTHON, *more]
    # Each must agree with those before it.
    for name, agree, universal in (
        ("requirements", [], []),
        ("requirements-dev", ["requirements.txt"], []),
        ("card_bridge/requirements", ["requirements-dev.txt"], ["--universal"]),
    ):
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", *options, *universal]
        constraints = [word for file in agree for word in ("--constraint", file)]
        subprocess.run([*command, *constraints, f"{name}.in", "--output-file", f"{name}.txt"], cwd=ROOT, check=True)
