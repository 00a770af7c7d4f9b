"""Where PostgreSQL puts the new versions of a message's row, and which index finds the rare ones (docs/adr/0098)."""

import os
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import QuerySet

from relay.models import InboundMessage, InboundState, OutboundState
from relay.services import dispatching, handling
from relay.services.operations import housekeeping
from tests.relay.rows import make_inbound, make_outbound

pytestmark = pytest.mark.django_db

#: About what a filing has; PostgreSQL could not make it smaller.
CONTENT_BYTES = 1800


def pages(table: str) -> dict[int, int]:
    """In which page of its table each row lies."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, (ctid::text::point)[0]::int FROM {table}")
        return dict(cursor.fetchall())


def test_a_leased_message_stays_on_its_page() -> None:
    """Else every lease writes the whole row, and an entry in every index."""
    for number in range(40):
        make_outbound(state=OutboundState.QUEUED, subject=f"x:{number}", content=os.urandom(CONTENT_BYTES))
        make_inbound(state=InboundState.READY, subject=f"x:{number}", content=os.urandom(CONTENT_BYTES))
    before = pages("relay_outboundmessage"), pages("relay_inboundmessage")
    assert len(set(before[0].values())) > 5, "more than fits into a few pages"
    assert len(dispatching.claim("customs", uuid4())) == len(handling.claim("customs", uuid4())) == 40
    assert (pages("relay_outboundmessage"), pages("relay_inboundmessage")) == before


def plan(rows: QuerySet[InboundMessage]) -> str:
    """How PostgreSQL would look for them if reading a whole table were dear; it is, where there are millions."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    return rows.explain()


def test_rare_messages_are_found_by_an_index() -> None:
    newest = InboundMessage.objects.order_by("-received_at", "-id")
    assert "relay_in_discarded" in plan(newest.filter(state=InboundState.DISCARDED)[:50])
    assert "relay_in_reason" in plan(newest.filter(reason_code="SCHEMA")[:50])


def test_what_is_not_decided_is_found_by_the_indexes_of_its_states() -> None:
    """Housekeeping asks for it with every batch."""
    for state in InboundState:
        make_inbound(state=state)
    undecided = InboundMessage.objects.filter(housekeeping._UNSETTLED)
    assert {message.state for message in undecided} == set(InboundState) - {InboundState.HANDLED, InboundState.DISCARDED}
    assert "Seq Scan" not in plan(undecided)
    assert "relay_in_quarantine" in plan(undecided)
