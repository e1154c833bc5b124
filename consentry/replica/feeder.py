"""Feeder: from the topics into a host's copy. One process of a host runs one; all the others only read."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import lmdb
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from msgspec.structs import replace

from consentry.codec import decode_state_record
from consentry.codec.ranks import row_rank
from consentry.errors import ConsentryError, Unavailable, UntrustedLog
from consentry.events import Genesis
from consentry.replica.compact import compact_row
from consentry.replica.freshness import Heard, clock_name, monotonic_ms
from consentry.replica.head import Head, PartitionHead, PolicyRecord, Proof
from consentry.replica.home import Home
from consentry.replica.policies import PolicyFollower
from consentry.replica.reader import POLL_MS, POLL_RECORDS, Fetched, StateTopic
from consentry.replica.resume import anchor_of, resumed, why_not
from consentry.replica.rows import WATERMARK_KEY
from consentry.replica.store import DAMAGED, KEY_BYTES, UNREADABLE, Store
from consentry.settings import Settings
from consentry.state.row import Watermark

log = logging.getLogger(__name__)

FOLLOW_RECORDS: Final = 2_000
"""of one transaction, once all has been read: the event loop serves others between two of them"""
PAUSE_MS: Final = 1_000
"""a loop that took longer for a round was paused: what it reads first may have waited for it, and proves no age"""
LAST_WAIT_MS: Final = 20
"""while it catches up: at the end may stand a transaction's marker, for which no reader is woken"""
RETRY_S: Final = 0.5
TIDY_EVERY_MS: Final = 60_000
NEVER: Final = 1 << 62


