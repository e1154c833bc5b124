"""IdempotentProducer: what both doors of intake and a service's publisher write with. Knows no events.

Idempotent, acks=all, and bounded: the client alone would repeat a batch for ever, and after one that failed for good
it has lost its place in the sequence and would fail every one after it. Then a new one takes over.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from consentry.errors import Unavailable
from consentry.kafka_defaults import PRODUCER_DEFAULTS
from consentry.settings import Settings

log = logging.getLogger(__name__)

BATCH_BYTES: Final = 256 * 1024
REQUEST_BYTES: Final = 2 * 1024 * 1024
"""a quarantined record wraps a whole record of another topic"""
REQUEST_TIMEOUT_MS: Final = 40_000
UNKNOWN_OUTCOME: Final = "the outcome is unknown; safe to repeat with the same event_id"


class IdempotentProducer:
    """Sends in the order of the calls; by `send`, at the most max_unacknowledged records at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AIOKafkaProducer | None = None
        self._broken = False
        self._renewing = asyncio.Lock()
        self._room = asyncio.Semaphore(settings.max_unacknowledged)

    @property
    def client(self) -> AIOKafkaProducer:
        """The live client. Raises Unavailable where it was not started, or is stopped."""
        if self._client is None:
            raise Unavailable("the producer is not running", remedy="await start() first")
        return self._client

    async def start(self) -> None:
        """Raises Unavailable where no broker answers within acknowledge_timeout_ms."""
        self._client = await self._started()

    async def stop(self) -> None:
        """What was sent is delivered first, as far as acknowledge_timeout_ms allows."""
        client, self._client = self._client, None
        if client is not None:
            await self._close(client)

    async def flush(self) -> None:
        """Wait until all that was sent is acknowledged or has failed. Raises Unavailable when that takes too long."""
        try:
            async with self._limit():
                await self.client.flush()
        except (TimeoutError, KafkaError) as fault:
            raise Unavailable(f"not acknowledged: {fault!r}", remedy=UNKNOWN_OUTCOME) from fault

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None, partition: int | None = None
    ) -> Awaitable[RecordMetadata]:
        """Hand a record over; what comes back is awaited until all in-sync replicas have it.

        Both raise Unavailable. The second has no limit of its own: whoever awaits it sets one.
        """
        await self._room.acquire()
        try:
            client = await self._working()
            delivery = await client.send(topic, value, key=key, partition=partition)
        except KafkaError as fault:
            self._room.release()
            raise self._failed(topic, fault) from fault
        except BaseException:
            self._room.release()
            raise
        delivery.add_done_callback(lambda _: self._room.release())
        return self._acknowledged(topic, delivery)

    async def send_in_order(self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes]]) -> None:
        """Send many (key, value) to one partition, in few batches; returns once all in-sync replicas have them.

        Raises Unavailable: then some of them may have been written. Cheaper than `send` by far, and without places.
        """
        deliveries: list[Awaitable[RecordMetadata]] = []
        at = 0
        try:
            client = await self._working()
            while at < len(records):
                batch = client.create_batch()
                first = at
                while at < len(records):
                    key, value = records[at]
                    if batch.append(key=key, value=value, timestamp=None) is None:
                        break
                    at += 1
                if at == first:
                    raise MessageSizeTooLargeError(f"{len(records[at][1])} bytes")
                deliveries.append(await client.send_batch(batch, topic, partition=partition))
            await asyncio.gather(*deliveries)
        except KafkaError as fault:
            raise self._failed(topic, fault) from fault

    async def _acknowledged(self, topic: str, delivery: asyncio.Future[RecordMetadata]) -> RecordMetadata:
        try:
            return await asyncio.shield(delivery)  # who no longer waits does not unsend it
        except KafkaError as fault:
            raise self._failed(topic, fault) from fault

    def _failed(self, topic: str, fault: KafkaError) -> Unavailable:
        self._broken = True
        log.warning("producer.failed", extra={"topic": topic, "error": type(fault).__name__})
        return Unavailable(f"{topic} does not take it: {fault!r}", remedy=UNKNOWN_OUTCOME)

    async def _working(self) -> AIOKafkaProducer:
        async with self._renewing:
            if self._broken:
                former, self._client = self.client, await self._started()
                self._broken = False
                await self._close(former)
            return self.client

    async def _started(self) -> AIOKafkaProducer:
        client = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers,
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            **PRODUCER_DEFAULTS,
        )
        try:
            async with self._limit():
                await client.start()
        except (TimeoutError, KafkaError) as fault:
            await self._close(client)
            raise Unavailable(
                f"no broker serves at {self._settings.bootstrap_servers}: {fault!r}",
                remedy="start Kafka, or correct CONSENTRY_BOOTSTRAP_SERVERS",
            ) from fault
        return client

    async def _close(self, client: AIOKafkaProducer) -> None:
        stopping = asyncio.ensure_future(client.stop())
        done, _ = await asyncio.wait({stopping}, timeout=self._settings.acknowledge_timeout_ms / 1000)
        if done:
            return
        log.warning("producer.undelivered")
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        await client.client.close()

    def _limit(self) -> asyncio.Timeout:
        return asyncio.timeout(self._settings.acknowledge_timeout_ms / 1000)
