"""Millions of filings, made by the database itself: forty enterprises, two years, a fleet of vehicles that come again and again.

Shares are typed in below. What makes a list hard is in them: conditions that most filings meet, conditions that a few meet,
pairs of which each is common and both together are rare or do not occur. Indexes are dropped, and made again over all rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from stdnum.cn import uscc

from accounts.models import Enterprise, User
from accounts.rights import ApplicationKey, Role
from core.identifiers import organisation_check_character
from devserver.prepare import say

ENTERPRISES = 40
CHUNK = 500_000
DAYS = 730
#: Of 97 vehicles so many belong to the first enterprise, whose lists are measured. (97, not 100: kinds of vehicles go by fifties.)
FIRST_SHARE = 23
#: Filled by SQL; their indexes are made afterwards.
TABLES = ("smartgate_filing", "smartgate_filingreceipt")
#: What an enterprise's users write, and what there is of their cards and signatures.
WRITTEN = ("smartgate_storedcontents", "smartgate_filingreceipt", "smartgate_filingline", "smartgate_filing", "core_auditentry")
CARDS = ("accounts_signatureevidence", "accounts_boundcard")

# The two numbers that each filing follows from are its own and its vehicle's. 7919 is a prime, and no fleet is a multiple of it:
# as many filings in a row as the fleet has vehicles are of different vehicles, so the open ones, all of them among the last,
# break no `filing_one_open_per_vehicle`.
_FILINGS = """
INSERT INTO smartgate_filing (
    id, enterprise_id, created_by_id, data_center_no, trip_no, customs_code, status, status_note, entered_at, credit_code,
    organisation_code, operator, bind_key_type, bind_key_info, business_type, transport_mode, ie_flag, vehicle_flow_type,
    vehicle_weight, trailer_weight, container_weight, remark, version, message_id, declared_at, status_at, deleted_at, lock_version)
