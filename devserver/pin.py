"""`make lock`: the newest versions that requirements*.in and package.json allow, pinned with their hashes."""

import subprocess
import sys
from pathlib import Path

from devserver.bootstrap import find_npm
from devserver.errors import DevServerError

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = "3.11"


def run() -> int:
    """Write requirements.txt, requirements-dev.txt and package-lock.json anew; gives 0. No registry's address gets into them."""
    # Markers stay: gmssl-pyx is only for processors that it has a wheel for.
    options = ["--upgrade", "--no-strip-markers", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header"]
    for name in ("requirements", "requirements-dev"):
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", *options, "--python-version", OLDEST_PYTHON]
        # The second one must agree with the first.
        agree = ["--constraint", "requirements.txt"] if name != "requirements" else []
        subprocess.run([*command, *agree, f"{name}.in", "--output-file", f"{name}.txt"], cwd=ROOT, check=True)
    npm, _ = find_npm()
    subprocess.run([*npm, "install", "--package-lock-only", "--ignore-scripts", "--loglevel=error"], cwd=ROOT, check=True)
    if '"resolved"' in (ROOT / "package-lock.json").read_text(encoding="utf-8"):
        raise DevServerError("package-lock.json names the registry it was made from: this npm does not know the option in .npmrc.")
    return 0
