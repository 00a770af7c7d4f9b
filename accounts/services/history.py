"""What a login history says of where somebody came from (ACC-14)."""


def describe(ip: str, user_agent: str) -> tuple[str, str]:
    """Place and device in words; empty where nothing is known of them."""
    return "", ""
