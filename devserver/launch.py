"""`python -m devserver.launch NOTES NAME PROGRAM ARGUMENT…`: leave a note about this very process, then become the program."""

import os
import sys
from pathlib import Path

from devserver.processes import leave_note


def main() -> None:
    """Never returns: the process id in the note stays that of the program."""
    notes, name, *command = sys.argv[1:]
    leave_note(Path(notes), name, os.getpid())
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
