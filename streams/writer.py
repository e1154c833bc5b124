"""PartitionWriter: the fenced writer of one partition's rows. Knows no consent words."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from consentry.kafka_defaults import PRODUCER_DEFAULTS
from consentry.settings import Settings

BATCH_BYTES = 1024 * 1024
TRANSACTIONAL_IDS = 2
"""One id alone waits 20 ms between transactions: the client backs off until the broker has finished the former."""


class Outgoing(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    key: bytes | None
    value: bytes


class PartitionWriter:
    """Writes batches, each in one transaction; two transactional ids in turn.

    Starting it fences whoever wrote this partition before, and aborts what that one left open. From then on its
    writes fail with ProducerFenced.
    """

    def __init__(self, settings: Settings, partition: int) -> None:
        self.partition = partition
        self._turn = 0
        self._open: AIOKafkaProducer | None = None
        self._producers = [
            AIOKafkaProducer(
                bootstrap_servers=settings.bootstrap_servers,
                transactional_id=f"{settings.topic_prefix}consentry-{partition}-{number}",
                transaction_timeout_ms=settings.transaction_timeout_ms,
                max_batch_size=BATCH_BYTES,
                max_request_size=2 * BATCH_BYTES,
                **PRODUCER_DEFAULTS,
            )
            for number in range(TRANSACTIONAL_IDS)
        ]

    async def start(self) -> None:
        await asyncio.gather(*(producer.start() for producer in self._producers))

    async def stop(self) -> None:
        """What is open is left to be aborted by the next owner, or by the broker in transaction_timeout_ms."""
        await asyncio.gather(*(producer.stop() for producer in self._producers), return_exceptions=True)

    async def write(self, records: Sequence[Outgoing]) -> int:
        """Open a transaction and write; durable once `commit` has returned. Raises KafkaError.

        The broker's time (ms) at which the last of the records was appended.
        """
        producer = self._producers[self._turn]
        self._turn = (self._turn + 1) % TRANSACTIONAL_IDS
        await producer.begin_transaction()
        self._open = producer
        written = await asyncio.gather(*await self._send(producer, records))
        return int(written[-1].timestamp)

    async def commit(self) -> None:
        """The other id is not used before this has been acknowledged. Raises KafkaError."""
        assert self._open is not None
        producer, self._open = self._open, None
        await producer.commit_transaction()

    @staticmethod
    async def _send(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> list[Any]:
        sent = []
        at = 0
        while at < len(records):
            first = records[at]
            batch = producer.create_batch()
            while at < len(records) and (records[at].topic, records[at].partition) == (first.topic, first.partition):
                record = records[at]
                if batch.append(key=record.key, value=record.value, timestamp=None) is None:
                    break
                at += 1
            if batch.record_count() == 0:  # larger than a batch: the client refuses it with a clear error
                raise ValueError(f"a record of {len(first.value)} bytes for {first.topic} is larger than a batch")
            sent.append(await producer.send_batch(batch, first.topic, partition=first.partition))
        return sent
