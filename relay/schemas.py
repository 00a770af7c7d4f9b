"""The published schemas (`docs/protocol/`), used for what goes out and for what comes in (RLY-05)."""

import threading
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from lxml import etree

#: A schema object keeps the findings of its last run, so two threads must not use it at once.
_one_at_a_time = threading.Lock()


class NoSchemaError(LookupError):
    """There is no schema for this message type."""


class SchemaViolationError(ValueError):
    """A message does not fit its schema; the text says where and why."""


def validate(package: etree._Element, message_type: str) -> None:
    """Check a whole `Package` against the schema of its type.

    Raises NoSchemaError for a type that is not published and SchemaViolationError, with the first three findings.
    """
    schema = _load(str(settings.PROTOCOL_DIR), message_type)
    with _one_at_a_time:
        if schema.validate(package):
            return
        findings = [f"line {entry.line}: {entry.message}" for entry in schema.error_log]  # type: ignore[attr-defined]
    raise SchemaViolationError("; ".join(findings[:3]))


@lru_cache(maxsize=64)
def _load(directory: str, message_type: str) -> etree.XMLSchema:
    path = Path(directory) / f"{message_type}.xsd"
    if not (len(message_type) == 6 and message_type.isascii() and message_type.isalnum() and path.is_file()):
        raise NoSchemaError(message_type)
    return etree.XMLSchema(etree.parse(str(path), etree.XMLParser(no_network=True, resolve_entities=False)))
