"""ConsentTable: the rows of the partitions that this worker owns, restored from consent-state. No rules."""

import logging
import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consentry.codec import record_hash
from consentry.errors import Unavailable, UntrustedLog
from consentry.events import Genesis
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.replica.reader import StateReader
from consentry.replica.rows import PartitionRows
from consentry.settings import Settings
from consentry.state.row import Watermark

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 2 * 1024 * 1024


class ConsentTable:
    """Per-subject rows of consent state, one set for each owned partition."""

    def __init__(self, settings: Settings, identity: Genesis) -> None:
        self._settings = settings
        self._identity = identity
        self.partitions: dict[int, PartitionRows] = {}

    async def restore(self, partitions: set[int]) -> None:
        """Read the rows of newly owned partitions. Their writers have been started, so nobody else writes them.

        Raises Unavailable, UntrustedLog.
        """
        if not partitions:
            return
        started = time.monotonic()
        reader = StateReader(self._settings, partitions)
        await reader.start()
        try:
            await reader.read_to_end(self._settings.restore_timeout_ms)
        finally:
            await reader.stop()
        for partition, rows in reader.rows.items():
            if rows.watermark is not None:
                await self._verify(rows.watermark)
            self.partitions[partition] = rows
        log.info(
            "table.restored",
            extra={
                "partitions": sorted(partitions),
                "rows": sum(len(rows) for rows in reader.rows.values()),
                "records": reader.records_read,
                "seconds": round(time.monotonic() - started, 2),
            },
        )

    def drop(self, partition: int) -> None:
        self.partitions.pop(partition, None)

    async def _verify(self, watermark: Watermark) -> None:
        """The record at the watermark must still be the one that was folded: the same log, not cut, not swapped."""
        topic = self._settings.topic("consent-events")
        where = f"{topic}-{watermark.position.partition}@{watermark.position.offset}"
        remedy = "this is not the log that the rows were folded from; `consentry topics check` tells more"
        if watermark.log_id != self._identity.log_id.bytes or watermark.position.epoch != self._identity.epoch:
            raise UntrustedLog("the rows belong to another log or epoch", where=where, remedy=remedy)
        found = await self._hash_at(TopicPartition(topic, watermark.position.partition), watermark.position.offset)
        if found is None:
            raise UntrustedLog("the log ends before the last record that was folded", where=where, remedy=remedy)
        if found != watermark.record_hash:
            raise UntrustedLog("another record stands where the last one was folded", where=where, remedy=remedy)

    async def _hash_at(self, tp: TopicPartition, offset: int) -> bytes | None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
            **CONSUMER_DEFAULTS,
        )
        try:
            await consumer.start()
            consumer.assign([tp])
            if not (await consumer.beginning_offsets([tp]))[tp] <= offset < (await consumer.end_offsets([tp]))[tp]:
                return None
            consumer.seek(tp, offset)
            record = await consumer.getone(tp)
        except KafkaError as fault:
            raise Unavailable(f"{tp.topic} cannot be read: {fault!r}") from fault
        finally:
            await consumer.stop()
        if record.offset != offset:
            return None
        return record_hash(record.offset, record.timestamp, record.key, record.value)
