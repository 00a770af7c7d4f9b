"""Signed filings a second: 申报 with a card by itself, the whole way to 海关入库成功, and what a declaration goes into."""

import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from django.test.utils import override_settings
from redis import Redis

from accounts.models import User
from accounts.services.card_signing import Presented
from benchmarks import filings
from benchmarks.processes import of_procfile, processor_seconds, servers, started, until, worker_answers
from benchmarks.report import Row
from benchmarks.world import World
from simulators.cards.keys import KeyType
from smartgate import services
from smartgate.models import Filing, FilingStatus
from tests.accounts.card_holders import bind, card_of, signed
from tests.cards import Authorities, Card

#: What a declaration goes into: a line of the table, and the function (file, name) whose time, with all that it calls, is meant.
PARTS = (
    ("the text, from the stored filing", ("smartgate/services/declaring.py", "text_to_sign")),
    ("signature, chain, CRL, whose card", ("accounts/services/card_signing.py", "examine")),
    ("cautions, for the audit trail", ("smartgate/cautions.py", "of_filing")),
    ("filing locked", ("smartgate/services/filings.py", "locked")),
    ("customs may have it already", ("smartgate/services/filings.py", "check_not_with_customs")),
    ("rules, once more", ("smartgate/rules.py", "filing_errors")),
    ("card still bound", ("accounts/services/bound_cards.py", "require_still_bound")),
    ("evidence stored", ("accounts/services/card_signing.py", "keep")),
    ("message built, valid, stored", ("relay/services/outbox.py", "queue_message")),
    ("audit entry", ("core/audit.py", "record")),
    ("commit", ("django/db/backends/base/base.py", "_commit")),
    ("a worker woken", ("relay/wake.py", "wake")),
)
#: The profiler makes everything slower; only shares are taken from it.
PROFILED = 100
#: Of the filings of `relay` so many are signed: a card of this process takes 25 ms for one.
SHARE = 3
#: Cards as the standard edition issues them.
KIND = KeyType.SM2

Job = tuple[Filing, Presented]


