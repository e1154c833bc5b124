"""LogWriter on a real Kafka: an acknowledged event stands in the log where it says, and its client is safe."""

import asyncio
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from running import make_topics, read_records, settings_for
from unit.taking import NOW, SUBJECT, body_of, policies_of

from consentry.codec import decode_event, decode_quarantined
from consentry.errors import Unavailable, UntrustedLog
from consentry.events import ConsentGiven, Genesis, QuarantinedRecord
from consentry.intake import Accepted, Caller, CallerRole, parse_submission, take_in
from consentry.partition import partition_of
from consentry.producer import IdempotentProducer
from consentry.settings import Settings
from consentry.terms import SubjectIds
from streams.append import LogWriter

pytestmark = pytest.mark.stack
PRODUCER = Caller("tests", frozenset({CallerRole.PRODUCER}))


def accepted_of(settings: Settings, identity: Genesis, *bodies: dict[str, object]) -> tuple[Accepted, ...]:
    return take_in(
        parse_submission(list(bodies), settings),
        caller=PRODUCER,
        policies=policies_of(),
        identity=identity,
        settings=settings,
        now=NOW,
        new_id=uuid4,
    )


async def test_an_appended_event_stands_where_the_answer_says(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    (accepted,) = accepted_of(settings, identity, body_of("ConsentWithdrawn"))
    writer = LogWriter(settings, identity)
    await writer.start()
    try:
        position, recorded_at = await writer.append(accepted.event)
    finally:
        await writer.stop()
    assert (position.epoch, position.partition) == (identity.epoch, partition_of(SUBJECT, settings.partitions))
    (record,) = [
        record
        for record in await read_records(settings, "consent-events", settings.partitions)
        if (record.partition, record.offset) == (position.partition, position.offset)
    ]
    assert record.timestamp == recorded_at
    assert record.key == SUBJECT.encode()
    assert decode_event(record.value) == accepted.event


async def test_a_list_stands_in_its_order_and_says_what_was_handed_over(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    accepted = accepted_of(
        settings, identity, body_of("ConsentDeferred"), body_of("ConsentWithdrawn"), body_of("ConsentGiven")
    )
    writer = LogWriter(settings, identity)
    await writer.start()
    try:
        places = await writer.append_all(accepted)
    finally:
        await writer.stop()
    assert [position.offset for position, _ in places] == [1, 2, 3]
    records = await read_records(settings, "consent-events", settings.partitions)
    (grant,) = [record for record in records if (record.partition, record.offset) == places[2][0][1:]]
    event = decode_event(grant.value)
    assert isinstance(event, ConsentGiven)
    assert event == accepted[2].event


async def test_many_events_sent_at_once_keep_each_subjects_order(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix, max_unacknowledged=50)
    identity = await make_topics(settings)
    subjects = [f"account:u-{number}" for number in range(7)]
    bodies = [
        body_of("ConsentWithdrawn", subject=one, actor={"role": "subject", "id": one}, request_id=f"r{number}")
        for number in range(60)
        for one in subjects
    ]
    accepted = accepted_of(settings, identity, *bodies)
    writer = LogWriter(settings, identity)
    await writer.start()
    try:
        await asyncio.gather(*[asyncio.ensure_future(await writer.begin(item)) for item in accepted])
    finally:
        await writer.stop()
    found: dict[str, list[str | None]] = {subject: [] for subject in subjects}
    for record in await read_records(settings, "consent-events", settings.partitions):
        if record.offset > 0:
            event = decode_event(record.value)
            found[event.subject].append(event.request_id)
    assert all(requests == [f"r{number}" for number in range(60)] for requests in found.values())


async def test_a_record_that_is_set_aside_is_kept_whole(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    record = QuarantinedRecord(
        topic="consent-intake.app",
        partition=0,
        offset=7,
        recorded_at=NOW,
        key=None,
        value=b"\x00" * 1_048_000,
        code="UNDECODABLE",
        detail="",
        subject=SUBJECT,
    )
    writer = LogWriter(settings, identity)
    await writer.start()
    try:
        await (await writer.set_aside(record))
    finally:
        await writer.stop()
    (kept,) = await read_records(settings, "consent-quarantine", settings.partitions)
    assert decode_quarantined(kept.value) == record
    assert kept.key == SUBJECT.encode()


async def test_the_live_client_waits_for_all_replicas_and_repeats_without_doubling(kafka: str) -> None:
    producer = IdempotentProducer(Settings(bootstrap_servers=kafka))
    await producer.start()
    try:
        assert_is_safe(producer.client)
    finally:
        await producer.stop()


def assert_is_safe(client: AIOKafkaProducer) -> None:
    """Read back from the live client: what it sends with, not what it was told."""
    assert client._sender._acks == -1
    assert client._txn_manager is not None  # idempotent: it has a producer id and counts its batches
    assert client._txn_manager.has_pid()
    assert client._txn_manager.transactional_id is None  # and its offsets stay contiguous
    assert client._message_accumulator._linger_time == 0


async def test_a_topic_that_is_not_dated_by_the_broker_is_not_trusted(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    identity = Genesis(log_id=UUID(int=1), epoch=1, partitions=settings.partitions, subject_ids=SubjectIds.PLAIN)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(settings.topic("consent-events"), settings.partitions, 1)])
    finally:
        await admin.close()
    (accepted,) = accepted_of(settings, identity, body_of("ConsentWithdrawn"))
    writer = LogWriter(settings, identity)
    await writer.start()
    try:
        with pytest.raises(UntrustedLog, match="LogAppendTime"):
            await writer.append(accepted.event)
    finally:
        await writer.stop()


async def test_what_is_not_acknowledged_in_time_has_an_unknown_outcome(kafka: str, topic_prefix: str) -> None:
    """There is no such topic, and the broker makes none."""
    settings = settings_for(kafka, topic_prefix, acknowledge_timeout_ms=500)
    identity = Genesis(log_id=UUID(int=1), epoch=1, partitions=settings.partitions, subject_ids=SubjectIds.PLAIN)
    (accepted,) = accepted_of(settings, identity, body_of("ConsentWithdrawn"))
    writer = LogWriter(settings, identity)
    await writer.start()
    try:
        with pytest.raises(Unavailable, match="unknown") as caught:
            await writer.append(accepted.event)
    finally:
        await writer.stop()
    assert "safe to repeat" in caught.value.remedy


async def test_without_a_broker_the_writer_does_not_start() -> None:
    settings = Settings(bootstrap_servers="127.0.0.1:9", acknowledge_timeout_ms=500)
    identity = Genesis(log_id=UUID(int=1), epoch=1, partitions=3, subject_ids=SubjectIds.PLAIN)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        await LogWriter(settings, identity).start()


async def test_after_a_batch_that_failed_a_new_client_takes_over(kafka: str, topic_prefix: str) -> None:
    """One that is too large fails for good; the next is appended."""
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    producer = IdempotentProducer(settings)
    await producer.start()
    topic = settings.topic("consent-events")
    try:
        former = producer.client
        with pytest.raises(Unavailable):
            await (await producer.send(topic, b"x" * 1_900_000, key=b"k", partition=0))
        await (await producer.send(topic, b"small", key=b"k", partition=0))
        assert producer.client is not former
    finally:
        await producer.stop()
