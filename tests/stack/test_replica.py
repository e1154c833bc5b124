"""The replica on a real Kafka: fed by one process of a host, read by all of them, warm after a restart, never wrong."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from acts import follow, grant, withdrawal
from aiokafka.admin import AIOKafkaAdminClient
from msgspec.structs import replace
from running import append, make_topics, publish_policy, settings_for, until_assigned, worker

from consentry.decision import Request
from consentry.replica import ConsentReplica
from consentry.replica.home import Home
from consentry.settings import Settings
from consentry.state.row import SubjectState
from consentry.terms import Reason

pytestmark = pytest.mark.stack

WAIT_S = 30.0


async def prepared(kafka: str, prefix: str, tmp_path: Path, **more: object) -> Settings:
    """Topics, a policy, and a directory for the replica."""
    settings = settings_for(kafka, prefix, replica_dir=str(tmp_path / "replica"), **more)
    await make_topics(settings)
    await asyncio.to_thread(publish_policy, settings)
    return settings


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[ConsentReplica]:
    replica = ConsentReplica(settings)
    try:
        await replica.start()
        yield replica
    finally:
        await replica.stop()


async def until(replica: ConsentReplica, request: Request, reason: Reason) -> None:
    deadline = time.monotonic() + WAIT_S
    while (answer := replica.check(request)).reason is not reason:
        assert time.monotonic() < deadline, f"{answer}\n{replica.not_ready_because}"
        await asyncio.sleep(0.02)


async def until_ready(replica: ConsentReplica) -> None:
    deadline = time.monotonic() + WAIT_S
    while not replica.ready:
        assert time.monotonic() < deadline, replica.not_ready_because
        await asyncio.sleep(0.02)


async def test_one_replica_feeds_and_another_reads_and_both_see_a_withdrawal(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path):
        async with started(settings) as one, started(settings) as other:
            assert (one.feeds, other.feeds) == (True, False)
            for replica in (one, other):
                await until(replica, follow(), Reason.NO_CONSENT)
            await append(settings, [grant()])
            for replica in (one, other):
                await until(replica, follow(), Reason.CONSENT)
            await append(settings, [withdrawal()])
            for replica in (one, other):
                await until(replica, follow(), Reason.WITHDRAWN)
                await until_ready(replica)


@pytest.mark.parametrize("shared", [True, False])
async def test_a_restarted_replica_holds_what_it_held(
    kafka: str, topic_prefix: str, tmp_path: Path, shared: bool
) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    if not shared:
        settings = replace(settings, replica_dir="")
    with worker(settings, tmp_path):
        await append(settings, [grant()])
        async with started(settings) as replica:
            await until(replica, follow(), Reason.CONSENT)
        await append(settings, [withdrawal(), grant("account:bob")])
        async with started(settings) as replica:
            await until(replica, follow(), Reason.WITHDRAWN)
            await until(replica, follow("account:bob"), Reason.CONSENT)
            assert replica.subjects == 2


def copy_of(settings: Settings) -> Path:
    """The directory of the current copy."""
    (root,) = Path(settings.replica_dir).iterdir()
    return root / (root / "current").read_text().split("\n")[0]


def records_read(replica: ConsentReplica) -> int:
    assert replica._feeder is not None
    return replica._feeder.records_read


async def test_a_warm_start_reads_on_where_the_copy_ended(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path) as running:
        await append(settings, [grant(f"account:s{number}") for number in range(300)])
        async with started(settings) as replica:
            await until(replica, follow("account:s299"), Reason.CONSENT)
        copy = copy_of(settings)
        running.stop()
    with worker(settings, tmp_path):
        await append(settings, [withdrawal("account:s299")])
        async with started(settings) as replica:
            assert copy_of(settings) == copy
            assert records_read(replica) < 200
            await until(replica, follow("account:s299"), Reason.WITHDRAWN)
            await until(replica, follow("account:s298"), Reason.CONSENT)
            assert replica.subjects == 300


@pytest.mark.parametrize("closed", [True, False])
async def test_after_a_boot_a_copy_is_fed_on_only_if_it_had_been_closed(
    kafka: str, topic_prefix: str, tmp_path: Path, closed: bool
) -> None:
    """What was not on the disk when the machine went down is gone, and nothing tells which pages those were."""
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path):
        await append(settings, [grant()])
        async with started(settings) as replica:
            await until(replica, follow(), Reason.CONSENT)
        copy = copy_of(settings)
        home = Home(settings)
        assert home.become_feeder()
        store = await home.open_whole()
        assert store is not None
        head = store.head()
        assert head is not None
        assert head.closed
        store.put_head(replace(head, clock="another boot", closed=closed))
        home.close()
        async with started(settings) as replica:
            assert (copy_of(settings) == copy) is closed
            await until(replica, follow(), Reason.CONSENT)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 512):
        content[place] ^= 0x55
    path.write_bytes(bytes(content))


def scribble_after_the_beginning(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(8_192, len(content), 97):
        content[place] ^= 0x55
    path.write_bytes(bytes(content))


def turn_one_row(path: Path) -> None:
    """Behind each key as it stands in the file; heads and policies are not touched."""
    content = bytearray(path.read_bytes())
    places = [place for place in range(len(content)) if content.startswith(b"raccount:", place)]
    assert places
    for place in places:
        content[place + 40] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut, scribble, scribble_after_the_beginning, turn_one_row, Path.unlink])
async def test_a_damaged_copy_is_made_anew(
    kafka: str, topic_prefix: str, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path):
        await append(settings, [grant(), withdrawal("account:bob")])
        async with started(settings) as replica:
            await until(replica, follow(), Reason.CONSENT)
            await until(replica, follow("account:bob"), Reason.WITHDRAWN)
        copy = copy_of(settings)
        damage(copy / "data.mdb")
        async with started(settings) as replica:
            assert copy_of(settings) != copy
            assert not copy.exists()
            await until(replica, follow(), Reason.CONSENT)
            await until(replica, follow("account:bob"), Reason.WITHDRAWN)


async def test_a_copy_of_another_log_is_made_anew(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path):
        await append(settings, [grant(), grant("account:bob")])
        async with started(settings) as replica:
            await until(replica, follow("account:bob"), Reason.CONSENT)
    await delete_topics(settings)
    await make_topics(settings)
    await asyncio.to_thread(publish_policy, settings)
    with worker(settings, tmp_path):
        await append(settings, [withdrawal()])
        async with started(settings) as replica:
            await until(replica, follow(), Reason.WITHDRAWN)
            await until(replica, follow("account:bob"), Reason.NO_CONSENT)


async def delete_topics(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        ours = [name for name in await admin.list_topics() if name.startswith(settings.topic_prefix)]
        await admin.delete_topics(ours)
        while set(ours) & set(await admin.list_topics()):
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def test_a_table_that_was_made_anew_from_the_same_log_is_read_from_its_beginning(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Its offsets are others, and the one where the copy ended may be any."""
    settings = await prepared(kafka, topic_prefix, tmp_path, partitions=1)
    state = settings.topic("consent-state")
    with worker(settings, tmp_path) as running:
        await append(settings, [grant()])
        async with started(settings) as replica:
            await until(replica, follow(), Reason.CONSENT)
        copy = copy_of(settings)
        running.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([state])
        while state in await admin.list_topics():
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
    await make_topics(settings)
    await append(settings, [withdrawal()])
    with worker(settings, tmp_path) as running:
        await until_assigned(running)
        await asyncio.sleep(3)  # until its heartbeats have gone further than the copy had
        async with started(settings) as replica:
            assert copy_of(settings) != copy
            await until(replica, follow(), Reason.WITHDRAWN)


