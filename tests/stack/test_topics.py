"""Topics on a real Kafka: made, resumed, and each way they can be wrong found before anybody serves."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from consentry.errors import ConsentryError, Unavailable, UntrustedLog
from consentry.events import Genesis
from consentry.settings import Secret, Settings
from consentry.terms import SubjectIds
from streams.broker import LocalKafka
from streams.topics import (
    TOPICS,
    Creation,
    check_topics,
    create_topics,
    demands_on,
    read_identity,
    require_topics,
)
from streams.topics.cluster import connect
from streams.topics.geneses import only_creator, write_geneses

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> Settings:
    return Settings(bootstrap_servers=kafka, topic_prefix=topic_prefix, partitions=3, replication_factor=1)


@pytest.fixture
async def admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    yield client
    await client.close()


async def create(settings: Settings) -> Creation:
    return await create_topics(settings, new_log_id=uuid4)


async def alter(admin: AIOKafkaAdminClient, settings: Settings, name: str, **changes: str) -> None:
    """Change some settings of a live topic (the client's call replaces them all)."""
    rule = next(rule for rule in TOPICS if rule.name == name)
    kept = {demand.setting: demand.value for demand in demands_on(rule, 1)}
    changed = {setting.replace("_", "."): value for setting, value in changes.items()}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topic(name), {**kept, **changed})])


async def remake(admin: AIOKafkaAdminClient, settings: Settings, name: str) -> None:
    """Deleted and made again by hand, with the right settings and nothing in it."""
    rule = next(rule for rule in TOPICS if rule.name == name)
    partitions = 1 if name == "policy-revisions" else settings.partitions
    await admin.delete_topics([settings.topic(name)])
    configs = {demand.setting: demand.value for demand in demands_on(rule, 1)}
    new = NewTopic(settings.topic(name), partitions, 1, topic_configs=configs)
    for _ in range(100):
        response = await admin.create_topics([new])
        if response.topic_errors[0][1] == 0:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{name} was not deleted in time")


async def write(settings: Settings, topic: str, partition: int = 0, value: bytes = b"a record") -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(settings.topic(topic), value, b"key", partition=partition)
    finally:
        await producer.stop()


async def test_a_new_cluster_gets_every_topic_as_the_table_says(settings: Settings) -> None:
    creation = await create(settings)
    assert sorted(creation.made) == sorted(settings.topic(t.name) for t in TOPICS if not t.per_producer)
    assert creation.geneses_written == settings.partitions + 1
    assert await check_topics(settings) == []


async def test_each_named_producer_gets_an_intake_topic(settings: Settings) -> None:
    named = Settings(
        bootstrap_servers=settings.bootstrap_servers,
        topic_prefix=settings.topic_prefix,
        partitions=1,
        intake_producers="web, app",
    )
    creation = await create(named)
    assert {named.topic("consent-intake.web"), named.topic("consent-intake.app")} < set(creation.made)
    assert await check_topics(named) == []


async def test_creating_again_changes_nothing_and_keeps_the_identity(settings: Settings) -> None:
    first = await create(settings)
    second = await create(settings)
    assert second.made == ()
    assert second.geneses_written == 0
    assert second.identity == first.identity


async def test_the_identity_names_the_log_its_epoch_and_its_partitions(settings: Settings) -> None:
    log_id = uuid4()
    await create_topics(settings, new_log_id=lambda: log_id)
    assert await require_topics(settings) == Genesis(log_id=log_id, epoch=1, partitions=3, subject_ids=SubjectIds.PLAIN)


