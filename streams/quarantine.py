"""What was set aside, read back from consent-quarantine, and whether its subject still waits for it. Writes nothing."""

import asyncio
from collections.abc import Iterable

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consentry.codec import decode_quarantined
from consentry.errors import Unavailable
from consentry.events import Genesis, QuarantinedRecord
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.partition import partition_of
from consentry.replica.reader import StateReader
from consentry.settings import Settings
from streams.topics import Finding, require_topics
from streams.topics.cluster import connect

TOPIC = "consent-quarantine"
POLL_MS = 200


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """One record that was set aside."""

    record: QuarantinedRecord
    set_aside_at: int
    """the broker's clock, ms"""
    standing: bool | None
    """its subject gets no ALLOW until it is released; None: no subject could be read"""


async def read_quarantine(settings: Settings) -> tuple[SetAside, ...]:
    """Everything that was ever set aside, oldest first; a record that was set aside twice, once.

    Raises UntrustedLog, UndecodableRecord, Unavailable.
    """
    identity = await require_topics(settings)
    found = await _records_in_time(settings)
    waiting = await _waiting(settings, identity, {record.subject for record, _ in found if record.subject})
    return tuple(
        SetAside(
            record=record,
            set_aside_at=set_aside_at,
            standing=None if record.subject is None else record.source in waiting.get(record.subject, ()),
        )
        for record, set_aside_at in found
    )


async def findings_in_quarantine(settings: Settings) -> list[Finding]:
    """A finding for each record whose subject could not be read: it denies nobody, so somebody has to be told.

    Raises UndecodableRecord, Unavailable.
    """
    return [
        Finding(
            topic=record.source,
            setting="its subject",
            found="unreadable",
            expected="known, or the record settled",
            remedy=(
                f"consentry quarantine show {record.source}; whoever wrote it has to send again what it said."
                " It cannot be released yet"
            ),
            why=f"nobody is denied for it, and it may have been a withdrawal ({record.code})",
        )
        for record, _ in await _records_in_time(settings)
        if record.subject is None
    ]


async def _records_in_time(settings: Settings) -> list[tuple[QuarantinedRecord, int]]:
    try:
        async with asyncio.timeout(settings.restore_timeout_ms / 1000):
            return await _records(settings)
    except TimeoutError as fault:
        raise Unavailable(
            f"{TOPIC} was not read to its end in {settings.restore_timeout_ms} ms",
            remedy="raise CONSENTRY_RESTORE_TIMEOUT_MS",
        ) from fault
    except KafkaError as fault:
        raise Unavailable(f"{TOPIC} cannot be read: {fault}") from fault


async def _records(settings: Settings) -> list[tuple[QuarantinedRecord, int]]:
    found: dict[str, tuple[QuarantinedRecord, int]] = {}
    topic = settings.topic(TOPIC)
    async with connect(settings) as cluster:
        found_topics = await cluster.topics(wanted=[topic])
    places = [TopicPartition(live.name, number) for live in found_topics for number in range(live.partitions)]
    if not places:
        return []
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **CONSUMER_DEFAULTS)
    try:
        await consumer.start()
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        ends = await consumer.end_offsets(places)
        rest = {place for place in places if ends[place] > 0}
        while rest:
            for records in (await consumer.getmany(*rest, timeout_ms=POLL_MS)).values():
                for raw in records:
                    record = decode_quarantined(raw.value)
                    found.setdefault(record.source, (record, raw.timestamp))
            rest = {place for place in rest if await consumer.position(place) < ends[place]}
    finally:
        await consumer.stop()
    return sorted(found.values(), key=lambda pair: (pair[1], pair[0].source))


async def _waiting(settings: Settings, identity: Genesis, subjects: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Of each subject, the sources that it still waits for."""
    partition_by_subject = {subject: partition_of(subject, identity.partitions) for subject in subjects}
    if not partition_by_subject:
        return {}
    reader = StateReader(settings, set(partition_by_subject.values()))
    try:
        await reader.start()
        await reader.read_to_end(settings.restore_timeout_ms)
        rows = {subject: reader.rows[partition].state(subject) for subject, partition in partition_by_subject.items()}
    finally:
        await reader.stop()
    return {subject: row.quarantined for subject, row in rows.items() if row is not None}
