"""`kill -9` of the worker at any moment, then a restart: the state equals a fold of the log, byte for byte."""

import asyncio
import random
import signal
from pathlib import Path

import pytest
from running import (
    Child,
    Story,
    append,
    assert_no_row_went_backwards,
    assert_state_is_the_fold_of_the_log,
    make_topics,
    read_state,
    settings_for,
    until_assigned,
    worker,
)

from consentry.events import Genesis
from consentry.settings import Settings
from streams.app import EXIT_FATAL
from streams.processors import Stage

pytestmark = [pytest.mark.stack, pytest.mark.slow]

FAILING = str(Path(__file__).parent.parent / "failing_worker.py")
FOLD_STAGES = [Stage.DECODED, Stage.FOLDED, Stage.WRITTEN, Stage.BEFORE_COMMIT, Stage.BEFORE_ACK]


async def load(settings: Settings, story: Story, stop: asyncio.Event) -> int:
    """Some 2,000 events a second, until told to stop. How many were written."""
    written = 0
    while not stop.is_set():
        await append(settings, [story.event() for _ in range(100)])
        written += 100
        await asyncio.sleep(0.05)
    return written


async def died(child: Child) -> int:
    return await asyncio.to_thread(child.process.wait, 40)


@pytest.mark.parametrize("stage", FOLD_STAGES)
@pytest.mark.parametrize("count", [1, 7])
async def test_a_worker_killed_at_a_stage_leaves_nothing_half_done(
    kafka: str, topic_prefix: str, tmp_path: Path, stage: Stage, count: int
) -> None:
    settings = settings_for(kafka, topic_prefix, worker_id="w1")
    identity = await make_topics(settings)
    story, stop = Story(seed=count, subjects=40), asyncio.Event()
    loading = asyncio.create_task(load(settings, story, stop))
    with worker(settings, tmp_path, FAILING, stage, str(count)) as failing:
        assert await died(failing) == -signal.SIGKILL, failing.output
    with worker(settings, tmp_path):
        await asyncio.sleep(1)
        stop.set()
        await loading
        await assert_state_is_the_fold_of_the_log(settings, identity)
    await assert_no_row_went_backwards(settings)


async def test_a_worker_killed_at_twenty_random_moments(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix, worker_id="w1")
    identity = await make_topics(settings)
    story, stop, chance = Story(seed=20, subjects=200), asyncio.Event(), random.Random(20)
    loading = asyncio.create_task(load(settings, story, stop))
    for _ in range(20):
        with worker(settings, tmp_path) as running:
            await asyncio.sleep(chance.uniform(0.8, 4.0))
            assert running.process.poll() is None, running.output
            running.kill()
    stop.set()
    assert await loading > 10_000
    with worker(settings, tmp_path):
        await assert_state_is_the_fold_of_the_log(settings, identity)
    await assert_no_row_went_backwards(settings)


async def test_a_paused_owner_that_comes_back_overwrites_nothing(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """SIGSTOP past its session, take-over by another, SIGCONT, under load: it dies fenced, the state is exact."""
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    story, stop = Story(seed=5, subjects=100), asyncio.Event()
    loading = asyncio.create_task(load(settings, story, stop))
    with worker(settings, tmp_path) as first:
        await _owns_all(settings, identity)
        first.signal(signal.SIGSTOP)
        with worker(settings, tmp_path):
            await asyncio.sleep(settings.session_timeout_ms / 1000 + 6)
            first.signal(signal.SIGCONT)
            assert await died(first) == EXIT_FATAL, first.output
            assert "ProducerFenced" in first.output
            stop.set()
            await loading
            await assert_state_is_the_fold_of_the_log(settings, identity)
    await assert_no_row_went_backwards(settings)


async def test_a_second_worker_that_joins_and_leaves(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    story, stop = Story(seed=6, subjects=100), asyncio.Event()
    loading = asyncio.create_task(load(settings, story, stop))
    with worker(settings, tmp_path) as steady:
        await _owns_all(settings, identity)
        for turn in range(6):
            with worker(settings, tmp_path) as guest:
                await until_assigned(guest)
                await asyncio.sleep(3)
                assert guest.process.poll() is None, guest.output
                if turn % 2:
                    guest.kill()
                else:
                    assert guest.stop() == 0, guest.output
        stop.set()
        await loading
        await assert_state_is_the_fold_of_the_log(settings, identity, timeout_s=90)
        assert steady.process.poll() is None, steady.output
    await assert_no_row_went_backwards(settings)


async def _owns_all(settings: Settings, identity: Genesis) -> None:
    """Until the worker has folded something of each partition."""
    for _ in range(200):
        held = await read_state(settings)
        if all(rows.watermark is not None for rows in held.values()):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"no worker owns all {identity.partitions} partitions")