def run(world: World) -> tuple[list[Row], list[str]]:
    """Every text is signed beforehand: that is the cards' work. Then it is the portal's process that is measured."""
    count = max(1, world.scale.filings // SHARE)
    profiled = min(PROFILED, count)
    with world.cleared(), _card(world.writer) as card:
        writer = User.objects.select_related("enterprise").get(pk=world.writer.pk)
        plates = filings.plates()
        unsigned = [(filings.saved(writer, plate), None) for plate in islice(plates, profiled)]
        with override_settings(CARD_REQUIRED=False):
            without = _declare(writer, unsigned)
        with_card = _declare(writer, _signed(writer, card, islice(plates, profiled)))
        profiler = cProfile.Profile()
        jobs = _signed(writer, card, islice(plates, profiled))
        profiler.enable()
        _declare(writer, jobs)
        profiler.disable()
    with world.cleared(), _card(world.writer) as card:
        whole, spent = _whole(world, card, count)
    rows = [
        _row("申报 without a card, one process", profiled, without),
        _row("申报 with a card, one process", profiled, with_card),
        _row("申报 with a card → customs journal → 海关入库成功", count, whole),
    ]
    return rows, [
        f"one enterprise, one card ({KIND.value}), filings of one line; a CRL in a file. Signing is not measured. On the whole way one",
        f"process declares {count:,} filings one after the other while the Procfile's relay, beat and the customs simulator (which",
        "verifies each signature again) are at work; from the first 申报 to the last 海关入库成功.",
        f"processor time of the {count:,} filings: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in spent.items()),
        f"what a signed 申报 goes into (shares of its time, cProfile over {profiled:,}): " + _shares(profiler),
    ]


@contextmanager
def _card(writer: User) -> Iterator[Card]:
    """The writer's card, bound; whom it comes from is trusted as long as the block lasts, here and in what is started in it."""
    with tempfile.TemporaryDirectory(prefix="bench-signed-") as directory:
        home = Path(directory)
        authorities = Authorities(home)
        card = card_of(writer.enterprise, authorities, kind=KIND)
        lists = home / "lists"
        lists.mkdir()
        (lists / "ca.crl").write_bytes((authorities.of(KIND).home / "ca.crl").read_bytes())
        values = {
            "CARD_REQUIRED": True,
            "CARD_TRUST_ANCHORS": authorities.trust(home / "anchors", KIND),
            "CARD_CRL_DIR": lists,
            "CARD_REVOCATION": ["crl"],
        }
        with override_settings(**values):
            bind(writer, card)
            yield card


def _signed(writer: User, card: Card, plates: Iterator[str]) -> list[Job]:
    """Filings that are saved, and what the card makes of their texts."""
    made = [filings.saved(writer, plate) for plate in plates]
    return [(filing, signed(card, services.text_to_sign(actor=writer, filing=Filing.unscoped.get(pk=filing.pk)))) for filing in made]


def _declare(writer: User, jobs: Sequence[tuple[Filing, Presented | None]]) -> float:
    """Declare them one after the other; seconds that took."""
    begun = time.perf_counter()
    for filing, presented in jobs:
        services.declare_filing(actor=writer, filing_id=filing.pk, presented=presented)
    return time.perf_counter() - begun


def _whole(world: World, card: Card, count: int) -> tuple[float, dict[str, float]]:
    """Seconds until all are declared, sent, answered and stored; and everybody's processor time meanwhile."""
    root, journal = world.directory / "exchange-signed", world.directory / "signed-journal.jsonl"
    for left in [*root.glob("customs/*/*.xml"), *world.directory.glob("signed-journal.jsonl*")]:
        left.unlink()
    customs = ["-m", "simulators.customs", "--root", str(root / "customs"), "--journal", str(journal), "--answer-delay", "0"]
    log, environment = world.directory / "log", {"EXCHANGE_ROOT": str(root)}
    writer = User.objects.select_related("enterprise").get(pk=world.writer.pk)
    jobs = _signed(writer, card, islice(filings.plates(), count))
    with ExitStack() as stack:
        Redis.from_url(os.environ["REDIS_URL"]).flushdb()
        measured = {"customs": stack.enter_context(started("customs", customs, log))}
        measured |= {name: stack.enter_context(started(name, of_procfile(name), log, environment)) for name in ("relay", "beat")}
        measured |= servers(world.directory)
        worker_answers()
        before = {name: processor_seconds(process) for name, process in measured.items()}
        used = time.process_time()
        begun = time.perf_counter()
        _declare(writer, jobs)
        declared = time.process_time() - used
        stored = Filing.unscoped.filter(enterprise_id=writer.enterprise_id, status=FilingStatus.STORED)
        until(lambda: stored.count() == count, "customs' answers", every=0.1)
        took = time.perf_counter() - begun
        spent = {name: processor_seconds(process) - before[name] for name, process in measured.items()}
    return took, {"declarant": declared, **spent}


def _row(what: str, number: int, seconds: float) -> Row:
    return {"what": what, "number": number, "seconds": round(seconds, 3), "per_second": round(number / seconds, 1)}


def _shares(profiler: cProfile.Profile) -> str:
    """Each part's share, and what is left."""
    stats = pstats.Stats(profiler)
    cumulative = {(file, name): seconds for (file, _line, name), (*_, seconds, _callers) in stats.stats.items()}  # type: ignore[attr-defined]

    def of(place: tuple[str, str]) -> float:
        return sum(seconds for (file, name), seconds in cumulative.items() if file.endswith(place[0]) and name == place[1])

    whole = of(("smartgate/services/declaring.py", "declare_filing"))
    shares = [(what, of(place) / whole) for what, place in PARTS]
    return ", ".join(f"{what} {share:.0%}" for what, share in [*shares, ("the rest", 1 - sum(share for _what, share in shares))])
