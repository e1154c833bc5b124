"""The one reader of consent-state: StateTopic for copies on disk, StateReader for a worker's rows in memory."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consentry.errors import Unavailable
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.replica.freshness import Heard, monotonic_ms
from consentry.replica.rows import WATERMARK_KEY, PartitionRows
from consentry.settings import Settings

TOPIC = "consent-state"
POLL_MS = 500
FETCH_WAIT_MS = 100
"""how long a broker keeps a question open that it has no answer to; until then it is asked nothing else"""
POLL_RECORDS = 10_000
FETCH_BYTES = 8 * 1024 * 1024


class Fetched(msgspec.Struct, frozen=True):
    """Records by partition, and when they were taken in, by both of this process's clocks."""

    records: Mapping[int, Sequence[Any]]
    wall_at: int
    monotonic_at: int


class StateTopic:
    """Reads partitions of consent-state, committed records alone."""

    def __init__(self, settings: Settings, partitions: Iterable[int]) -> None:
        self._topic = settings.topic(TOPIC)
        self._tps = {partition: TopicPartition(self._topic, partition) for partition in partitions}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap_servers,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            **CONSUMER_DEFAULTS,
        )

    async def start(self) -> None:
        """Raises Unavailable."""
        try:
            await self._consumer.start()
        except KafkaError as fault:
            await self._consumer.stop()
            raise Unavailable(f"{self._topic} cannot be read: {fault!r}") from fault
        self._consumer.assign(list(self._tps.values()))
        self.seek(dict.fromkeys(self._tps, 0))

    async def stop(self) -> None:
        await self._consumer.stop()

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Where to read on, by partition."""
        for partition, offset in offsets.items():
            self._consumer.seek(self._tps[partition], offset)

    async def begins(self) -> dict[int, int]:
        """The first offset of each partition. Raises KafkaError."""
        found = await self._consumer.beginning_offsets(list(self._tps.values()))
        return {tp.partition: offset for tp, offset in found.items()}

    async def ends(self) -> dict[int, int]:
        """The offset after the last committed record of each partition. Raises KafkaError."""
        found = await self._consumer.end_offsets(list(self._tps.values()))
        return {tp.partition: offset for tp, offset in found.items()}

    async def short_of(self, ends: Mapping[int, int]) -> dict[int, int]:
        """The partitions that have not been read as far as that."""
        # a position passes the markers of transactions, which no reader gets
        return {
            partition: end
            for partition, end in ends.items()
            if await self._consumer.position(self._tps[partition]) < end
        }

    async def fetch(self, max_records: int = POLL_RECORDS, wait_ms: int = POLL_MS) -> Fetched:
        """What there is; waits so long for it at the most. Raises KafkaError."""
        batches = await self._consumer.getmany(timeout_ms=wait_ms, max_records=max_records)
        wall_at, monotonic_at = time.time_ns() // 1_000_000, monotonic_ms()
        return Fetched({tp.partition: records for tp, records in batches.items()}, wall_at, monotonic_at)


class StateReader(StateTopic):
    """Reads them from the beginning into PartitionRows."""

    def __init__(
        self,
        settings: Settings,
        partitions: Iterable[int],
        on_change: Callable[[PartitionRows, bytes], None] | None = None,
    ) -> None:
        self.rows = {partition: PartitionRows(partition) for partition in partitions}
        super().__init__(settings, self.rows)
        self._on_change = on_change
        self.records_read = 0

    async def read_to_end(self, timeout_ms: int) -> None:
        """Until everything is read that was committed when this was called.

        Raises Unavailable when the time is over; UntrustedLog, UndecodableRecord as `poll`.
        """
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                begins, ends = await self.begins(), await self.ends()
                self.seek(begins)
                rest = {partition: end for partition, end in ends.items() if end > begins[partition]}
                while rest:
                    await self.poll()
                    rest = await self.short_of(rest)
        except TimeoutError as fault:
            raise Unavailable(
                f"{self._topic} was not read to its end within {timeout_ms} ms", remedy="raise restore_timeout_ms"
            ) from fault
        except KafkaError as fault:
            raise Unavailable(f"{self._topic} cannot be read: {fault!r}") from fault

    async def poll(self) -> int:
        """Take in what there is; wait POLL_MS for it at the most. The number of records.

        Raises KafkaError, UntrustedLog, UndecodableRecord (a watermark that cannot be read).
        """
        fetched = await self.fetch()
        count = 0
        for partition, records in fetched.records.items():
            rows = self.rows[partition]
            for record in records:
                if record.key == WATERMARK_KEY:
                    rows.hear(record.value, Heard(record.timestamp, fetched.wall_at, fetched.monotonic_at))
                elif rows.apply(record.key, record.value) and self._on_change is not None:
                    self._on_change(rows, record.key)
            count += len(records)
        self.records_read += count
        return count