async def test_a_heartbeat_that_waited_for_a_paused_process_does_not_make_its_copy_fresh(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The wall clock alone would show it; here it is an hour behind, and what that hides is the pause."""
    settings = await prepared(kafka, topic_prefix, tmp_path, clock_tolerance_ms=10**9)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600 * 10**9)
    with worker(settings, tmp_path) as running:
        async with started(settings) as replica:
            await until_ready(replica)
            paused_at = time.monotonic()
            killer = threading.Timer(0.7, running.kill)
            killer.start()
            time.sleep(4)  # the event loop stands still, and heartbeats wait to be read
            killer.join()
            for _ in range(20):
                await asyncio.sleep(0.1)
                asked_at = time.monotonic()
                for partition in range(settings.partitions):
                    age_ms = replica.staleness_ms(partition)
                    assert age_ms is not None
                    # the killed worker's last word is no younger than 0.7 s after the pause began
                    assert age_ms >= (asked_at - paused_at - 0.9) * 1000
            assert "replica.paused" in caplog.messages


async def next_of(changes: AsyncGenerator[SubjectState, None]) -> SubjectState:
    async with asyncio.timeout(WAIT_S):
        return await anext(changes)


async def test_changes_are_told_in_a_process_that_reads_too_and_while_it_takes_over(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path):
        async with started(settings) as first, started(settings) as second:
            await until_ready(second)
            async with aclosing(first.changes()) as of_first, aclosing(second.changes()) as of_second:
                waiting = [asyncio.create_task(next_of(changes)) for changes in (of_first, of_second)]
                await asyncio.sleep(0)
                await append(settings, [grant()])
                told = await asyncio.gather(*waiting)
                assert told[0] == told[1]
                assert told[0].subject == "account:ada"
                await first.stop()
                await append(settings, [withdrawal("account:bob")])
                assert (await next_of(of_second)).subject == "account:bob"
                assert second.feeds
                assert second.subjects_after("", 5) == ("account:ada", "account:bob")
