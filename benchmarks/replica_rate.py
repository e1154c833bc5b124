"""B3: checks a second from a replica in LMDB, on one core: each of another subject, in random order, none decoded yet.

A check is all of it: the row found and read, its checksum, its age by three clocks, the decision with its reasons.
"""

import gc
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import lmdb
import msgspec
from msgspec.structs import replace

from benchmarks.decide_rate import row_of
from benchmarks.inputs import SEED, subject_name
from benchmarks.report import Say, Spread, spread_of
from benchmarks.subjects import ADULTS, EXAMPLES, NOW, Sort
from consentry.codec import encode_genesis, encode_policy_event, encode_row
from consentry.decision import Request, decide
from consentry.events import Genesis, PolicyRevised
from consentry.partition import partition_of
from consentry.policy import parse_policy
from consentry.replica import ConsentReplica
from consentry.replica.compact import compact_row, expand_row
from consentry.replica.freshness import Heard, clock_name, monotonic_ms
from consentry.replica.head import Head, PartitionHead, PolicyRecord, Proof
from consentry.replica.home import Home, leave_home, open_home
from consentry.replica.store import Row, Store
from consentry.settings import Settings
from consentry.state.row import Watermark
from consentry.terms import Position, SubjectIds

PARTITIONS = 12
GENESIS = Genesis(log_id=UUID(int=7), epoch=1, partitions=PARTITIONS, subject_ids=SubjectIds.PLAIN)
BATCH = 10_000
PORTION = 10_000
"""checks between two heartbeats of the copy: well within the bound of what rests on consent"""
ROUNDS = 8


class ReplicaRate(msgspec.Struct, frozen=True, kw_only=True):
    """Processor time, but for the percentiles, which are by the clock."""

    rows: str
    subjects: int
    per_s: Spread
    p50_us: float
    p99_us: float
    found_us: float
    """of a check: the copy's transaction, and the row found"""
    expanded_us: float
    """the row's checksum and fields"""
    decided_us: float
    file_bytes_per_subject: float


def measure_replica(subjects: int, say: Say) -> list[ReplicaRate]:
    found = []
    for sort in ADULTS:
        say(f"replica: {sort.name}")
        with tempfile.TemporaryDirectory(prefix="consentry-bench-") as directory:
            settings = Settings(replica_dir=directory, replica_decoded_rows=0)
            home = open_home(settings)
            try:
                home.become_feeder()
                found.append(_rate_of(sort, subjects, settings, home))
            finally:
                leave_home(home)
    return found


def _rate_of(sort: Sort, subjects: int, settings: Settings, home: Home) -> ReplicaRate:
    copy = Copy(home.begin_anew(GENESIS))
    copy.put_policy()
    copy.fill(sort, subjects)
    replica = ConsentReplica(settings, GENESIS)
    replica.open()
    chance = random.Random(SEED)
    rates: list[float] = []
    took_ns: list[int] = []
    for _ in range(ROUNDS):
        questions = [
            (replace(each.request, subject=subject_name(chance.randrange(subjects))), each.reason)
            for each in chance.choices(sort.questions, k=PORTION)
        ]
        copy.beat()
        for request, reason in questions[:200]:
            answer = replica.check(request, NOW)
            assert answer.reason is reason, (answer, replica.not_ready_because)
        requests = [request for request, _ in questions]
        rates.append(PORTION / _timed(lambda: _check_all(replica, requests)))  # noqa: B023  (called at once)
        copy.beat()
        took_ns += _each(replica, requests)
    took_ns.sort()
    parts = _parts(replica, home, requests)
    replica.close()
    return ReplicaRate(
        rows=sort.name,
        subjects=subjects,
        per_s=spread_of(rates),
        p50_us=took_ns[len(took_ns) // 2] / 1e3,
        p99_us=took_ns[len(took_ns) * 99 // 100] / 1e3,
        found_us=parts[0],
        expanded_us=parts[1],
        decided_us=parts[2],
        file_bytes_per_subject=copy.store.size_bytes / subjects,
    )


def _check_all(replica: ConsentReplica, requests: list[Request]) -> None:
    for request in requests:
        replica.check(request, NOW)


def _each(replica: ConsentReplica, requests: list[Request]) -> Iterator[int]:
    clock = time.perf_counter_ns
    for request in requests:
        began = clock()
        replica.check(request, NOW)
        yield clock() - began


def _parts(replica: ConsentReplica, home: Home, requests: list[Request]) -> tuple[float, float, float]:
    keys = [request.subject.encode() for request in requests]
    held = [(key, home.read(key)[1] or b"") for key in keys]
    views = [replica.view(request.subject, NOW) for request in requests]
    policies = replica.policies
    calls: tuple[Callable[[], object], ...] = (
        lambda: [home.read(key) for key in keys],
        lambda: [expand_row(key, row) for key, row in held],
        lambda: [decide(view, policies, request, NOW) for view, request in zip(views, requests, strict=True)],
    )
    found, expanded, decided = (_timed(call) * 1e6 / len(requests) for call in calls)
    return found, expanded, decided


def _timed(call: Callable[[], object]) -> float:
    """Processor seconds."""
    gc.collect()
    gc.disable()
    try:
        started = time.process_time()
        call()
        return time.process_time() - started
    finally:
        gc.enable()


class Copy:
    """A copy that is fed by hand."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._head = Head.empty(GENESIS)

    def put_policy(self) -> None:
        document = (Path(EXAMPLES) / "reference-v1.yaml").read_text(encoding="utf-8")
        parsed = parse_policy(document)
        revised = PolicyRevised(
            event_id=UUID(int=5, version=4),
            policy=parsed.id,
            occurred_at=parsed.effective_at,
            version=parsed.version,
            effective_at=parsed.effective_at,
            document=document,
            text="",
            text_hash="",
        )
        records = [
            PolicyRecord(0, parsed.effective_at, encode_genesis(GENESIS)),
            PolicyRecord(1, parsed.effective_at, encode_policy_event(revised)),
        ]
        self._head = replace(self._head, policies_next=len(records))
        self.store.put_policies(records, self._head)

    def fill(self, sort: Sort, subjects: int) -> None:
        chance = random.Random(SEED)
        for first in range(0, subjects, BATCH):
            rows = [_row(sort, number, chance) for number in range(first, min(subjects, first + BATCH))]
            while True:
                try:
                    self._head, _ = self.store.take_in(rows, self._head)
                    break
                except lmdb.MapFullError:
                    assert self.store.grow()

    def beat(self) -> None:
        """A heartbeat of every partition, now."""
        heard = Heard(NOW, NOW, monotonic_ms())
        partitions = tuple(
            PartitionHead(1_000_000, _watermark(number), Proof(NOW, 1, heard)) for number in range(PARTITIONS)
        )
        self._head = replace(self._head, partitions=partitions, complete=True, clock=clock_name())
        self.store.put_head(self._head)


def _row(sort: Sort, number: int, chance: random.Random) -> Row:
    name = subject_name(number)
    partition = partition_of(name, PARTITIONS)
    row = replace(row_of(sort.row, name, chance), position=Position(1, partition, sort.row.position.offset))
    return name.encode(), compact_row(partition, name.encode(), encode_row(row))


def _watermark(partition: int) -> Watermark:
    return Watermark(
        log_id=GENESIS.log_id.bytes,
        position=Position(1, partition, 999_999),
        record_hash=bytes(32),
        complete_at=NOW,
        policy_offset=1,
    )
