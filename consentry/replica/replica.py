"""ConsentReplica: asks and answers in this process, and denies when it cannot prove how fresh it is."""

import asyncio
import heapq
import logging
import time
from collections.abc import AsyncGenerator
from itertools import islice

from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from consentry.decision import Decision, Request, View, decide
from consentry.errors import ConsentryError, UndecodableRecord, UntrustedLog
from consentry.events import Genesis
from consentry.partition import partition_of
from consentry.policy import Policies
from consentry.replica.freshness import age_ms, monotonic_ms
from consentry.replica.policies import PolicyFollower, _within
from consentry.replica.reader import StateReader
from consentry.replica.rows import PartitionRows
from consentry.replica.subscribers import Subscriber
from consentry.settings import Settings
from consentry.state.row import SubjectState, Watermark
from consentry.terms import Position

log = logging.getLogger(__name__)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class ConsentReplica:
    """A copy of all partitions, kept current by a task of this event loop. `check` is synchronous and does no I/O.

    `identity` is the genesis of the log as the caller has verified it; without one the replica takes that of
    policy-revisions.
    """

    def __init__(self, settings: Settings, identity: Genesis | None = None) -> None:
        self._settings = settings
        self._identity = identity
        self._policies = PolicyFollower(settings)
        self._reader: StateReader | None = None
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()
        self._subscribers: set[Subscriber] = set()
        self._stopped = False
        self._complete = False
        self._failure: ConsentryError | None = None

    async def start(self) -> None:
        """Read all there is, then follow. Raises UntrustedLog, UndecodableRecord, Unavailable."""
        await self._policies.start()
        genesis = self._policies.genesis
        if genesis is None:
            raise UntrustedLog("policy-revisions has no genesis", remedy="run `consentry topics create`")
        if self._identity is None:
            self._identity = genesis
        if (genesis.log_id, genesis.epoch) != (self._identity.log_id, self._identity.epoch):
            raise UntrustedLog("policy-revisions belongs to another log", remedy="run `consentry topics check`")
        self._reader = StateReader(self._settings, range(self._identity.partitions), self._publish_change)
        await self._reader.start()
        await self._reader.read_to_end(self._settings.restore_timeout_ms)
        self._complete = True
        self._task = asyncio.create_task(self._follow(), name="replica")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._reader is not None:
            await self._reader.stop()
        await self._policies.stop()
        self._stopped = True
        for subscriber in self._subscribers:
            subscriber.close()

    @property
    def identity(self) -> Genesis:
        if self._identity is None:
            raise UntrustedLog("the replica has not started")
        return self._identity

    @property
    def policies(self) -> Policies:
        return self._policies.policies

    @property
    def ready(self) -> bool:
        return not self.not_ready_because

    @property
    def not_ready_because(self) -> str:
        """Why nothing is allowed here, or "" when the replica is complete and trusts what it follows."""
        failure = self._failure or self._policies.failure
        if failure is not None:
            return str(failure)
        if not self._complete or self._reader is None:
            return "the state is still being read"
        if not self.policies.revisions:
            return "no policy has been published"
        for partition, rows in self._reader.rows.items():
            if self._clock_is_behind(rows):
                return "this machine's clock is behind the broker's"
            if self.staleness_ms(partition) is None:
                return f"partition {partition} has no heartbeat of this log: does a worker run?"
        return ""

    @property
    def watermarks(self) -> dict[int, Watermark]:
        rows = self._reader.rows if self._reader is not None else {}
        return {partition: held.watermark for partition, held in rows.items() if held.watermark is not None}

    @property
    def subjects(self) -> int:
        """How many subjects the replica holds."""
        return sum(len(rows) for rows in self._reader.rows.values()) if self._reader is not None else 0

    def subjects_after(self, subject: str, limit: int) -> tuple[str, ...]:
        """The next subjects held here, by name (as bytes); "" begins. At the most `limit`, fewer only at the end."""
        if self._reader is None:
            return ()
        key = subject.encode()
        following = heapq.merge(*(rows.keys_after(key, limit) for rows in self._reader.rows.values()))
        return tuple(each.decode() for each in islice(following, limit))

    def staleness_ms(self, partition: int, now: int | None = None) -> int | None:
        """How old the rows of a partition can be at the most, the policies too; None when nothing proves it."""
        now = _now_ms() if now is None else now
        if self._failure is not None or self._policies.failure is not None or not self._complete:
            return None
        of_rows = self._staleness_of(partition, now)
        of_policies = self._staleness_of_policies(now)
        if of_rows is None or of_policies is None:
            return None
        return max(of_rows, of_policies)

    def _staleness_of(self, partition: int, now: int) -> int | None:
        assert self._reader is not None
        rows, identity = self._reader.rows[partition], self.identity
        watermark, heard = rows.watermark, rows.heard
        if watermark is None or heard is None or self._clock_is_behind(rows):
            return None
        if watermark.position.epoch != identity.epoch or watermark.log_id != identity.log_id.bytes:
            return None
        return age_ms(watermark, heard, now=now, monotonic_now=monotonic_ms())

    def _clock_is_behind(self, rows: PartitionRows) -> bool:
        return rows.heard is not None and rows.heard.behind_ms > self._settings.clock_tolerance_ms

    def _staleness_of_policies(self, now: int) -> int | None:
        """The owner of partition 0 says where policy-revisions ended; what we hold must reach as far."""
        assert self._reader is not None
        watermark = self._reader.rows[0].watermark
        if watermark is None or watermark.policy_offset is None:
            return None
        if watermark.policy_offset >= self._policies.offset_next:
            return None
        return self._staleness_of(0, now)

    def view(self, subject: str, now: int | None = None) -> View:
        """What is known of the subject here and now. A row that cannot be read is known as nothing, and stale."""
        identity = self.identity
        partition = partition_of(subject, identity.partitions)
        nowhere = Position(identity.epoch, partition, -1)
        if self._reader is None:
            return View(row=None, position=nowhere, staleness_ms=None)
        rows = self._reader.rows[partition]
        position = rows.watermark.position if rows.watermark is not None else nowhere
        try:
            row = rows.state(subject)
        except UndecodableRecord as fault:
            log.error("row.undecodable", extra={"partition": partition, "error": str(fault)})
            return View(row=None, position=position, staleness_ms=None)
        return View(row=row, position=position, staleness_ms=self.staleness_ms(partition, now))

    def check(self, request: Request, now: int | None = None) -> Decision:
        """The answer, at `now` (ms; by default this machine's clock)."""
        now = _now_ms() if now is None else now
        return decide(self.view(request.subject, now), self.policies, request, now)

    async def wait_for(self, position: Position, timeout_ms: int) -> bool:
        """True once the view includes the record at `position`; False when the time is over, or never will be."""
        identity = self.identity
        if position.epoch != identity.epoch or not 0 <= position.partition < identity.partitions:
            return False
        if self._reached(position):
            return True
        return await _within(timeout_ms, self._wait_until_reached(position))

    async def _wait_until_reached(self, position: Position) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._reached(position))

    def _reached(self, position: Position) -> bool:
        watermark = self._reader.rows[position.partition].watermark if self._reader is not None else None
        return watermark is not None and watermark.position >= position

    async def changes(self) -> AsyncGenerator[SubjectState, None]:
        """Each change of a subject's state as it becomes visible here, from now on.

        It is handed on before the watermark that covers it is seen in `watermarks`, or well within a second after that,
        unless this process is held up: a watcher's place to resume at rests on it.

        Ends when the replica is stopped. Raises what made the replica fail, and ConsentryError when this subscriber
        lags so far behind that changes were lost to it.
        """
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        try:
            if self._stopped or self._failure is not None:
                subscriber.close(self._failure)
            while (state := await subscriber.next()) is not None:
                yield state
        finally:
            self._subscribers.discard(subscriber)

    def _publish_change(self, rows: PartitionRows, key: bytes) -> None:
        if not self._subscribers:
            return
        try:
            state = rows.state(key.decode())
        except (UndecodableRecord, UnicodeDecodeError) as fault:
            log.error("row.undecodable", extra={"partition": rows.partition, "error": str(fault)})
            return
        for subscriber in self._subscribers:
            if state is not None:
                subscriber.hand_on(state)

    async def _follow(self) -> None:
        assert self._reader is not None
        while True:
            try:
                moved = await self._reader.poll()
            except OffsetOutOfRangeError as fault:
                raise UntrustedLog(
                    f"consent-state no longer holds the offsets that follow: {fault!r}",
                    remedy="it was deleted, cut or made anew; start again once `consentry topics check` is content",
                ) from fault
            except KafkaError as fault:
                # freshness runs out by itself, and answers become STALE
                log.warning("state.poll_failed", extra={"error": repr(fault)})
                await asyncio.sleep(0.5)
                continue
            if moved:
                async with self._moved:
                    self._moved.notify_all()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ended the following, nothing may rest on this copy any more."""
        fault = None if task.cancelled() else task.exception()
        if fault is None:
            return
        self._failure = (
            fault if isinstance(fault, ConsentryError) else ConsentryError(f"{type(fault).__name__}: {fault}")
        )
        log.error("replica.stopped", extra={"error": str(self._failure)})
        for subscriber in self._subscribers:
            subscriber.close(self._failure)