SELECT n, enterprises[owner], users[owner], to_char(at, 'YYYY') || lpad(n::text, 14, '0'),
       to_char(at, 'YYYYMM') || 'U' || lpad(users[owner]::text, 12, '0') || lpad(n::text, 13, '0'),
       customs, status, '', at, credit_codes[owner], substr(credit_codes[owner], 9, 9), 'bench' || owner,
       key_type, key_info, business,
       CASE WHEN business = '0000000100' OR r1 > 0.85 THEN '4' WHEN r1 > 0.8 THEN '5' ELSE '2' END,
       flag, CASE flag WHEN 'I' THEN '02' ELSE '01' END,
       7000 + n %% 2500, 5500 + n %% 2000, CASE WHEN n %% 3 = 0 THEN 2200 ELSE 0 END,
       CASE WHEN n %% 4 = 0 THEN '散装大豆，后八轮自卸' ELSE '' END,
       CASE WHEN status = 'draft' THEN 0 ELSE 1 END,
       CASE WHEN status <> 'draft' THEN gen_random_uuid() END,
       CASE WHEN status <> 'draft' THEN at + interval '5 minutes' END,
       at + interval '40 minutes',
       CASE WHEN status = 'draft' AND r1 < 0.1 THEN at + interval '1 hour' END,
       CASE WHEN status = 'draft' THEN 1 ELSE 4 END
  FROM (
        SELECT n, owner, at, r1, key_type,
               CASE key_type WHEN 'VN' THEN '辽' || substr('ABCEFGHJKLMNP', 1 + vehicle / 240000, 1)
                                            || substr('ABCDEFGHJKLMNPQRSTUVWXYZ', 1 + vehicle / 10000 %% 24, 1)
                                            || lpad((vehicle %% 10000)::text, 4, '0')
                             WHEN 'VE' THEN 'DL' || lpad(vehicle::text, 10, '0')
                             WHEN 'IC' THEN lpad(vehicle::text, 13, '0')
                             ELSE 'BC-' || vehicle::text END AS key_info,
               -- Only one yard reads IC cards, and it reads nothing else: common here, common there, never both.
               CASE WHEN key_type = 'IC' THEN '0940'
                    WHEN r2 < 0.45 THEN '0908' WHEN r2 < 0.60 THEN '0901' WHEN r2 < 0.72 THEN '0905' WHEN r2 < 0.85 THEN '0950'
                    WHEN r2 < 0.93 THEN '0960' WHEN r2 < 0.97 THEN '0930' WHEN r2 < 0.9995 THEN '0917' ELSE '0932' END AS customs,
               CASE WHEN r3 < 0.64 THEN 'I' ELSE 'E' END AS flag,
               CASE WHEN r4 < 0.62 THEN '1000000000' WHEN r4 < 0.74 THEN '0100000000' WHEN r4 < 0.86 THEN '1010000000'
                    WHEN r4 < 0.93 THEN '0000100000' WHEN r4 < 0.97 THEN '0000001000' WHEN r4 < 0.985 THEN '0000000100'
                    WHEN r4 < 0.998 THEN '0001000000' ELSE '0000010000' END AS business,
               CASE WHEN is_recent THEN
                        CASE WHEN r5 < 0.30 THEN 'stored' WHEN r5 < 0.42 THEN 'locked' WHEN r5 < 0.46 THEN 'unlocked'
                             WHEN r5 < 0.48 THEN 'relayed' WHEN r5 < 0.49 THEN 'declared' WHEN r5 < 0.70 THEN 'draft'
                             WHEN r5 < 0.74 THEN 'rejected' ELSE 'departed' END
                    ELSE
                        CASE WHEN r5 < 0.79 THEN 'departed' WHEN r5 < 0.91 THEN 'closed' WHEN r5 < 0.945 THEN 'closed_manually'
                             WHEN r5 < 0.97 THEN 'rejected' WHEN r5 < 0.985 THEN 'voided' WHEN r5 < 0.9855 THEN 'relay_failed'
                             WHEN r5 < 0.99 THEN 'draft' ELSE 'departed' END
               END AS status
          FROM (
                SELECT n, vehicle, r1, r2, r3, r4, r5, n > %(rows)s - %(recent)s AS is_recent,
                       CASE WHEN vehicle %% 97 < %(first_share)s THEN 1 ELSE 2 + vehicle %% (%(enterprises)s - 1) END AS owner,
                       CASE WHEN vehicle %% 50 < 43 THEN 'VN' WHEN vehicle %% 50 < 45 THEN 'VE' WHEN vehicle %% 50 < 49 THEN 'IC'
                            ELSE 'BC' END AS key_type,
                       now() - make_interval(secs => (1 - n::float8 / %(rows)s) * 86400 * %(days)s + r1 * 600) AS at
                  FROM (
                        SELECT n, ((n * 7919) %% %(fleet)s)::integer AS vehicle,
                               random() AS r1, random() AS r2, random() AS r3, random() AS r4, random() AS r5
                          FROM generate_series(%(from)s::bigint, %(to)s::bigint) AS n
                       ) AS dice
               ) AS facts
       ) AS filing,
       (SELECT %(enterprise_ids)s::bigint[] AS enterprises, %(user_ids)s::bigint[] AS users, %(codes)s::text[] AS credit_codes) AS owners
"""

# One receipt for each that customs ever took: what 查看回执 is offered by.
_RECEIPTS = """
INSERT INTO smartgate_filingreceipt (
    enterprise_id, filing_id, receipt_no, event, version, event_time, received_at, code, note, applied, not_applied_reason, message_id)
SELECT enterprise_id, id, 'HG' || id, 'STORED', 1, declared_at, declared_at, '', '', true, '', gen_random_uuid()
  FROM smartgate_filing
 WHERE id BETWEEN %(from)s AND %(to)s AND status NOT IN ('draft', 'declared', 'relayed', 'relay_failed')