async def test_a_creation_that_was_cut_short_is_completed_with_the_same_log_id(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    first = await create(settings)
    for name in ("consent-events", "policy-revisions"):
        await remake(admin, settings, name)
    await write_geneses(settings, first.identity, [TopicPartition(settings.topic("consent-events"), 1)])
    resumed = await create(settings)
    assert resumed.identity == first.identity
    assert resumed.geneses_written == 3
    assert await check_topics(settings) == []


async def test_two_creators_at_once_make_one_log(settings: Settings) -> None:
    made = await asyncio.gather(create(settings), create(settings), create(settings))
    assert len({creation.identity for creation in made}) == 1
    assert sum(creation.geneses_written for creation in made) == settings.partitions + 1
    assert await check_topics(settings) == []


async def test_no_creator_begins_while_another_is_at_work(settings: Settings) -> None:
    await create(settings)
    at_work: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(number * 0.2)  # each joins the group while an earlier one is at work
        async with only_creator(settings, settings.topic("policy-revisions")):
            at_work.append(number)
            await asyncio.sleep(0.7)
            assert at_work == [number]
            at_work.remove(number)

    await asyncio.gather(*map(work, range(6)))


async def test_creating_refuses_to_alter_a_topic_and_says_what_differs(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    await admin.create_topics([NewTopic(settings.topic("consent-events"), 3, 1)])
    with pytest.raises(UntrustedLog, match=r"message\.timestamp\.type is CreateTime, must be LogAppendTime"):
        await create(settings)
    assert (await admin.list_topics()).count(settings.topic("consent-state")) == 0


async def test_a_lost_partition_is_never_given_a_new_genesis(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await create(settings)
    await write(settings, "consent-events")
    await remake(admin, settings, "policy-revisions")
    with pytest.raises(UntrustedLog, match="the records that were here are lost"):
        await create(settings)


async def test_a_new_log_is_refused_beside_the_rows_of_an_old_one(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    await create(settings)
    await write(settings, "consent-state")
    for name in ("consent-events", "policy-revisions"):
        await remake(admin, settings, name)
    with pytest.raises(UntrustedLog, match="consent-state-0 is not"):
        await create(settings)


async def test_a_retention_that_was_changed_is_found_and_the_command_that_mends_it_given(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    await create(settings)
    await alter(admin, settings, "consent-events", retention_ms="1000")
    (finding,) = await check_topics(settings)
    assert (finding.setting, finding.found, finding.expected) == ("retention.ms", "1000", "-1")
    assert finding.remedy == (
        f"kafka-configs.sh --bootstrap-server {settings.bootstrap_servers} --alter"
        f" --topic {settings.topic('consent-events')} --add-config retention.ms=-1"
    )


async def test_a_compacted_log_is_refused_by_who_would_serve(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await create(settings)
    await alter(admin, settings, "consent-events", cleanup_policy="compact")
    with pytest.raises(UntrustedLog, match=r"cleanup\.policy is compact, must be delete") as refused:
        await require_topics(settings)
    assert "--add-config cleanup.policy=delete" in refused.value.remedy


async def test_partitions_that_were_added_are_found(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await create(settings)
    await admin.create_partitions({settings.topic("consent-events"): NewPartitions(total_count=4)})
    for _ in range(100):
        findings = await check_topics(settings)
        if len(findings) == 2:
            break
        await asyncio.sleep(0.05)
    assert [(finding.setting, finding.found, finding.expected) for finding in findings] == [
        ("partitions", "4", "3"),
        ("genesis", "missing", "record 0"),
    ]


async def test_a_topic_that_was_made_again_has_no_genesis(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await create(settings)
    await remake(admin, settings, "consent-events")
    with pytest.raises(UntrustedLog, match="genesis is missing"):
        await require_topics(settings)


async def test_a_partition_of_another_log_is_found(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    first = await create(settings)
    await remake(admin, settings, "policy-revisions")
    other = Genesis(log_id=UUID(int=7), epoch=1, partitions=3, subject_ids=SubjectIds.PLAIN)
    await write_geneses(settings, other, [TopicPartition(settings.topic("policy-revisions"), 0)])
    (finding,) = await check_topics(settings)
    assert finding.topic == f"{settings.topic('policy-revisions')}-0"
    assert str(other.log_id) in finding.found
    assert str(first.identity.log_id) in finding.expected


async def test_another_epoch_of_the_same_log_is_found(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    first = await create(settings)
    await remake(admin, settings, "policy-revisions")
    later = Genesis(log_id=first.identity.log_id, epoch=2, partitions=3, subject_ids=first.identity.subject_ids)
    await write_geneses(settings, later, [TopicPartition(settings.topic("policy-revisions"), 0)])
    (finding,) = await check_topics(settings)
    assert "epoch 2" in finding.found


async def test_a_log_whose_first_records_were_deleted_is_found(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await create(settings)
    await write(settings, "consent-events", partition=2)
    place = TopicPartition(settings.topic("consent-events"), 2)
    await admin.delete_records({place: RecordsToDelete(before_offset=1)})
    (finding,) = await check_topics(settings)
    assert (finding.topic, finding.setting, finding.found) == (
        f"{settings.topic('consent-events')}-2",
        "first offset",
        "1",
    )


async def test_a_record_where_a_genesis_belongs_is_found(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await create(settings)
    await remake(admin, settings, "policy-revisions")
    await write(settings, "policy-revisions", value=b"no genesis")
    (finding,) = await check_topics(settings)
    assert (finding.setting, finding.found) == ("genesis", "another record")


async def test_a_missing_topic_is_found(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await create(settings)
    await admin.delete_topics([settings.topic("consent-quarantine")])
    (finding,) = await check_topics(settings)
    assert (finding.topic, finding.found) == (settings.topic("consent-quarantine"), "missing")


async def test_state_with_other_partitions_than_the_log_is_found(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    await create(settings)
    wide = Settings(bootstrap_servers=settings.bootstrap_servers, topic_prefix=settings.topic_prefix, partitions=4)
    await remake(admin, wide, "consent-state")
    (finding,) = await check_topics(settings)
    assert (finding.topic, finding.found, finding.expected) == (settings.topic("consent-state"), "4", "3")


async def test_a_log_of_plain_ids_is_refused_with_a_pepper(settings: Settings) -> None:
    await create(settings)
    peppered = Settings(
        bootstrap_servers=settings.bootstrap_servers,
        topic_prefix=settings.topic_prefix,
        replication_factor=1,
        subject_pepper=Secret("a pepper"),
    )
    with pytest.raises(UntrustedLog, match="subject ids by these settings is hashed, must be plain"):
        await require_topics(peppered)


async def test_too_few_replicas_are_found(settings: Settings) -> None:
    await create(settings)
    strict = Settings(
        bootstrap_servers=settings.bootstrap_servers,
        topic_prefix=settings.topic_prefix,
        partitions=3,
        replication_factor=3,
    )
    findings = await check_topics(strict)
    assert {finding.setting for finding in findings} == {"replicas"}
    assert len(findings) == len([rule for rule in TOPICS if not rule.per_producer])


async def test_nothing_is_there_before_it_is_created(settings: Settings) -> None:
    with pytest.raises(UntrustedLog, match="the topic is missing") as refused:
        await read_identity(settings)
    assert refused.value.remedy == "consentry topics create"


async def test_a_prefix_that_no_topic_can_have_is_refused(kafka: str) -> None:
    with pytest.raises(ConsentryError, match="cannot be part of a topic's name"):
        await create(Settings(bootstrap_servers=kafka, topic_prefix="white space "))


async def test_more_replicas_than_brokers_are_refused_in_the_brokers_words(kafka: str, topic_prefix: str) -> None:
    settings = Settings(bootstrap_servers=kafka, topic_prefix=topic_prefix, partitions=1, replication_factor=9)
    with pytest.raises(ConsentryError, match=r"[Rr]eplication factor") as refused:
        await create(settings)
    assert not isinstance(refused.value, Unavailable)


async def test_a_log_of_no_partitions_is_refused() -> None:
    with pytest.raises(ConsentryError, match="0 is too few"):
        await create(Settings(bootstrap_servers="127.0.0.1:1", partitions=0))


async def test_a_kafka_that_does_not_answer_is_unavailable(topic_prefix: str) -> None:
    with pytest.raises(Unavailable, match="CONSENTRY_BOOTSTRAP_SERVERS"):
        await check_topics(Settings(bootstrap_servers="127.0.0.1:1", topic_prefix=topic_prefix))


async def test_a_second_genesis_is_never_written_over_a_first(settings: Settings) -> None:
    first = await create(settings)
    with pytest.raises(UntrustedLog, match="at offset 1, not 0"):
        await write_geneses(settings, first.identity, [TopicPartition(settings.topic("consent-events"), 0)])


@pytest.mark.slow
async def test_three_brokers_keep_three_replicas_with_two_in_sync(kafka_cluster: LocalKafka, topic_prefix: str) -> None:
    settings = Settings(bootstrap_servers=kafka_cluster.bootstrap, topic_prefix=topic_prefix, partitions=2)
    await create(settings)
    assert await check_topics(settings) == []
    async with connect(settings) as cluster:
        (log,) = await cluster.topics(wanted=[settings.topic("consent-events")])
    assert (log.replicas, log.settings["min.insync.replicas"]) == (3, "2")