class Feeder:
    """Keeps the copy current by a task of the event loop that started it. Whoever makes one holds the feeder's lock."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        identity: Genesis | None,
        *,
        on_change: Callable[[bytes], None],
        on_lost: Callable[[], None],
        on_moved: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._home = home
        self._identity = identity
        self._on_change = on_change
        self._on_lost = on_lost
        self._on_moved = on_moved
        self._policies = PolicyFollower(settings, self._policy_came)
        self._records: list[PolicyRecord] = []
        """all of policy-revisions; few, and a copy that is made anew needs them again"""
        self._topic: StateTopic | None = None
        self._task: asyncio.Task[None] | None = None
        self._store: Store | None = None
        self._head: Head | None = None
        self._until: dict[int, int] = {}
        """how far it has to read before all is there"""
        self._proves_from: dict[int, int] = {}
        """by partition, the first offset whose heartbeat proves an age; before it lies what may have waited for us"""
        self._fetched_at = 0
        self._tidied_at = monotonic_ms()
        self.records_read = 0
        self.failure: ConsentryError | None = None
        self.trouble = ""
        """what keeps it from writing, for as long as it does"""

    @property
    def identity(self) -> Genesis | None:
        return self._identity

    async def start(self) -> None:
        """Read all there is, then follow. Raises UntrustedLog, UndecodableRecord, Unavailable."""
        try:
            await self._start()
        except KafkaError as fault:
            await self.stop()
            raise Unavailable(f"consent-state cannot be read: {fault!r}") from fault
        except lmdb.Error as fault:
            await self.stop()
            raise Unavailable(f"the copy cannot be written: {fault}") from fault
        except BaseException:
            await self.stop()
            raise
        self._task = asyncio.create_task(self._follow(), name="replica-feeder")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        topic, self._topic = self._topic, None
        if topic is not None:
            await topic.stop()
        await self._policies.stop()
        if task is not None and self.failure is None:
            self._close_in_order()

    # the beginning

    async def _start(self) -> None:
        began_at = monotonic_ms()
        looking = asyncio.create_task(self._home.open_whole())  # a process of its own looks, while this one connects
        try:
            await self._policies.start()
            identity = self._checked_identity()
            self._topic = StateTopic(self._settings, range(identity.partitions))
            await self._topic.start()
            store = await looking
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        head = self._usable(store, identity) if store is not None else None
        offsets = await resumed(self._topic, head) if head is not None else None
        if store is None or head is None or offsets is None:
            await self._begin_anew(identity)
        else:
            await self._go_on(store, head, offsets)
        self._fetched_at = monotonic_ms()
        try:
            async with asyncio.timeout(self._settings.restore_timeout_ms / 1000):
                while self._until:
                    await self._round(POLL_RECORDS, LAST_WAIT_MS)
        except TimeoutError as fault:
            raise Unavailable(
                f"consent-state was not read to its end within {self._settings.restore_timeout_ms} ms",
                where=self.trouble,
                remedy="raise restore_timeout_ms",
            ) from fault
        said = {"rows": self._known.rows, "records": self.records_read, "ms": monotonic_ms() - began_at}
        log.info("replica.complete", extra=said)

    def _checked_identity(self) -> Genesis:
        genesis = self._policies.genesis
        if genesis is None:
            raise UntrustedLog("policy-revisions has no genesis", remedy="run `consentry topics create`")
        if self._identity is None:
            self._identity = genesis
        if (genesis.log_id, genesis.epoch) != (self._identity.log_id, self._identity.epoch):
            raise UntrustedLog("policy-revisions belongs to another log", remedy="run `consentry topics check`")
        return self._identity

    def _usable(self, store: Store, identity: Genesis) -> Head | None:
        """The head of a copy that may be fed on; None where it has to be made anew."""
        try:
            head = store.head()
            because = why_not(head, identity) or self._other_policies(store)
        except UNREADABLE as fault:
            head, because = None, str(fault)
        if because:
            log.warning("replica.made_anew", extra={"because": because})
            return None
        return head

    def _other_policies(self, store: Store) -> str:
        held = store.policy_records()
        return "" if held == self._records[: len(held)] else "its policies are of another log"

    async def _begin_anew(self, identity: Genesis) -> None:
        assert self._topic is not None
        begins, ends = await self._topic.begins(), await self._topic.ends()
        self._store = self._home.begin_anew(identity)
        self._head = Head.empty(identity)
        self._write_policies()
        self._topic.seek(begins)
        self._until = ends
        # nothing older is known: what is read first counts by the wall clock
        self._proves_from = dict.fromkeys(begins, 0)
        self._on_lost()

    async def _go_on(self, store: Store, head: Head, offsets: Mapping[int, int]) -> None:
        assert self._topic is not None
        ends = await self._topic.ends()
        partitions = head.partitions
        if head.clock != clock_name():
            partitions = tuple(replace(each, proof=None) for each in partitions)
        self._store = store
        self._head = replace(head, clock=clock_name(), partitions=partitions, failure="", closed=False)
        store.put_head(self._head)
        if head.closed:
            store.sync()  # so that no crash of the machine leaves a copy that says that it was closed
        self._write_policies()
        self._topic.seek(offsets)
        self._until = ends
        # of this boot an older proof is held, and what waited for us adds nothing to it
        self._proves_from = ends if head.clock == clock_name() else dict.fromkeys(ends, 0)

    def _close_in_order(self) -> None:
        """So that the copy may be trusted after the machine has been started anew."""
        if self._store is None or self._head is None or self._home.private:
            return
        try:
            self._store.sync()
            self._store.put_head(replace(self._head, closed=True))
            self._store.sync()
        except lmdb.Error as fault:
            log.warning("replica.not_closed", extra={"error": str(fault)})

    # on and on

    async def _follow(self) -> None:
        while True:
            try:
                await self._round(FOLLOW_RECORDS, POLL_MS)
            except OffsetOutOfRangeError as fault:
                raise UntrustedLog(
                    f"consent-state no longer holds the offsets that follow: {fault!r}",
                    remedy="it was deleted, cut or made anew; start again once `consentry topics check` is content",
                ) from fault
            except (KafkaError, Unavailable) as fault:
                # freshness runs out by itself, and answers become STALE
                log.warning("state.poll_failed", extra={"error": repr(fault)})
                await asyncio.sleep(RETRY_S)

    async def _round(self, max_records: int, wait_ms: int) -> None:
        assert self._topic is not None
        assert self._store is not None
        try:
            if NEVER in self._proves_from.values():
                await self._prove_again()
            self._fail_with_the_policies()
            self._write_policies()
            fetched = await self._topic.fetch(max_records, wait_ms)
            if fetched.monotonic_at - self._fetched_at > PAUSE_MS:
                log.warning("replica.paused", extra={"ms": fetched.monotonic_at - self._fetched_at})
                self._proves_from = dict.fromkeys(self._proves_from, NEVER)
            self._fetched_at = fetched.monotonic_at
            if fetched.records:
                await self._take_in(fetched)
                self.records_read += sum(map(len, fetched.records.values()))
            if self._until:
                self._until = await self._topic.short_of(self._until)
                if not self._until:
                    await self._write((), replace(self._known, complete=True))
            self._tidy()
        except DAMAGED as fault:
            log.error("replica.made_anew", extra={"because": str(fault)})
            await self._mend()
        self._on_moved()

    async def _prove_again(self) -> None:
        """A heartbeat that is written after this question was asked cannot have waited for us before it."""
        assert self._topic is not None
        asked_at = monotonic_ms()
        ends = await self._topic.ends()
        if monotonic_ms() - asked_at <= PAUSE_MS:
            self._proves_from = ends
        self._fetched_at = monotonic_ms()

    async def _mend(self) -> None:
        """Another copy, from the beginning: this one cannot be written, or not be read."""
        await self._begin_anew(self._checked_identity())

    def _fail_with_the_policies(self) -> None:
        if self._policies.failure is not None:
            raise self._policies.failure

    @property
    def _known(self) -> Head:
        assert self._head is not None
        return self._head

    async def _take_in(self, fetched: Fetched) -> None:
        heads = list(self._known.partitions)
        rows: dict[bytes, tuple[int, bytes]] = {}
        for partition, records in fetched.records.items():
            heads[partition] = self._read(partition, heads[partition], records, fetched, rows)
        compact = [(key, compact_row(partition, key, value)) for key, (partition, value) in rows.items()]
        changed = await self._write(compact, replace(self._known, partitions=tuple(heads)))
        if self._known.complete:
            for key in changed:
                self._on_change(key)

    def _read(
        self,
        partition: int,
        head: PartitionHead,
        records: Sequence[Any],
        fetched: Fetched,
        rows: dict[bytes, tuple[int, bytes]],
    ) -> PartitionHead:
        """The partition's head after these records; its rows, the greatest of each subject, go into `rows`."""
        watermark, proof, last_row = head.watermark, head.proof, None
        for record in records:
            key, value = record.key, record.value
            _refuse_odd(partition, key, value)
            if key != WATERMARK_KEY:
                former = rows.get(key)
                if former is None or row_rank(former[1], key) <= row_rank(value, key):
                    rows[key] = (partition, value)
                last_row = record
                continue
            told = _watermark(partition, value)
            if watermark is not None and told.rank < watermark.rank:
                continue
            watermark = told
            if record.offset >= self._proves_from[partition]:
                heard = Heard(record.timestamp, fetched.wall_at, fetched.monotonic_at)
                # no owner can have known of a time that came after its word was written
                proof = Proof(min(told.complete_at, record.timestamp), told.policy_offset, heard)
        return PartitionHead(
            offset_next=records[-1].offset + 1,
            watermark=watermark,
            proof=proof,
            last_row=head.last_row if last_row is None else anchor_of(last_row),
            last_record=anchor_of(records[-1]),
        )

    async def _write(self, rows: Iterable[tuple[bytes, bytes]], head: Head) -> list[bytes]:
        """Until it is written. Meanwhile the copy grows older, and readers deny. Raises one of DAMAGED."""
        assert self._store is not None
        rows = list(rows)
        while True:
            # a revision may have come while it waited
            head = replace(head, policies_next=self._known.policies_next)
            try:
                self._head, changed = self._store.take_in(rows, head)
            except lmdb.MapFullError:
                if not self._store.grow():
                    await self._wait("the copy is as large as replica_max_bytes allows")
            except DAMAGED:
                raise
            except lmdb.Error as fault:
                await self._wait(f"the copy cannot be written: {fault}")
            else:
                self.trouble = ""
                return changed

    async def _wait(self, trouble: str) -> None:
        if self.trouble != trouble:
            log.error("replica.not_written", extra={"error": trouble})
        self.trouble = trouble
        await asyncio.sleep(RETRY_S)

    # the policies

    def _policy_came(self, record: PolicyRecord) -> None:
        self._records.append(record)
        if self._task is not None:
            self._write_policies()
            self._on_moved()

    def _write_policies(self) -> None:
        """Before the heartbeat that speaks of them, or else nothing is proven until the next round."""
        waiting = self._records[self._known.policies_next :] if self._store is not None else []
        if not waiting or self._store is None:
            return
        head = replace(self._known, policies_next=waiting[-1].offset + 1)
        try:
            self._store.put_policies(waiting, head)
        except lmdb.MapFullError:
            self._store.grow()
        except lmdb.Error as fault:
            log.error("replica.not_written", extra={"error": str(fault)})
        else:
            self._head = head

    # the end

    def _tidy(self) -> None:
        if monotonic_ms() - self._tidied_at > TIDY_EVERY_MS and self._store is not None:
            self._tidied_at = monotonic_ms()
            with suppress(lmdb.Error):  # the next time will do
                self._store.forget_dead_readers()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ended the following, nothing may rest on this copy any more: not here, and in no other process."""
        fault = None if task.cancelled() else task.exception()
        if fault is None:
            return
        self.failure = (
            fault if isinstance(fault, ConsentryError) else ConsentryError(f"{type(fault).__name__}: {fault}")
        )
        log.error("replica.stopped", extra={"error": str(self.failure)})
        try:
            if self._store is not None:
                self._head = replace(self._known, failure=str(self.failure))
                self._store.put_head(self._head)
        except lmdb.Error as also:  # then it grows old
            log.error("replica.not_written", extra={"error": str(also)})
        self._on_moved()


def _refuse_odd(partition: int, key: bytes | None, value: bytes | None) -> None:
    if key is None or value is None or not 0 < len(key) <= KEY_BYTES:
        what = "value" if key is not None and value is None else "key of ours"
        raise UntrustedLog(
            f"partition {partition} of consent-state has a record without {what}",
            remedy="find who writes this topic besides the workers, then rebuild it from the log",
        )


def _watermark(partition: int, value: bytes) -> Watermark:
    watermark = decode_state_record(value)
    if not isinstance(watermark, Watermark) or watermark.position.partition != partition:
        raise UntrustedLog(f"partition {partition} of consent-state holds another's watermark")
    return watermark
