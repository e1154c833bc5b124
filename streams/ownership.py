"""Which partitions this worker owns, and what has to happen when that changes. No rules."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from faust.types import TP

from consentry.events import Genesis
from consentry.settings import Settings
from streams.processors import Batch, IntakeOwner, PartitionOwner, Reached
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
        self._rebalances = 0
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

    def sought(self, tp: TP, offset: int) -> None:
        intake = self._intakes.get(tp)
        if intake is not None:
            intake.sought(offset)

    # records, from the agents

    async def put(self, tp: TP, batch: Batch) -> None:
        """Hand a batch to its partition's task; one of a partition that went elsewhere is dropped, and not acked."""
        owner = self._owners.get(tp.partition) if tp.topic == self._events else self._intakes.get(tp)
        if owner is not None:
            await owner.inbox.put(batch)

    # assignment

    async def hold(self) -> None:
        """A rebalance begins: write nothing until it is known what stays ours. A new owner would fence us for it."""
        self._rebalances += 1
        await asyncio.gather(*(self._hold(owner) for owner in list(self._owners.values())))

    async def _hold(self, owner: PartitionOwner) -> None:
        if owner.partition not in self._held:
            self._held[owner.partition] = owner
            await owner.hold()

    async def assign(self, assigned: set[TP]) -> None:
        """After a rebalance, before the streams go on. Raises Unavailable, UntrustedLog, KafkaError."""
        rebalance = self._rebalances
        await self._stop_intakes()
        owned = {tp.partition for tp in assigned if tp.topic == self._events}
        for partition in sorted(set(self._owners) - owned):
            await self._give_up(partition)
        await self._take_over(owned - set(self._owners))
        for tp in assigned:
            if tp.topic != self._events:
                self._start_intake(tp)
        if rebalance == self._rebalances:  # else another has begun meanwhile, and its end lets them go on
            for partition in list(self._held):
                self._held.pop(partition).go_on()
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
            await self._hold(owner)
            self._spawn(tp, owner.run())

    async def _give_up(self, partition: int) -> None:
        owner = self._owners.pop(partition, None)
        if owner is not None:
            owner.inbox.close()
        await self._cancel(TP(self._events, partition))
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
            self._intakes.pop(tp).inbox.close()
            await self._cancel(tp)

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

    # what the heartbeats ask about

    def owners(self) -> dict[int, PartitionOwner]:
        return dict(self._owners)

    def intakes(self) -> dict[TP, IntakeOwner]:
        return dict(self._intakes)
