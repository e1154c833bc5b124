"""What our live consumers read with, read back from them: not what they were told."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from running import make_topics, settings_for, worker

from consentry.replica.policies import PolicyFollower
from consentry.replica.reader import StateReader
from consentry.settings import Settings

pytestmark = pytest.mark.stack

STARTED = str(Path(__file__).parent.parent / "started_worker.py")


def assert_is_safe(consumer: AIOKafkaConsumer | None) -> None:
    """It commits nothing, never jumps to an end of its own choice, and reads nothing that may be undone."""
    assert consumer is not None
    assert consumer._enable_auto_commit is False
    assert consumer._auto_offset_reset == "none"
    assert consumer._isolation_level == "read_committed"
    assert consumer._fetcher._isolation_level == 1  # READ_COMMITTED on the wire
    assert consumer._check_crcs is True
    assert consumer._group_id is None


async def test_a_live_reader_of_rows_reads_what_is_committed_and_commits_nothing(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    reader = StateReader(settings, range(settings.partitions))
    await reader.start()
    try:
        await reader.poll()
        assert_is_safe(reader._consumer)
    finally:
        await reader.stop()


async def test_a_live_follower_of_policies_reads_what_is_committed_and_commits_nothing(
    kafka: str, topic_prefix: str
) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    follower = PolicyFollower(settings)
    await follower.start()
    try:
        assert_is_safe(follower._consumer)
    finally:
        await follower.stop()


async def test_a_live_worker_never_skips_to_the_end_and_commits_nothing_by_itself(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Without an offset of its own it begins at the beginning; the client commits nothing behind its back."""
    settings = settings_for(kafka, topic_prefix, worker_id="w1")
    found = await read_back(settings, tmp_path)
    expected = {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "check_crcs": True,
        "group_id": f"{topic_prefix}consentry-workers",
        "group_instance_id": "w1",
        "session_timeout_ms": settings.session_timeout_ms,
    }
    assert {name: found[name] for name in expected} == expected


async def test_a_live_worker_reads_what_is_committed(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    found = await read_back(settings_for(kafka, topic_prefix), tmp_path)
    assert found["isolation_level"] == "read_committed"


async def read_back(settings: Settings, directory: Path) -> dict[str, Any]:
    """Of the consumer in Faust's thread."""
    await make_topics(settings)
    with worker(settings, directory, STARTED) as child:
        assert await asyncio.to_thread(child.process.wait, 60) == 0, child.output
        lines = child.output.splitlines()
    found: dict[str, Any] = next(json.loads(line) for line in lines if '"auto_offset_reset"' in line)
    return found
