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
SCAN_RECORDS = 2_000
"""of a scan beside other work: a node answers checks in between"""
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


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a partition, read for one subject."""

    entries: tuple[Entry, ...]
    """the subject's, in log order"""
    offset_next: int
    """of the first record that was not read"""
    offset_end: int
    """where the partition ended when the scan began"""


class LogReader:
    """Reads the log for one subject at a time, for as long as its caller wishes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def scan(self, identity: Genesis, subject: str, offset_next: int = 0) -> AsyncGenerator[Scanned, None]:
        """What the subject's partition holds of it from there on, part by part, to its end as it stands now.

        `subject` is as the log has it. Raises UntrustedLog, Unavailable.
        """
        settings = self._settings
        tp = TopicPartition(settings.topic(LOG), partition_of(subject, identity.partitions))
        name = subject.encode()
        async with aclosing(_batches(settings, tp, offset_next, None, SCAN_RECORDS)) as batches:
            async for records, end in batches:
                # Avro has a text as its bytes: what does not hold the name is another's, and need not be decoded
                about = (record for record in records if record.key == name or name in (record.value or b""))
                entries = (read_record(_raw(record), identity) for record in about)
                yield Scanned(
                    entries=tuple(entry for entry in entries if entry is not None and _subject_of(entry) == subject),
                    offset_next=records[-1].offset + 1,
                    offset_end=end,
                )


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
    async with aclosing(_batches(settings, tp, 0, until, POLL_RECORDS)) as batches:
        async for records, end in batches:
            for record in records:
                yield record
            if on_progress is not None:
                on_progress(records[-1].offset + 1, end)


async def _batches(
    settings: Settings, tp: TopicPartition, offset_next: int, until: Position | None, at_a_time: int
) -> AsyncGenerator[tuple[list[Any], int], None]:
    """At least one record each time, in order and without a gap; and where the partition ends."""
    async with _consumer(settings, tp, offset_next) as consumer:
        end = (await consumer.end_offsets([tp]))[tp]
        if until is not None:
            end = min(end, until.offset + 1)
        while offset_next < end:
            records = [record for record in await _poll(settings, consumer, tp, at_a_time) if record.offset < end]
            for record in records:
                if record.offset != offset_next:
                    raise UntrustedLog(
                        f"offset {offset_next} is missing: {record.offset} follows",
                        where=f"{tp.topic}-{tp.partition}",
                        remedy="the log is never compacted or shortened; run `consentry topics check`",
                    )
                offset_next = record.offset + 1
            if not records:
                return
            yield records, end


async def _poll(settings: Settings, consumer: AIOKafkaConsumer, tp: TopicPartition, at_a_time: int) -> list[Any]:
    """The next records: at least one. Raises Unavailable where none comes in time."""
    try:
        async with asyncio.timeout(settings.restore_timeout_ms / 1000):
            while True:
                batches = await consumer.getmany(tp, timeout_ms=POLL_MS, max_records=at_a_time)
                if batches:
                    return list(batches[tp])
    except TimeoutError as fault:
        raise Unavailable(f"{tp.topic} gave no record within {settings.restore_timeout_ms} ms") from fault


@asynccontextmanager
async def _consumer(settings: Settings, tp: TopicPartition, offset: int) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=FETCH_BYTES,
        **CONSUMER_DEFAULTS,
    )
    try:
        await consumer.start()
        consumer.assign([tp])
        consumer.seek(tp, offset)
        yield consumer
    except KafkaError as fault:
        raise Unavailable(f"{tp.topic} cannot be read: {fault!r}") from fault
    finally:
        await consumer.stop()


def _raw(record: Any) -> RawRecord:
    return RawRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)


def _subject_of(entry: Entry) -> str | None:
    return entry.subject if isinstance(entry, Unreadable) else entry.event.subject
