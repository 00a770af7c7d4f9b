"""`make check`: everything that can be said about the code without running its tests. All of it runs, whatever fails first."""

import os
import subprocess
import sys
from pathlib import Path

from devserver import services

ROOT = Path(__file__).resolve().parent.parent
_MODULE = (sys.executable, "-m")
_MANAGE = (sys.executable, "-W", "error::RuntimeWarning", "manage.py")
#: What a right production has; the secret is long and random for as long as the check runs.
PRODUCTION = {
    "PORTAL_MODE": "production",
    "SECRET_KEY": os.urandom(48).hex(),
    "ALLOWED_HOSTS": "portal.example",
    "CSRF_TRUSTED_ORIGINS": "https://portal.example",
    "FIELD_KEYS": os.urandom(24).hex(),
    "SMS_GATEWAY_URL": "https://sms.example/messages",
    "SMS_GATEWAY_TOKEN": os.urandom(24).hex(),
    # Whose cards count lies in a directory, which a check does not have.
    "CARD_REQUIRED": "0",
}
TEST = {"PORTAL_MODE": "test"}
CHECKS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "lint": ((*_MODULE, "ruff", "check", "."), {}),
    "format": ((*_MODULE, "ruff", "format", "--check", "."), {}),
    "types": ((*_MODULE, "mypy", "."), TEST),
    # The command that import-linter installs does the same, but is bound to the place where .venv was made.
    "import contracts": ((sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"), {}),
    "missing migrations": ((*_MANAGE, "makemigrations", "--check", "--dry-run"), TEST),
    "deployment": ((*_MANAGE, "check", "--deploy", "--fail-level", "WARNING"), PRODUCTION),
}


def run() -> int:
    """Run all checks; gives 1 when one failed."""
    failed = []
    with services.ephemeral() as addresses:  # the migrations are compared with a database
        for name, (command, environment) in CHECKS.items():
            print(f"== {name}", flush=True)
            done = subprocess.run(command, cwd=ROOT, env={**os.environ, **addresses.environment(), **environment}, check=False)
            if done.returncode != 0:
                failed.append(name)
    print(f"== failed: {', '.join(failed)}" if failed else "== all checks passed", flush=True)
    return 1 if failed else 0
