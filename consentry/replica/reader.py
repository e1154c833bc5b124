"""StateReader: the one reader of consent-state. It restores workers, fills query nodes and is the replica elsewhere."""

import asyncio
import time
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consentry.errors import Unavailable
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.replica.freshness import Heard, monotonic_ms
from consentry.replica.rows import WATERMARK_KEY, PartitionRows
from consentry.settings import Settings

TOPIC = "consent-state"
POLL_MS = 500
POLL_RECORDS = 10_000
FETCH_BYTES = 8 * 1024 * 1024


class StateReader:
    """Reads partitions of consent-state from the beginning, committed records alone, into PartitionRows."""

    def __init__(
        self,
        settings: Settings,
        partitions: Iterable[int],
        on_change: Callable[[PartitionRows, bytes], None] | None = None,
    ) -> None:
        self.rows = {partition: PartitionRows(partition) for partition in partitions}
        self._topic = settings.topic(TOPIC)
        self._on_change = on_change
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap_servers,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            fetch_max_wait_ms=POLL_MS,
            **CONSUMER_DEFAULTS,
        )
        self.records_read = 0

    async def start(self) -> None:
        """Raises Unavailable."""
        try:
            await self._consumer.start()
        except KafkaError as fault:
            await self._consumer.stop()
            raise Unavailable(f"{self._topic} cannot be read: {fault!r}") from fault
        tps = [TopicPartition(self._topic, partition) for partition in self.rows]
        self._consumer.assign(tps)
        for tp in tps:
            self._consumer.seek(tp, 0)

    async def stop(self) -> None:
        await self._consumer.stop()

    async def read_to_end(self, timeout_ms: int) -> None:
        """Until everything is read that was committed when this was called.

        Raises Unavailable when the time is over; UntrustedLog, UndecodableRecord as `poll`.
        """
        tps = [TopicPartition(self._topic, partition) for partition in self.rows]
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                begins = await self._consumer.beginning_offsets(tps)
                ends = await self._consumer.end_offsets(tps)
                for tp in tps:
                    self._consumer.seek(tp, begins[tp])
                rest = {tp for tp in tps if ends[tp] > begins[tp]}
                while rest:
                    await self.poll()
                    # a position passes the markers of transactions, which no reader gets
                    rest = {tp for tp in rest if await self._consumer.position(tp) < ends[tp]}
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
        batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
        wall_at, monotonic_at = time.time_ns() // 1_000_000, monotonic_ms()
        count = 0
        for tp, records in batches.items():
            rows = self.rows[tp.partition]
            for record in records:
                if record.key == WATERMARK_KEY:
                    rows.hear(record.value, Heard(record.timestamp, wall_at, monotonic_at))
                elif rows.apply(record.key, record.value) and self._on_change is not None:
                    self._on_change(rows, record.key)
            count += len(records)
        self.records_read += count
        return count
