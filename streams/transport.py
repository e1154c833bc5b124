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

from consentry.kafka_defaults import CONSUMER_DEFAULTS
from streams.kafka_thread import committed_or_beginning

log = logging.getLogger(__name__)


class Positions(Protocol):
    """Where to read on, and what may be committed. Kept by the worker, asked by the consumer."""

    def offset_next(self, tp: TP) -> int | None:
        """The next offset to read of a partition, or None where the group's own offsets say it."""

    def sought(self, tp: TP, offset: int) -> None:
        """The partition is read on from there."""

    def durable_next(self, tp: TP) -> int | None:
        """The offset after the last record whose effects are durable; None: nothing to commit."""


class NothingRead(dict[TP, int | None]):
    """Faust drops records below the last that it handed on. We seek back, and know ourselves what we have had."""

    def __getitem__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        """Forgotten."""

    def update(self, *_: Any, **__: Any) -> None:
        """Forgotten."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's, reading only what is committed: what a service undid on its intake topic was never said."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust reads uncommitted unless it writes transactions itself. The client's fetcher takes this over at start.
        consumer._isolation_level = CONSUMER_DEFAULTS["isolation_level"]
        return consumer


class Consumer(driver.Consumer):
    """Faust's consumer with batches, and positions from `app.positions`."""

    logger = driver.logger

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._overtaken: set[TP] = set()
        """partitions whose fetched records were dropped, and that have not been sought again since"""
        self._read_offset = NothingRead()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        # Read before the fetch: a message of another generation is skipped downstream, and must be, since it may have
        # been fetched before the partition went elsewhere and came back.
        generation = self.app.consumer_generation_id
        records, active = await self._wait_next_records(timeout)
        if records is None or self.should_stop:
            return
        for tp, batch in records.items():
            if not batch:
                continue
            stays = self.flow_active and self.app.consumer_generation_id == generation
            if (
                stays
                and tp not in self._overtaken
                and (active is None or tp in active or tp in self._buffered_partitions)
            ):
                yield tp, self._batch_message(tp, list(batch), generation)
            else:
                # The client's position is already past what is dropped here, and a rebalance may have sought before
                # this fetch came back: until it is sought again, nothing that follows may be handed on.
                self._overtaken.add(tp)
        await self._seek_overtaken()

    async def _seek_overtaken(self) -> None:
        for tp in list(self._overtaken):
            await self.seek_back(tp)

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
        self._overtaken.clear()
        for tp, offset in offsets.items():
            self._positions.sought(tp, offset)
        return offsets

    async def seek_back(self, tp: TP) -> None:
        """Read on from the partition's position; what was fetched beyond it and never handed over is read again.

        Where that fails now, as in a rebalance or without a leader, it is tried again with the next records.
        """
        if tp not in self.assignment():
            self._overtaken.discard(tp)
            return
        self._overtaken.add(tp)
        try:
            offset = await self._offset_next(tp)
            await self._thread.seek_wait({tp: offset})
        except (IllegalStateError, KafkaError) as fault:
            log.info("consumer.seek_failed", extra={"error": repr(fault)})
            return
        self._overtaken.discard(tp)
        self._positions.sought(tp, offset)

    async def _offset_next(self, tp: TP) -> int:
        offset = self._positions.offset_next(tp)
        return await committed_or_beginning(self._thread, tp) if offset is None else offset

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
