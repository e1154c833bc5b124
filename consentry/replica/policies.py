"""PolicyFollower: policy-revisions held in this process, from the first record on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from consentry.codec import decode_policy_record
from consentry.errors import ConsentryError, Unavailable, UntrustedLog
from consentry.events import Genesis, RecordedPolicyEvent
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.policy import Policies
from consentry.replica.head import PolicyRecord
from consentry.settings import Settings
from consentry.terms import Position

log = logging.getLogger(__name__)

TOPIC = "policy-revisions"
POLL_MS = 500


class PolicyFollower:
    """Holds `policies` and keeps them current. A record that it cannot read stops it: `failure` says why.

    Whoever decides by it must then allow nothing, as a revision may have been missed.
    """

    def __init__(self, settings: Settings, on_record: Callable[[PolicyRecord], None] | None = None) -> None:
        self._settings = settings
        self._on_record = on_record
        self._tp = TopicPartition(settings.topic(TOPIC), 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()
        self.policies = Policies()
        self.genesis: Genesis | None = None
        self.offset_next = 0
        self.failure: ConsentryError | None = None

    async def start(self) -> None:
        """Read to the end as it stands, then follow. Raises UntrustedLog, UndecodableRecord, Unavailable."""
        try:
            self._consumer = AIOKafkaConsumer(bootstrap_servers=self._settings.bootstrap_servers, **CONSUMER_DEFAULTS)
            await self._consumer.start()
            self._consumer.assign([self._tp])
            self._consumer.seek(self._tp, 0)
            end = (await self._consumer.end_offsets([self._tp]))[self._tp]
            while self.offset_next < end:
                await self._poll()
        except KafkaError as fault:
            await self.stop()
            raise Unavailable(f"{self._tp.topic} cannot be read: {fault!r}") from fault
        except ConsentryError:
            await self.stop()
            raise
        self._task = asyncio.create_task(self._follow(), name="policies")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def wait_for(self, offset: int, timeout_ms: int) -> bool:
        """True once the record at `offset` has been taken in; False when the time is over."""
        return await _within(timeout_ms, self._wait_until_past(offset))

    async def wait_for_a_policy(self) -> None:
        """Until there is a first revision."""
        async with self._moved:
            await self._moved.wait_for(lambda: bool(self.policies.revisions))

    async def _wait_until_past(self, offset: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self.offset_next > offset)

    async def _follow(self) -> None:
        while True:
            try:
                await self._poll()
            except OffsetOutOfRangeError as fault:
                raise UntrustedLog(
                    f"offset {self.offset_next} is out of range",
                    where=self._tp.topic,
                    remedy="the topic was deleted, cut or made anew; run `consentry topics check`",
                ) from fault
            except KafkaError as fault:
                log.warning("policies.poll_failed", extra={"error": repr(fault)})
                await asyncio.sleep(POLL_MS / 1000)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ended the following, a revision may be missed from now on."""
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            self.failure = (
                fault if isinstance(fault, ConsentryError) else ConsentryError(f"{type(fault).__name__}: {fault}")
            )
            log.error("policies.stopped", extra={"error": str(self.failure)})

    async def _poll(self) -> None:
        assert self._consumer is not None
        records = (await self._consumer.getmany(self._tp, timeout_ms=POLL_MS)).get(self._tp, [])
        for record in records:
            self._take_in(record)
        if records:
            async with self._moved:
                self._moved.notify_all()

    def _take_in(self, record: Any) -> None:
        if record.offset != self.offset_next:
            raise UntrustedLog(
                f"offset {self.offset_next} is missing: {record.offset} follows",
                where=self._tp.topic,
                remedy="the log is never compacted or shortened; run `consentry topics check`",
            )
        event = decode_policy_record(record.value)
        if isinstance(event, Genesis):
            if record.offset != 0:
                raise UntrustedLog(f"a genesis stands at offset {record.offset}", where=self._tp.topic)
            self.genesis = event
        elif self.genesis is None:
            raise UntrustedLog("record 0 is no genesis", where=self._tp.topic, remedy="run `consentry topics create`")
        else:
            position = Position(self.genesis.epoch, 0, record.offset)
            self.policies = self.policies.after(RecordedPolicyEvent(position, record.timestamp, event))
        self.offset_next = record.offset + 1
        if self._on_record is not None:
            self._on_record(PolicyRecord(record.offset, record.timestamp, record.value))


async def _within(timeout_ms: int, waiting: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            await waiting
    except TimeoutError:
        return False
    return True
