"""Record 0 of each partition of the log and of the policies: which log this is. Read, and written once."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from consentry.codec import decode_log_record, decode_policy_record, encode_genesis
from consentry.errors import Unavailable, UndecodableRecord, UntrustedLog
from consentry.events import Genesis
from consentry.settings import Settings
from streams.topics.cluster import bootstrap_of, kafka_faults
from streams.topics.table import LOG

FETCH_WAIT_MS = 100
RETRY_MS = 10
"""the client meets each topic that it does not know with such a pause: by default a tenth of a second each"""
LOCK_SESSION_MS = 6_000
"""the shortest that brokers allow: how long a creator that was killed keeps the next one waiting"""
LOCK_TURN_MS = 60_000
"""how long a creator may take, and the next one waits for it"""
LOCK_HEARTBEAT_MS = 300
"""how soon a waiting creator learns that it is its turn"""


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """How a partition begins, and where it ends."""

    topic: str
    partition: int
    offset_first: int
    offset_next: int
    genesis: Genesis | None
    """its record 0, where that is one"""

    @property
    def empty(self) -> bool:
        return self.offset_next == 0


async def read_beginnings(settings: Settings, partitions: Iterable[TopicPartition]) -> tuple[Beginning, ...]:
    """Of partitions that exist. Raises Unavailable."""
    wanted = sorted(partitions)
    if not wanted:
        return ()
    async with _reader(settings) as reader:
        firsts = await reader.beginning_offsets(wanted)
        nexts = await reader.end_offsets(wanted)
        readable = [place for place in wanted if firsts[place] == 0 and nexts[place] > 0]
        values = await _first_values(reader, readable, settings)
    return tuple(
        Beginning(
            topic=place.topic,
            partition=place.partition,
            offset_first=firsts[place],
            offset_next=nexts[place],
            genesis=_genesis_in(settings, place.topic, values.get(place)),
        )
        for place in wanted
    )


async def holding_records(settings: Settings, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
    """Those that were ever written to. Raises Unavailable."""
    wanted = sorted(partitions)
    if not wanted:
        return []
    async with _reader(settings) as reader:
        nexts = await reader.end_offsets(wanted)
    return [place for place in wanted if nexts[place] > 0]


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    with kafka_faults(settings):
        reader = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_of(settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            request_timeout_ms=settings.acknowledge_timeout_ms,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            retry_backoff_ms=RETRY_MS,
            max_partition_fetch_bytes=1024,  # only first records count
        )
        try:
            await reader.start()
            yield reader
        finally:
            await reader.stop()


async def _first_values(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], settings: Settings
) -> dict[TopicPartition, bytes | None]:
    values: dict[TopicPartition, bytes | None] = {}
    if not partitions:
        return values
    consumer.assign(partitions)
    for place in partitions:
        consumer.seek(place, 0)
    deadline = time.monotonic() + settings.acknowledge_timeout_ms / 1000
    while len(values) < len(partitions):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(partitions) - len(values)} partitions gave no first record in time")
        for place, records in (await consumer.getmany(timeout_ms=FETCH_WAIT_MS)).items():
            if place not in values:
                values[place] = records[0].value
                consumer.pause(place)
    return values


def _genesis_in(settings: Settings, topic: str, value: bytes | None) -> Genesis | None:
    decode = decode_log_record if topic == settings.topic(LOG.name) else decode_policy_record
    try:
        record = decode(value)
    except UndecodableRecord:
        return None
    return record if isinstance(record, Genesis) else None


async def write_geneses(settings: Settings, genesis: Genesis, partitions: Iterable[TopicPartition]) -> None:
    """Into empty partitions, acknowledged by all in-sync replicas. Raises UntrustedLog if one was not."""
    value = encode_genesis(genesis)
    with kafka_faults(settings):
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_of(settings),
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=settings.acknowledge_timeout_ms,
        )
        try:
            await producer.start()
            for place in partitions:
                written = await producer.send_and_wait(place.topic, value, partition=place.partition)
                if written.offset != 0:
                    raise UntrustedLog(
                        f"its genesis was written at offset {written.offset}, not 0",
                        where=f"{place.topic}-{place.partition}",
                        remedy="another process writes to it: stop it, delete the topics, create them again",
                    )
        finally:
            await producer.stop()


class _Turn(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A member's turn: from when the partition is given to it until it says that it is done."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.done = asyncio.Event()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if assigned:
            self.begun.set()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            await self.done.wait()  # who waits to join gets the partition only then


@asynccontextmanager
async def only_creator(settings: Settings, topic: str) -> AsyncIterator[None]:
    """One process at a time: the member of a group that holds the only partition of `topic`.

    Raises Unavailable while another one holds it.
    """
    turn = _Turn()
    with kafka_faults(settings):
        member = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_of(settings),
            group_id=settings.topic("consentry-topics-create"),
            enable_auto_commit=False,
            session_timeout_ms=LOCK_SESSION_MS,
            heartbeat_interval_ms=LOCK_HEARTBEAT_MS,
            rebalance_timeout_ms=LOCK_TURN_MS,
            request_timeout_ms=LOCK_TURN_MS + settings.acknowledge_timeout_ms,
        )
        member.subscribe([topic], listener=turn)
        try:
            await member.start()
            await _begin(turn, topic)
            yield
        finally:
            turn.done.set()
            await member.stop()


async def _begin(turn: _Turn, topic: str) -> None:
    try:
        async with asyncio.timeout(LOCK_TURN_MS / 1000):
            await turn.begun.wait()
    except TimeoutError as fault:
        raise Unavailable(
            "another `consentry topics create` is at work", where=topic, remedy="repeat this when it has ended"
        ) from fault