"""

# A constraint's index goes and comes with it; every other one by its own definition. Primary keys stay: the rows come in their order.
_INDEXES = """
SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || quote_ident(conname),
       'ALTER TABLE ' || conrelid::regclass || ' ADD CONSTRAINT ' || quote_ident(conname) || ' ' || pg_get_constraintdef(oid)
  FROM pg_constraint WHERE contype = 'u' AND conrelid = %(table)s::regclass
 UNION ALL
SELECT 'DROP INDEX ' || indexrelid::regclass, pg_get_indexdef(indexrelid)
  FROM pg_index WHERE indrelid = %(table)s::regclass AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
"""


def make(rows: int) -> None:
    """Make the users, the enterprises and `rows` filings with their receipts, then all that the database knows of them."""
    owners = _owners()
    fleet = max(1_000, rows // 80)
    values = {
        "rows": rows,
        "recent": max(300, rows // 400),
        "fleet": fleet + (fleet % 7919 == 0),
        "first_share": FIRST_SHARE,
        "enterprises": ENTERPRISES,
        "days": DAYS,
        "enterprise_ids": [user.enterprise_id for user in owners],
        "user_ids": [user.pk for user in owners],
        "codes": [user.enterprise.credit_code for user in owners],
    }
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'")
        # No foreign key is looked up ten million times: they are right by the way the rows are made.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SELECT setseed(0.5)")
        with _without_indexes(cursor):
            for start in range(1, rows + 1, CHUNK):
                part = {"from": start, "to": min(start + CHUNK - 1, rows)}
                cursor.execute(_FILINGS, {**values, **part})
                cursor.execute(_RECEIPTS, part)
                say(f"  {part['to']:,} filings")
            say("  indexes")
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("RESET maintenance_work_mem")
        cursor.execute("SELECT setval(pg_get_serial_sequence('smartgate_filing', 'id'), %s)", [rows])
        for sequence in ("smartgate_data_center_no", "smartgate_trip_no"):
            cursor.execute("SELECT setval(%s, %s)", [sequence, rows])
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")


@contextmanager
def _without_indexes(cursor: Any) -> Iterator[None]:
    found: list[tuple[str, str]] = []
    for table in TABLES:
        cursor.execute(_INDEXES, {"table": table})
        found += cursor.fetchall()
    for drop, _create in found:
        cursor.execute(drop)
    yield
    for _drop, create in found:
        cursor.execute(create)


def _owners() -> list[User]:
    """One operator of each enterprise; the first is the reader. The writer's enterprise comes on top and is not among them."""
    owners = [_user(f"bench{number}" if number > 1 else "bench_reader", number) for number in range(1, ENTERPRISES + 1)]
    _user("bench_writer", ENTERPRISES + 1)
    return owners


def _user(username: str, number: int) -> User:
    serial = f"{10_000_000 + number}"
    body = f"91210200{serial}{organisation_check_character(serial)}"
    code = body + uscc.calc_check_digit(body)
    enterprise = Enterprise.objects.create(
        name=f"测量用企业 {number}", credit_code=code, organisation_code=code[8:17], applications=ApplicationKey.values
    )
    return User.objects.create_user(
        username,
        full_name=username,
        role=Role.OPERATOR,
        enterprise=enterprise,
        applications=ApplicationKey.values,
        first_login_verified_at=timezone.now(),
    )


def clear(writer: User) -> None:
    """Take away everything of the writer's enterprise and all messages. The audit trail lets nobody do so: its triggers are set aside."""
    with connection.cursor() as cursor:
        with transaction.atomic():
            cursor.execute("SET LOCAL session_replication_role = replica")
            for table in (*WRITTEN, *CARDS):
                cursor.execute(f"DELETE FROM {table} WHERE enterprise_id = %s", [writer.enterprise_id])
            cursor.execute("TRUNCATE relay_attempt, relay_inboundmessage, relay_outboundmessage, relay_lane")
        for table in WRITTEN:
            cursor.execute(f"VACUUM (ANALYZE) {table}")
