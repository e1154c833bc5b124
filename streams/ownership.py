"""Which partitions this worker owns, and what has to happen when that changes. No rules."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from consentry.events import Genesis
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.settings import Settings
from streams.processors import Batch, EndSeen, IntakeOwner, PartitionOwner, Reached
from streams.tables import ConsentTable
from streams.writer import PartitionWriter

log = logging.getLogger(__name__)

Fatal = Callable[[BaseException], None]
Handle = Callable[[str, Sequence[Any]], Awaitable[None]]


class Ownership:
    """The owned partitions: their writers, rows and tasks. The transport asks it for positions."""

    def __init__(
        self,
        settings: Settings,
        identity: Genesis,
        *,
        handle_intake: Handle,
        seek_back: Callable[[TP], Awaitable[None]],
        fatal: Fatal,
        reached: Reached,
    ) -> None:
        self.table = ConsentTable(settings, identity)
        self._settings = settings
        self._identity = identity
        self._handle_intake = handle_intake
        self._seek_back = seek_back
        self._fatal = fatal
        self._reached = reached
        self._events = settings.topic("consent-events")
        self._writers: dict[int, PartitionWriter] = {}
        self._owners: dict[int, PartitionOwner] = {}
        self._held: dict[int, PartitionOwner] = {}
        self._intakes: dict[TP, IntakeOwner] = {}
        self._tasks: dict[TP, asyncio.Task[None]] = {}

    # positions, for the transport

    def offset_next(self, tp: TP) -> int | None:
        if tp.topic == self._events:
            owner = self._owners.get(tp.partition)
            return owner.offset_next if owner is not None else 0
        intake = self._intakes.get(tp)
        return intake.durable_next if intake is not None else None

    def durable_next(self, tp: TP) -> int | None:
        return self.offset_next(tp)

    # records, from the agents

    async def put(self, tp: TP, batch: Batch) -> None:
        """Hand a batch to its partition's task; one of a partition that went elsewhere is dropped, and not acked."""
        owner = self._owners.get(tp.partition) if tp.topic == self._events else self._intakes.get(tp)
        if owner is not None:
            await owner.put(batch)

    # assignment

    async def hold(self) -> None:
        """A rebalance begins: write nothing until it is known what stays ours. A new owner would fence us for it."""
        owners = {partition: owner for partition, owner in self._owners.items() if partition not in self._held}
        self._held |= owners
        await asyncio.gather(*(owner.hold() for owner in owners.values()))

    async def assign(self, assigned: set[TP]) -> None:
        """After a rebalance, before the streams go on. Raises Unavailable, UntrustedLog, KafkaError."""
        await self._stop_intakes()
        owned = {tp.partition for tp in assigned if tp.topic == self._events}
        for partition in sorted(set(self._owners) - owned):
            await self._give_up(partition)
        for partition in list(self._held):
            self._held.pop(partition).go_on()
        await self._take_over(owned - set(self._owners))
        for tp in assigned:
            if tp.topic != self._events:
                self._start_intake(tp)
        log.info("worker.assigned", extra={"partitions": sorted(owned), "intake_partitions": len(self._intakes)})

    async def _take_over(self, partitions: set[int]) -> None:
        writers = {partition: PartitionWriter(self._settings, partition) for partition in partitions}
        # First the writers: this fences the former owner. Then the rows, which nobody else can write any more.
        await asyncio.gather(*(writer.start() for writer in writers.values()))
        self._writers.update(writers)
        await self.table.restore(partitions)
        for partition, writer in writers.items():
            tp = TP(self._events, partition)
            owner = PartitionOwner(
                self._settings,
                self._identity,
                self.table.partitions[partition],
                writer,
                read_again=partial(self._seek_back, tp),
                reached=self._reached,
            )
            self._owners[partition] = owner
            self._spawn(tp, owner.run())

    async def _give_up(self, partition: int) -> None:
        await self._cancel(TP(self._events, partition))
        self._owners.pop(partition, None)
        self._held.pop(partition, None)
        self.table.drop(partition)
        writer = self._writers.pop(partition, None)
        if writer is not None:
            await writer.stop()

    def _start_intake(self, tp: TP) -> None:
        async def handle(records: Sequence[Any]) -> None:
            await self._handle_intake(tp.topic, records)

        intake = IntakeOwner(handle, read_again=partial(self._seek_back, tp), reached=self._reached)
        self._intakes[tp] = intake
        self._spawn(tp, intake.run())

    async def _stop_intakes(self) -> None:
        """What they had appended and not declared durable is appended again: a repeated event is known by its id."""
        for tp in list(self._intakes):
            await self._cancel(tp)
            del self._intakes[tp]

    async def stop(self) -> None:
        await self._stop_intakes()
        for partition in list(self._owners):
            await self._give_up(partition)

    def _spawn(self, tp: TP, work: Any) -> None:
        task = asyncio.create_task(work, name=f"{tp.topic}-{tp.partition}")
        task.add_done_callback(self._ended)
        self._tasks[tp] = task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._fatal(fault)

    async def _cancel(self, tp: TP) -> None:
        task = self._tasks.pop(tp, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # heartbeats

    async def beat(self) -> None:
        """Ask again and again where the owned partitions end: rows folded up to there were complete when we asked."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._settings.bootstrap_servers, **CONSUMER_DEFAULTS)
        await consumer.start()
        policies = TopicPartition(self._settings.topic("policy-revisions"), 0)
        try:
            while True:
                await asyncio.sleep(self._settings.heartbeat_interval_ms / 1000)
                owners: dict[TP, PartitionOwner | IntakeOwner] = {
                    TP(self._events, partition): owner for partition, owner in self._owners.items()
                }
                owners |= self._intakes
                tps = [TopicPartition(tp.topic, tp.partition) for tp in owners]
                at = time.time_ns() // 1_000_000  # before the question, so that the answer holds for it
                try:
                    ends = await consumer.end_offsets([*tps, policies]) if tps else {}
                except KafkaError as fault:
                    log.warning("heartbeat.failed", extra={"error": repr(fault)})
                    continue
                for tp, owner in owners.items():
                    policy_offset = ends[policies] - 1 if (tp.topic, tp.partition) == (self._events, 0) else None
                    owner.saw_end(EndSeen(at, ends[TopicPartition(tp.topic, tp.partition)], policy_offset))
        finally:
            await consumer.stop()
