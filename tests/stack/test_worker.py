"""The worker on a real Kafka: rows equal a fold of the log, whatever is in it."""

import asyncio
import signal
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from running import (
    Story,
    append,
    append_raw,
    assert_state_is_the_fold_of_the_log,
    make_topics,
    read_records,
    read_state,
    settings_for,
    worker,
)

from consentry.codec import encode_genesis
from consentry.events import Genesis
from consentry.partition import partition_of
from consentry.settings import Settings
from streams.topics.cluster import PlannedTopic, connect
from streams.topics.table import TOPICS, demands_on

pytestmark = pytest.mark.stack


CONSENTRY = ("-m", "streams.cli", "worker")
FAUST = ("-m", "faust", "-A", "streams.app", "worker", "-l", "warn")


@pytest.mark.parametrize("command", [CONSENTRY, FAUST], ids=["consentry", "faust"])
async def test_rows_equal_a_fold_of_the_log_and_no_files_are_left(
    kafka: str, topic_prefix: str, tmp_path: Path, command: tuple[str, ...]
) -> None:
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    story = Story(seed=1, subjects=50)
    await append(settings, [story.event() for _ in range(1_000)])
    started_in = tmp_path / "started-in"
    started_in.mkdir()
    with worker(settings, tmp_path, *command, cwd=started_in) as running:
        assert await assert_state_is_the_fold_of_the_log(settings, identity) == 50
        await append(settings, [story.event() for _ in range(1_000)])
        await assert_state_is_the_fold_of_the_log(settings, identity)
        assert running.stop() == 0, running.output
    assert list(started_in.rglob("*")) == []


async def test_a_restarted_worker_goes_on_from_its_rows(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix, worker_id="w1")
    identity = await make_topics(settings)
    story = Story(seed=2, subjects=20)
    for _ in range(3):
        await append(settings, [story.event() for _ in range(200)])
        with worker(settings, tmp_path) as running:
            await assert_state_is_the_fold_of_the_log(settings, identity)
            running.signal(signal.SIGKILL)


async def test_a_record_that_cannot_be_read_is_set_aside_and_its_subject_quarantined(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    story = Story(seed=3, subjects=5)
    subject = story.subjects[0]
    partition = partition_of(subject, settings.partitions)
    await append(settings, [story.event() for _ in range(50)])
    await append_raw(settings, partition, subject.encode(), b"\xc3\x01 not a record")
    await append_raw(settings, partition, None, b"\x00nobody's")
    await append(settings, [story.event() for _ in range(50)])
    with worker(settings, tmp_path):
        await assert_state_is_the_fold_of_the_log(settings, identity)
    state = (await read_state(settings))[partition].state(subject)
    assert state is not None
    assert len(state.quarantined) == 1
    set_aside = await read_records(settings, "consent-quarantine", settings.partitions)
    assert len(set_aside) == 2


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (600, "another record stands where the last one was folded"),
        (0, "the log ends before the last record that was folded"),
    ],
)
async def test_a_worker_does_not_fold_on_a_log_that_is_not_the_one_it_folded(
    kafka: str, topic_prefix: str, tmp_path: Path, records: int, said: str
) -> None:
    """The topic is deleted and made anew with as many records: geneses and offsets fit, the hash does not."""
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    story = Story(seed=4, subjects=5)
    await append(settings, [story.event() for _ in range(60)])
    with worker(settings, tmp_path):
        await assert_state_is_the_fold_of_the_log(settings, identity)
    before = await read_state(settings)
    await swap_the_log(settings, identity)
    await append(settings, [story.event() for _ in range(records)])
    with worker(settings, tmp_path) as running:
        code = await asyncio.to_thread(running.process.wait, 30)
        assert code != 0
        assert said in running.output
    after = await read_state(settings)
    assert {p: dict(rows.items()) for p, rows in after.items()} == {p: dict(rows.items()) for p, rows in before.items()}


async def swap_the_log(settings: Settings, identity: Genesis) -> None:
    """Delete consent-events and make another with the same settings and geneses, as a careless mirror might."""
    name = settings.topic("consent-events")
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([name])
    await admin.close()
    rule = next(rule for rule in TOPICS if rule.name == "consent-events")
    demands = {demand.setting: demand.value for demand in demands_on(rule, 1)}
    async with connect(settings) as cluster:
        for _ in range(50):
            planned = PlannedTopic(name=name, partitions=settings.partitions, replicas=1, settings=demands)
            if await cluster.create([planned]):
                break
            await asyncio.sleep(0.1)
    for partition in range(settings.partitions):
        await append_raw(settings, partition, None, encode_genesis(identity))
