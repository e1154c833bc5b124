"""The seam between Kafka and Faust: batches of raw records, positions that are ours. Knows no consent words.

Faust's own consumer decodes each record, acks what it skips, and goes by the group's offsets. Here a message is a list
of records, read positions come from `app.positions` (a watermark, or what has been declared durable), and only they are
committed. docs/decisions/0002-faust.md says what is overridden, and how we would leave.
"""

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Protocol

from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message
from mode.utils.futures import notify

from streams.kafka_thread import committed_or_beginning

log = logging.getLogger(__name__)


class Positions(Protocol):
    """Where to read on, and what may be committed. Kept by the worker, asked by the consumer."""

    def offset_next(self, tp: TP) -> int | None:
        """The next offset to read of a partition, or None where the group's own offsets say it."""

    def durable_next(self, tp: TP) -> int | None:
        """The offset after the last record whose effects are durable; None: nothing to commit."""


class Consumer(driver.Consumer):
    """Faust's consumer with batches, and positions from `app.positions`."""

    logger = driver.logger

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        # Read before the fetch: a message of another generation is skipped downstream, and must be, since it may have
        # been fetched before the partition went elsewhere and came back.
        generation = self.app.consumer_generation_id
        records, active = await self._wait_next_records(timeout)
        if records is None or self.should_stop:
            return
        for tp, batch in records.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                # The client's position is already past what is dropped here, and a rebalance may have sought before
                # this fetch came back: without another seek these records would never be read.
                await self._read_on()
                return
            if batch and (active is None or tp in active or tp in self._buffered_partitions):
                yield tp, self._batch_message(tp, list(batch), generation)

    async def _read_on(self) -> None:
        try:
            await self.perform_seek()
        except (IllegalStateError, KafkaError) as fault:
            # a partition went elsewhere meanwhile; what stays without records is noticed by its owner (Stall)
            log.info("consumer.seek_failed", extra={"error": repr(fault)})

    def _batch_message(self, tp: TP, batch: list[Any], generation: int) -> ConsumerMessage:
        last = batch[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            [],
            None,
            batch,  # type: ignore[arg-type]  # our schema hands the value on as it is
            None,
            0,
            sum(record.serialized_value_size for record in batch),
            tp,
            generation_id=generation,
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Where each assigned partition is read on. Called after each rebalance, before the streams go on."""
        offsets = {tp: await self._offset_next(tp) for tp in self.assignment()}
        if offsets:
            await self._thread.seek_wait(offsets)
        return offsets

    async def _offset_next(self, tp: TP) -> int:
        offset = self._positions.offset_next(tp)
        return await committed_or_beginning(self._thread, tp) if offset is None else offset

    async def seek_back(self, tp: TP) -> None:
        """Read on from the partition's position; what was fetched beyond it and never handed over is read again."""
        if tp not in self.assignment():
            return
        self._read_offset[tp] = None  # or the earlier records would be dropped as already read
        await self._thread.seek_wait({tp: await self._offset_next(tp)})

    # What Faust would commit are the messages it saw acked, skipped ones among them. We commit what is durable.

    def ack(self, message: Message) -> bool:
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """No book of gaps is kept: a batch counts as one message."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self.assignment() if topics is None or tp in topics or tp.topic in topics)

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        offsets = {tp: self._positions.durable_next(tp) for tp in tps}
        return {tp: offset for tp, offset in offsets.items() if offset and self._should_commit(tp, offset)}

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's check of slow streams goes by acks; the worker has its own watchdog and heartbeats."""

    @property
    def _positions(self) -> Positions:
        positions: Positions = self.app.positions  # type: ignore[attr-defined]
        return positions


class Transport(driver.Transport):
    """`consentry://host:port[;host:port]`, registered as an entry point of faust.transports."""

    Consumer: ClassVar[type[driver.Consumer]] = Consumer
