"""What goes wrong in a way that the person at the terminal can act on."""


class DevServerError(Exception):
    """Shown as one plain message, without a traceback: what is wrong, where, and what to do."""
