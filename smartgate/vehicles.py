"""Who has a vehicle: customs expects it with one filing at a time (docs/adr/0006, 0100)."""

from smartgate.models import Filing


def key_of(filing: Filing) -> dict[str, str]:
    """The vehicle of a filing, as a condition on filings and on versions."""
    return {"bind_key_type": filing.bind_key_type, "bind_key_info": filing.bind_key_info}
