"""ConsentPublisher and the clients' settings, read back from the live clients."""

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from running import make_topics, read_records, settings_for
from stack.test_append import assert_is_safe
from unit.taking import NOW, SUBJECT, body_of, take

from consentry.codec import decode_event
from consentry.errors import ConsentryError, InvalidEvent, Unavailable
from consentry.kafka_defaults import CONSUMER_DEFAULTS
from consentry.publisher import ConsentPublisher
from consentry.settings import Settings

pytestmark = pytest.mark.stack


async def test_a_published_event_lies_in_the_producers_own_topic_under_its_subject(
    kafka: str, topic_prefix: str
) -> None:
    settings = settings_for(kafka, topic_prefix, intake_producers="shop")
    await make_topics(settings)
    event = take(body_of("ConsentWithdrawn"))
    async with ConsentPublisher(settings, "shop", clock=lambda: NOW + 7) as publisher:
        place = await publisher.publish(event)
        await publisher.flush()
    (record,) = await read_records(settings, "consent-intake.shop", settings.partitions)
    assert (record.topic, record.partition, record.offset) == place
    assert record.topic == settings.topic("consent-intake.shop")
    assert record.key == SUBJECT.encode()
    sent = decode_event(record.value)
    assert sent.event_id == event.event_id
    assert sent.sent_at == NOW + 7  # so that intake can correct a clock that is ahead


async def test_the_same_subject_always_lies_in_the_same_partition(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix, intake_producers="shop")
    await make_topics(settings)
    async with ConsentPublisher(settings, "shop") as publisher:
        places = [await publisher.publish(take(body_of("ConsentWithdrawn"))) for _ in range(5)]
    assert len({place.partition for place in places}) == 1
    assert [place.offset for place in places] == [0, 1, 2, 3, 4]


async def test_the_live_publisher_waits_for_all_replicas_and_repeats_without_doubling(kafka: str) -> None:
    async with ConsentPublisher(kafka, "shop") as publisher:
        assert_is_safe(publisher.producer.client)


async def test_a_live_consumer_neither_commits_by_itself_nor_skips_nor_reads_what_may_be_undone(kafka: str) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, **CONSUMER_DEFAULTS)
    await consumer.start()
    try:
        await consumer.topics()
        assert consumer._enable_auto_commit is False
        assert consumer._auto_offset_reset == "none"
        assert consumer._isolation_level == "read_committed"
        assert consumer._check_crcs is True
        assert consumer._fetcher._isolation_level == 1  # READ_COMMITTED on the wire
    finally:
        await consumer.stop()


@pytest.mark.parametrize(
    ("type_name", "changes"),
    [
        ("ConsentWithdrawn", {"subject": "account:13800138000"}),
        ("ConsentGiven", {"occurred_at": 0}),
        ("ConsentWithdrawn", {"data": []}),
        ("ConsentGiven", {"occurred_at": NOW + 86_400_000}),
    ],
)
async def test_what_intake_would_refuse_is_not_sent(
    kafka: str, topic_prefix: str, type_name: str, changes: dict[str, object]
) -> None:
    settings = settings_for(kafka, topic_prefix, intake_producers="shop")
    await make_topics(settings)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
    event = msgspec.structs.replace(take(body_of(type_name)), **values)
    async with ConsentPublisher(settings, "shop", clock=lambda: NOW) as publisher:
        with pytest.raises(InvalidEvent):
            await publisher.publish(event)
    assert not await read_records(settings, "consent-intake.shop", settings.partitions)


async def test_a_revocation_is_no_producers_to_publish(kafka: str) -> None:
    event = take(body_of("ConsentRevoked"))
    async with ConsentPublisher(kafka, "shop") as publisher:
        with pytest.raises(InvalidEvent) as caught:
            await publisher.publish(event)
    assert caught.value.status == 403


async def test_a_publisher_that_is_not_running_says_so() -> None:
    publisher = ConsentPublisher(Settings(bootstrap_servers="127.0.0.1:9"), "shop")
    with pytest.raises(Unavailable, match="not running"):
        await publisher.publish(take(body_of("ConsentWithdrawn")))


async def test_a_topic_that_is_missing_has_an_unknown_outcome(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix, acknowledge_timeout_ms=500)
    async with ConsentPublisher(settings, "shop") as publisher:
        with pytest.raises(Unavailable) as caught:
            await publisher.publish(take(body_of("ConsentWithdrawn")))
    assert "safe to repeat" in caught.value.remedy


@pytest.mark.parametrize("name", ["", "a b", "shop/eu", "x" * 64, "-shop"])
async def test_a_name_that_no_topic_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConsentryError):
        ConsentPublisher("127.0.0.1:9", name)
