"""The broker of a run: its topics, the log that is loaded into them, and how far somebody has read."""

import asyncio
import time
import uuid
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka.admin import AdminClient  # type: ignore[import-untyped]  # it has no types

from consentry.codec import decode_state_record, encode_event
from consentry.events import AnySubjectEvent, Genesis
from consentry.kafka_defaults import CONSUMER_DEFAULTS, PRODUCER_DEFAULTS
from consentry.partition import partition_of
from consentry.replica.rows import WATERMARK_KEY
from consentry.settings import Settings
from consentry.state.row import Watermark
from streams.topics import create_topics

LOG, STATE = "consent-events", "consent-state"
BATCH_BYTES = 512 * 1024
BATCHES_UNDER_WAY = 32
POLL_S = 0.05
TAIL_OFFSETS = 400
ADMIN_TIMEOUT_S = 30.0


class TooSlow(Exception):
    """Something did not come to its end in the time that a run may take."""


def settings_of(bootstrap: str, name: str) -> Settings:
    """The defaults, but for the address and a prefix of its own."""
    return Settings(bootstrap_servers=bootstrap, topic_prefix=f"bench-{name}-{uuid.uuid4().hex[:6]}.")


async def make_topics(settings: Settings) -> Genesis:
    return (await create_topics(settings, new_log_id=uuid.uuid4)).identity


async def load_log(settings: Settings, events: Iterable[AnySubjectEvent]) -> float:
    """Append events as intake would have; their mean size, bytes."""
    topic = settings.topic(LOG)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, max_batch_size=BATCH_BYTES, **PRODUCER_DEFAULTS
    )
    await producer.start()
    try:
        batches: dict[int, Any] = {}
        under_way: list[asyncio.Future[Any]] = []
        count = size = 0
        for event in events:
            partition = partition_of(event.subject, settings.partitions)
            key, value = event.subject.encode(), encode_event(event)
            count, size = count + 1, size + len(value)
            batch = batches.get(partition)
            if batch is not None and batch.append(key=key, value=value, timestamp=None) is not None:
                continue
            if batch is not None:
                under_way.append(await producer.send_batch(batch, topic, partition=partition))
                if len(under_way) >= BATCHES_UNDER_WAY:
                    await asyncio.gather(*under_way)
                    under_way.clear()
            batch = batches[partition] = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
        for partition, batch in batches.items():
            under_way.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*under_way)
        return size / count
    finally:
        await producer.stop()


async def log_ends(settings: Settings) -> dict[int, int]:
    """The offset after the last record of each partition of the log."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **CONSUMER_DEFAULTS)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(_partitions(settings, LOG))
        return {tp.partition: end for tp, end in ends.items()}
    finally:
        await consumer.stop()


async def wait_until_committed(settings: Settings, group: str, ends: dict[int, int], timeout_s: float) -> int:
    """Until a consumer group has committed the whole log; when that was seen, ms. Raises TooSlow."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    deadline = time.monotonic() + timeout_s
    topic = settings.topic(LOG)
    try:
        while True:
            committed = await admin.list_consumer_group_offsets(group)
            at = time.time_ns() // 1_000_000
            reached = {tp.partition: held.offset for tp, held in committed.items() if tp.topic == topic}
            if all(reached.get(partition, 0) >= end for partition, end in ends.items()):
                return at
            if time.monotonic() > deadline:
                raise TooSlow(f"{group} committed {reached} of {ends} in {timeout_s:.0f} s")
            await asyncio.sleep(POLL_S)
    finally:
        await admin.close()


async def watermarks_reached_at(settings: Settings, ends: dict[int, int]) -> int:
    """When the last partition's rows were complete: the broker's time of its first watermark there, ms."""
    tps = _partitions(settings, STATE)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **CONSUMER_DEFAULTS)
    await consumer.start()
    try:
        consumer.assign(tps)
        state_ends = await consumer.end_offsets(tps)
        for tp in tps:
            consumer.seek(tp, max(0, state_ends[tp] - TAIL_OFFSETS))
        first: dict[int, int] = {}
        rest = set(tps)
        while rest:
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if record.key == WATERMARK_KEY and _offset_of(record.value) == ends[tp.partition] - 1:
                        first.setdefault(tp.partition, record.timestamp)
            rest = {tp for tp in rest if await consumer.position(tp) < state_ends[tp]}
        missing = set(ends) - set(first)
        if missing:
            raise TooSlow(f"no watermark at the log's end in partitions {sorted(missing)}")
        return max(first.values())
    finally:
        await consumer.stop()


def _offset_of(value: bytes) -> int:
    watermark = decode_state_record(value)
    assert isinstance(watermark, Watermark)
    return watermark.position.offset


async def read_all(settings: Settings, topic: str) -> dict[bytes, bytes]:
    """The last value of each key of a topic, committed ones alone."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **CONSUMER_DEFAULTS)
    await consumer.start()
    try:
        tps = [TopicPartition(topic, number) for number in range(settings.partitions)]
        consumer.assign(tps)
        begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        for tp in tps:
            consumer.seek(tp, begins[tp])
        found: dict[bytes, bytes] = {}
        rest = {tp for tp in tps if ends[tp] > begins[tp]}
        while rest:
            for records in (await consumer.getmany(timeout_ms=500, max_records=10_000)).values():
                found.update({record.key: record.value for record in records})
            rest = {tp for tp in rest if await consumer.position(tp) < ends[tp]}
        return found
    finally:
        await consumer.stop()


def forget(settings: Settings, *, topics: Iterable[str] = (), groups: Iterable[str] = ()) -> None:
    """Delete topics and consumer groups, and wait until they are gone."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    groups, topics = list(groups), list(topics)
    if groups:
        for done in admin.delete_consumer_groups(groups, request_timeout=ADMIN_TIMEOUT_S).values():
            done.result()
    if not topics:
        return
    for done in admin.delete_topics(topics, operation_timeout=ADMIN_TIMEOUT_S).values():
        done.result()
    deadline = time.monotonic() + ADMIN_TIMEOUT_S
    while set(topics) & set(admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics):
        if time.monotonic() > deadline:
            raise TooSlow(f"{topics} are still there")
        time.sleep(POLL_S)


def topics_of(settings: Settings) -> list[str]:
    """Every topic of this run's prefix."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    names = admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics
    return [name for name in names if settings.topic_prefix in name]


def _partitions(settings: Settings, topic: str) -> list[TopicPartition]:
    return [TopicPartition(settings.topic(topic), partition) for partition in range(settings.partitions)]
