"""Audit replay on a real Kafka: the log alone gives the row that the workers hold, and any former one."""

from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from running import (
    Story,
    append,
    append_raw,
    assert_state_is_the_fold_of_the_log,
    make_topics,
    publish_policy,
    read_state,
    settings_for,
    worker,
)

from consentry.audit import AsOf, Replay, policies_known, replay
from consentry.codec import encode_row
from consentry.errors import UntrustedLog
from consentry.partition import partition_of
from consentry.terms import Position
from streams.replay import read_policy_records, read_subject

pytestmark = pytest.mark.stack


async def test_a_replay_of_the_log_is_the_row_that_the_worker_holds_byte_for_byte(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    story = Story(seed=7, subjects=10)
    odd = story.subjects[3]
    await append(settings, [story.event() for _ in range(300)])
    await append_raw(settings, partition_of(odd, settings.partitions), odd.encode(), b"\xc3\x01 not a record")
    await append(settings, [story.event() for _ in range(300)])
    with worker(settings, tmp_path):
        await assert_state_is_the_fold_of_the_log(settings, identity)
    rows = await read_state(settings)
    for subject in story.subjects:
        log = await read_subject(settings, subject)
        replayed = Replay.of(subject, log.entries, log=log.topic)
        assert replayed.state is not None
        held = rows[log.complete_to.partition].state(subject)
        assert held is not None
        assert encode_row(replayed.state) == encode_row(held)
        assert bool(held.quarantined) is (subject == odd)


async def test_a_replay_up_to_a_position_reads_no_further(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    story = Story(seed=8, subjects=1)
    await append(settings, [story.event() for _ in range(50)])
    (subject,) = story.subjects
    seen: list[tuple[int, int]] = []
    whole = await read_subject(settings, subject, on_progress=lambda *progress: seen.append(progress))
    assert seen[-1] == (51, 51)
    until = whole.entries[19].position
    part = await read_subject(settings, subject, until)
    assert part.entries == whole.entries[:20]
    assert part.complete_to == until
    assert replay(part.entries) == replay(whole.entries, AsOf(position=until))


async def test_a_subject_of_whom_the_log_says_nothing_has_no_records(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    log = await read_subject(settings, "account:nobody")
    assert log.entries == ()
    assert log.complete_to.offset == 0


async def test_a_position_of_another_epoch_is_refused(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    partition = partition_of("account:ada", settings.partitions)
    with pytest.raises(UntrustedLog, match="are in epoch"):
        await read_subject(settings, "account:ada", Position(99, partition, 5))


async def test_a_log_whose_first_records_are_gone_is_not_replayed(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    story = Story(seed=9, subjects=1)
    await append(settings, [story.event() for _ in range(10)])
    (subject,) = story.subjects
    place = TopicPartition(settings.topic("consent-events"), partition_of(subject, settings.partitions))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(before_offset=5)})
    finally:
        await admin.close()
    with pytest.raises(UntrustedLog):
        await read_subject(settings, subject)


async def test_the_policies_are_read_from_their_records(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    publish_policy(settings)
    records = await read_policy_records(settings)
    assert [recorded.position.offset for recorded in records] == [1]
    assert policies_known(records).version(1) is not None
    assert policies_known(records, AsOf(as_known_at=records[0].recorded_at - 1)).version(1) is None
