"""The stream processors: one task folds each owned partition, one takes in each intake partition.

Decode, call, write, await, ack; no rules. An exception ends the process before anything is acked (`fatal`): what is
not durable is read again by the next owner.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from consentry.codec import decode_row, encode_quarantined, encode_row, encode_watermark, record_hash
from consentry.errors import UntrustedLog
from consentry.events import Genesis, QuarantinedRecord
from consentry.folding import RawRecord, fold_record
from consentry.replica.freshness import monotonic_ms
from consentry.replica.rows import WATERMARK_KEY, PartitionRows
from consentry.settings import Settings
from consentry.state.row import SubjectState, Watermark
from consentry.terms import Position
from streams.writer import Outgoing, PartitionWriter

QUEUED_BATCHES = 16
PROOFS_HELD = 64
YIELD_EVERY = 200
"""records folded before other tasks of the loop have a turn"""
GAP_PATIENCE_S = 30.0
"""a gap that reading again does not close within this time is a hole in the log"""
STALL_S = 2.0
"""records that are there and do not come within this time are fetched anew: Faust drops what a rebalance overtakes"""


class Stage(StrEnum):
    """Moments of a batch at which a crash must change nothing; fault tests kill the process at each."""

    DECODED = "decoded"
    FOLDED = "folded"
    WRITTEN = "written"
    BEFORE_COMMIT = "before_commit"
    BEFORE_ACK = "before_ack"
    TAKEN_IN = "taken_in"


Reached = Callable[[Stage], None]


def nothing(stage: Stage) -> None:
    """No failpoint."""


class Batch(msgspec.Struct, frozen=True):
    """Consecutive records of a partition, as fetched, and how to ack them."""

    records: Sequence[Any]
    ack: Callable[[], Awaitable[object]]


class EndSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Where a partition, and policy-revisions, ended, and what had been known before they were asked."""

    asked_at: int | None
    """the broker's time, which had been reached by then (BrokerTime); None: not known"""
    known_next: int
    """the first offset that was not in the rows by then"""
    offset_next: int
    policy_offset_last: int | None


class BrokerTime:
    """What time it is at the broker, at the least: its word at the last write, and what has passed since.

    No wall clock of this machine is asked: a wrong one must not make rows look fresher than they are.
    """

    def __init__(self) -> None:
        self._reached: int | None = None
        self._at = 0

    def heard(self, appended_at: int) -> None:
        """A write was acknowledged with this time."""
        self._reached, self._at = appended_at, monotonic_ms()

    def now(self) -> int | None:
        """ms since the epoch; None before the first write."""
        return None if self._reached is None else self._reached + monotonic_ms() - self._at


class Inbox:
    """Batches that wait for a partition's task, and the heartbeat's nudge. Bounded; once closed it takes in nothing.

    Whoever waits for room in it is let go when it is closed: the agent serves other partitions too.
    """

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self._nudged = False
        self._closed = False
        self._ready = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, batch: Batch) -> None:
        while len(self._batches) >= QUEUED_BATCHES and not self._closed:
            self._room.clear()
            await self._room.wait()
        if not self._closed:
            self._batches.append(batch)
            self._ready.set()

    def nudge(self) -> None:
        self._nudged = True
        self._ready.set()

    async def take(self, records_wanted: int) -> list[Batch]:
        """What waits, up to so many records and at least one batch; empty after a nudge alone."""
        while not self._batches and not self._nudged:
            self._ready.clear()
            await self._ready.wait()
        self._nudged = False
        taken: list[Batch] = []
        count = 0
        while self._batches and count < records_wanted:
            taken.append(self._batches.popleft())
            count += len(taken[-1].records)
        self._room.set()
        return taken

    def close(self) -> None:
        self._closed = True
        self._batches.clear()
        self._room.set()


class Stall:
    """Notices records that are known to be there and do not come, and has them fetched anew."""

    def __init__(self, read_again: Callable[[], Awaitable[None]]) -> None:
        self._read_again = read_again
        self._since = time.monotonic()

    def moved(self) -> None:
        self._since = time.monotonic()

    async def read_again_if_due(self) -> None:
        if time.monotonic() - self._since > STALL_S:
            self.moved()
            await self._read_again()


