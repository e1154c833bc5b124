"""Read the log itself, for audits: all that one subject's partition holds of it, and every policy. Writes nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consentry.audit import Entry
from consentry.codec import decode_policy_record
from consentry.errors import Unavailable, UntrustedLog
from consentry.events import Genesis, RecordedPolicyEvent
from consentry.folding import RawRecord, Unreadable, read_record
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.partition import partition_of
from consentry.settings import Settings
from consentry.terms import Position
from streams.topics import require_topics

LOG = "consent-events"
POLICIES = "policy-revisions"
POLL_MS = 500
POLL_RECORDS = 10_000
FETCH_BYTES = 8 * 1024 * 1024

Progress = Callable[[int, int], None]
"""records read so far, and of how many"""


class SubjectLog(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds of one subject."""

    subject: str
    entries: tuple[Entry, ...]
    """in log order"""
    identity: Genesis
    topic: str
    """the log's name on this cluster"""
    complete_to: Position
    """of the partition's last record that was read"""


async def read_subject(
    settings: Settings, subject: str, until: Position | None = None, on_progress: Progress | None = None
) -> SubjectLog:
    """Every record of the subject, from the first of its partition to the end as it stands now, or to `until`.

    The time is that of reading the partition: the log has no index. `subject` is as the log has it: where ids are
    hashed, the hash. Raises UntrustedLog, Unavailable.
    """
    identity = await require_topics(settings)
    tp = TopicPartition(settings.topic(LOG), partition_of(subject, identity.partitions))
    if until is not None and (until.epoch, until.partition) != (identity.epoch, tp.partition):
        raise UntrustedLog(
            f"the subject's records are in epoch {identity.epoch}, partition {tp.partition}", where=str(until)
        )
    entries: list[Entry] = []
    last = -1
    async with aclosing(_records(settings, tp, until, on_progress)) as records:
        async for record in records:
            last = record.offset
            entry = read_record(_raw(record), identity)
            if entry is not None and _subject_of(entry) == subject:
                entries.append(entry)
    return SubjectLog(
        subject=subject,
        entries=tuple(entries),
        identity=identity,
        topic=tp.topic,
        complete_to=Position(identity.epoch, tp.partition, last),
    )


async def read_policy_records(settings: Settings) -> tuple[RecordedPolicyEvent, ...]:
    """Every record of policy-revisions. Raises UntrustedLog, UndecodableRecord, Unavailable."""
    identity = await require_topics(settings)
    events: list[RecordedPolicyEvent] = []
    tp = TopicPartition(settings.topic(POLICIES), 0)
    async with aclosing(_records(settings, tp, None, None)) as records:
        async for record in records:
            event = decode_policy_record(record.value)
            if not isinstance(event, Genesis):
                position = Position(identity.epoch, 0, record.offset)
                events.append(RecordedPolicyEvent(position, record.timestamp, event))
    return tuple(events)


async def _records(
    settings: Settings, tp: TopicPartition, until: Position | None, on_progress: Progress | None
) -> AsyncGenerator[Any, None]:
    """The records of a partition, in order and without a gap."""
    async with _consumer(settings, tp) as consumer:
        end = (await consumer.end_offsets([tp]))[tp]
        if until is not None:
            end = min(end, until.offset + 1)
        offset_next = 0
        while offset_next < end:
            for record in await _poll(settings, consumer, tp):
                if record.offset != offset_next:
                    raise UntrustedLog(
                        f"offset {offset_next} is missing: {record.offset} follows",
                        where=f"{tp.topic}-{tp.partition}",
                        remedy="the log is never compacted or shortened; run `consentry topics check`",
                    )
                if record.offset >= end:
                    return
                offset_next = record.offset + 1
                yield record
            if on_progress is not None:
                on_progress(offset_next, end)


async def _poll(settings: Settings, consumer: AIOKafkaConsumer, tp: TopicPartition) -> list[Any]:
    """The next records: at least one. Raises Unavailable where none comes in time."""
    try:
        async with asyncio.timeout(settings.restore_timeout_ms / 1000):
            while True:
                batches = await consumer.getmany(tp, timeout_ms=POLL_MS, max_records=POLL_RECORDS)
                if batches:
                    return list(batches[tp])
    except TimeoutError as fault:
        raise Unavailable(f"{tp.topic} gave no record within {settings.restore_timeout_ms} ms") from fault


@asynccontextmanager
async def _consumer(settings: Settings, tp: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=FETCH_BYTES,
        **CONSUMER_DEFAULTS,
    )
    try:
        await consumer.start()
        consumer.assign([tp])
        consumer.seek(tp, 0)
        yield consumer
    except KafkaError as fault:
        raise Unavailable(f"{tp.topic} cannot be read: {fault!r}") from fault
    finally:
        await consumer.stop()


def _raw(record: Any) -> RawRecord:
    return RawRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)


def _subject_of(entry: Entry) -> str | None:
    return entry.subject if isinstance(entry, Unreadable) else entry.event.subject