class PartitionOwner:
    """Folds one partition of consent-events: everything that waits is one transaction of rows and watermark."""

    def __init__(
        self,
        settings: Settings,
        identity: Genesis,
        rows: PartitionRows,
        writer: PartitionWriter,
        *,
        read_again: Callable[[], Awaitable[None]],
        reached: Reached = nothing,
    ) -> None:
        self.partition = rows.partition
        self._settings = settings
        self._identity = identity
        self._rows = rows
        self._writer = writer
        self._stall = Stall(read_again)
        self._reached = reached
        self._time = BrokerTime()
        self.inbox = Inbox()
        self._ends: deque[EndSeen] = deque(maxlen=PROOFS_HELD)
        self._truncated = 0
        self._gap_since: float | None = None
        self._turn = asyncio.Lock()
        self._state_topic = settings.topic("consent-state")
        self._quarantine_topic = settings.topic("consent-quarantine")

    @property
    def offset_next(self) -> int:
        """The first offset that is not in the committed rows."""
        watermark = self._rows.watermark
        return 0 if watermark is None else watermark.position.offset + 1

    def broker_time(self) -> int | None:
        """To be read before the end is asked for: see EndSeen."""
        return self._time.now()

    def saw_end(self, end: EndSeen) -> None:
        """The heartbeat's question has been answered. Raises UntrustedLog when the log became shorter."""
        if end.offset_next < end.known_next:
            self._truncated += 1
            if self._truncated > 1:
                raise UntrustedLog(
                    f"the log ends at {end.offset_next}, and {end.known_next} records had been folded",
                    where=f"consent-events-{self.partition}",
                    remedy="it was truncated or recreated: restore it, or migrate to a new epoch",
                )
            return
        self._truncated = 0
        self._ends.append(end)
        self.inbox.nudge()

    async def hold(self) -> None:
        """Write nothing more until `go_on`; returns when what is being written is committed."""
        await self._turn.acquire()

    def go_on(self) -> None:
        self._turn.release()

    async def run(self) -> None:
        """Until cancelled. Whatever it raises must end the process."""
        while True:
            batches = await self.inbox.take(self._settings.batch_records)
            records = self._contiguous(batches)
            if records is None:
                self._check_patience()
                await self._stall.read_again_if_due()
                continue
            async with self._turn:
                await self._fold(records)
            for batch in batches:
                await batch.ack()
            if records or not self._ends:
                self._stall.moved()
            elif not batches:
                await self._stall.read_again_if_due()

    def _contiguous(self, batches: list[Batch]) -> list[Any] | None:
        """The records not yet folded, in order; None where one is missing: what follows it must not be folded."""
        offset_next = self.offset_next
        records: list[Any] = []
        for batch in batches:
            for record in batch.records:
                if record.offset < offset_next:
                    continue  # read again after a rebalance
                if record.offset > offset_next:
                    return None
                records.append(record)
                offset_next += 1
        if records:
            self._gap_since = None
        return records

    def _check_patience(self) -> None:
        now = time.monotonic()
        if self._gap_since is None:
            self._gap_since = now
        if now - self._gap_since > GAP_PATIENCE_S:
            raise UntrustedLog(
                f"offset {self.offset_next} is missing",
                where=f"consent-events-{self.partition}",
                remedy="the log is never compacted or shortened; run `consentry topics check`",
            )

    async def _fold(self, records: list[Any]) -> None:
        states: dict[str, SubjectState] = {}
        quarantined: list[QuarantinedRecord] = []
        changed: dict[str, SubjectState] = {}

        def state_of(subject: str) -> SubjectState | None:
            state = states.get(subject)
            if state is None:
                row = self._rows.row(subject.encode())
                if row is not None:
                    state = states[subject] = decode_row(row)
            return state

        for number, record in enumerate(records, 1):
            folded = fold_record(_raw(record), self._identity, state_of)
            if folded.state is not None and folded.changed:
                states[folded.state.subject] = changed[folded.state.subject] = folded.state
            if folded.quarantined is not None:
                quarantined.append(folded.quarantined)
            if number == 1:
                self._reached(Stage.DECODED)
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        if records:
            self._reached(Stage.FOLDED)
        watermark = self._next_watermark(records[-1] if records else None)
        if watermark is not None:
            await self._write(changed, quarantined, watermark)

    def _next_watermark(self, last: Any | None) -> Watermark | None:
        """The watermark after `last`; without one only a heartbeat that says something new."""
        held = self._rows.watermark
        offset_next = self.offset_next if last is None else last.offset + 1
        proven = None
        while self._ends and self._ends[0].offset_next <= offset_next:
            proven = self._ends.popleft()
        if last is None and (proven is None or held is None):
            return None
        complete_at = held.complete_at if held is not None else 0
        policy_offset = held.policy_offset if held is not None else None
        if proven is not None and proven.asked_at is not None:
            complete_at = max(complete_at, proven.asked_at)
            policy_offset = proven.policy_offset_last
        if last is None:
            assert held is not None
            return msgspec.structs.replace(held, complete_at=complete_at, policy_offset=policy_offset)
        return Watermark(
            log_id=self._identity.log_id.bytes,
            position=Position(self._identity.epoch, self.partition, last.offset),
            record_hash=record_hash(last.offset, last.timestamp, last.key, last.value),
            complete_at=complete_at,
            policy_offset=policy_offset,
        )

    async def _write(
        self, changed: dict[str, SubjectState], quarantined: list[QuarantinedRecord], watermark: Watermark
    ) -> None:
        rows: dict[bytes, bytes] = {}
        for number, (subject, state) in enumerate(changed.items(), 1):
            rows[subject.encode()] = encode_row(state)
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        written_watermark = encode_watermark(watermark)
        outgoing = [Outgoing(self._state_topic, self.partition, key, row) for key, row in rows.items()]
        # after the rows, so that a reader that has the watermark has the rows it speaks of
        outgoing.append(Outgoing(self._state_topic, self.partition, WATERMARK_KEY, written_watermark))
        outgoing.extend(
            Outgoing(
                self._quarantine_topic,
                self.partition,
                record.subject.encode() if record.subject is not None else None,
                encode_quarantined(record),
            )
            for record in quarantined
        )
        appended_at = await self._writer.write(outgoing)
        self._time.heard(appended_at)
        self._reached(Stage.WRITTEN)
        self._reached(Stage.BEFORE_COMMIT)
        await self._writer.commit()
        for key, row in rows.items():
            self._rows.put(key, row)
        self._rows.watermark = watermark
        self._reached(Stage.BEFORE_ACK)


def _raw(record: Any) -> RawRecord:
    return RawRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)


class IntakeOwner:
    """Takes in one partition of an intake topic; an offset is durable when its events are in the log."""

    def __init__(
        self,
        handle: Callable[[Sequence[Any]], Awaitable[None]],
        *,
        read_again: Callable[[], Awaitable[None]],
        reached: Reached = nothing,
    ) -> None:
        self.durable_next: int | None = None
        self.inbox = Inbox()
        self._handle = handle
        self._reached = reached
        self._stall = Stall(read_again)
        self._reads_from = 0

    def sought(self, offset: int) -> None:
        """The topic is read on from there."""
        self._reads_from = offset

    def saw_end(self, offset_next: int) -> None:
        """The topic ended there."""
        if offset_next <= max(self._reads_from, self.durable_next or 0):
            self._stall.moved()
        else:
            self.inbox.nudge()

    async def run(self) -> None:
        """Until cancelled. Whatever it raises must end the process."""
        while True:
            batches = await self.inbox.take(1)
            if not batches:
                await self._stall.read_again_if_due()
            for batch in batches:
                await self._handle(batch.records)
                self._reached(Stage.TAKEN_IN)
                # what is read again may lie before what is durable already
                self.durable_next = max(self.durable_next or 0, batch.records[-1].offset + 1)
                self._stall.moved()
                await batch.ack()
