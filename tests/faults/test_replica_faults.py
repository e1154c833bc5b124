"""What may go wrong around a replica: processes killed and paused, brokers away, no room. It denies, and comes back."""

import asyncio
import json
import resource
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from acts import follow, grant, search, withdrawal
from msgspec.structs import replace
from running import Child, append, make_topics, publish_policy, settings_for, worker
from stack.test_replica import copy_of, prepared, started, until

from consentry.replica import ConsentReplica
from consentry.settings import Settings
from consentry.terms import Reason
from streams.broker import LocalKafka

pytestmark = [pytest.mark.stack, pytest.mark.slow]

WAIT_S = 60.0
BOUND_S = 2.0
"""of the reference policy, for what rests on consent"""

ASKER = """
import asyncio, json, sys, time
from acts import follow, search
from consentry.replica import ConsentReplica
from consentry.settings import load_settings

async def ask():
    replica = ConsentReplica(load_settings())
    if sys.argv[1] == "start":
        await replica.start()
    else:
        replica.open()
    while True:
        at = time.monotonic()
        said = {"at": at, "feeds": replica.feeds, "because": replica.not_ready_because}
        said |= {"follow": replica.check(follow()).reason, "search": replica.check(search()).reason}
        print(json.dumps(said), flush=True)
        await asyncio.sleep(0.02)

asyncio.run(ask())
"""


class Said(msgspec.Struct, frozen=True):
    """One line of an asker."""

    at: float
    """by time.monotonic, which all processes of a host share; taken before it asked"""
    feeds: bool
    because: str
    follow: Reason
    search: Reason


class Asker:
    """A process with a replica, that asks again and again and says what it was told."""

    def __init__(self, child: Child) -> None:
        self.child = child

    @property
    def lines(self) -> list[Said]:
        lines = [line for line in self.child.output.split("\n")[:-1] if line.startswith("{")]
        return [msgspec.convert(json.loads(line), Said) for line in lines]

    async def until(self, *, since: float = 0.0, **wanted: object) -> Said:
        """The first line after `since` that says so."""
        deadline = time.monotonic() + WAIT_S
        while True:
            for line in self.lines:
                if line.at >= since and all(getattr(line, name) == value for name, value in wanted.items()):
                    return line
            assert self.child.process.poll() is None, self.child.output
            assert time.monotonic() < deadline, f"{wanted}\n{self.child.output[-3_000:]}"
            await asyncio.sleep(0.05)

    def since(self, at: float) -> list[Said]:
        return [line for line in self.lines if line.at >= at]


@contextmanager
def asker(settings: Settings, directory: Path, how: str = "start") -> Iterator[Asker]:
    log = directory / f"asker-{uuid.uuid4().hex[:6]}.log"
    child = Child(settings, log, "-c", ASKER, how, cwd=Path(__file__).parents[1])
    try:
        yield Asker(child)
    finally:
        child.close()


@contextmanager
def opened(settings: Settings) -> Iterator[ConsentReplica]:
    replica = ConsentReplica(settings)
    replica.open()
    try:
        yield replica
    finally:
        replica.close()


async def withdrawn_everywhere(settings: Settings, *askers: Asker) -> None:
    at = time.monotonic()
    await append(settings, [withdrawal()])
    for each in askers:
        await each.until(since=at, follow=Reason.WITHDRAWN)


async def test_another_process_takes_over_from_a_feeder_that_was_killed(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path), asker(settings, tmp_path) as first:
        await append(settings, [grant()])
        await first.until(feeds=True, follow=Reason.CONSENT)
        with asker(settings, tmp_path) as second, asker(settings, tmp_path, "open") as third, opened(settings) as here:
            await second.until(feeds=False, follow=Reason.CONSENT)
            await third.until(follow=Reason.CONSENT)
            copy = copy_of(settings)
            killed_at = time.monotonic()
            first.child.kill()
            taken_over = await second.until(since=killed_at, feeds=True)
            assert copy_of(settings) == copy  # what the killed one had written is fed on
            await second.until(since=taken_over.at, follow=Reason.CONSENT)
            await third.until(since=taken_over.at, follow=Reason.CONSENT)
            await withdrawn_everywhere(settings, second, third)
            await until(here, follow(), Reason.WITHDRAWN)
            for each in (second, third):
                assert {line.search for line in each.since(killed_at)} == {Reason.NECESSARY}


async def test_readers_of_a_paused_feeder_allow_nothing_beyond_the_bound(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path), asker(settings, tmp_path) as feeder:
        await append(settings, [grant()])
        await feeder.until(feeds=True, follow=Reason.CONSENT)
        with asker(settings, tmp_path, "open") as reader:
            await reader.until(follow=Reason.CONSENT)
            feeder.child.signal(signal.SIGSTOP)
            paused_at = time.monotonic()
            await append(settings, [withdrawal()])
            await reader.until(since=paused_at, follow=Reason.STALE)
            await asyncio.sleep(BOUND_S)
            goes_on_at = time.monotonic()
            feeder.child.signal(signal.SIGCONT)
            for each in (feeder, reader):
                await each.until(since=goes_on_at, follow=Reason.WITHDRAWN)
            late = [line for line in reader.since(paused_at + BOUND_S) if line.follow is Reason.CONSENT]
            assert late == []
            assert {line.search for line in reader.since(paused_at)} == {Reason.NECESSARY}
            assert [line for line in feeder.since(goes_on_at) if line.follow is Reason.CONSENT] == []


async def test_a_paused_reader_sees_what_came_meanwhile_before_it_allows_anything(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path), asker(settings, tmp_path) as feeder, asker(settings, tmp_path, "open") as reader:
        await append(settings, [grant()])
        await reader.until(follow=Reason.CONSENT)
        reader.child.signal(signal.SIGSTOP)
        await withdrawn_everywhere(settings, feeder)
        await asyncio.sleep(BOUND_S)
        goes_on_at = time.monotonic()
        reader.child.signal(signal.SIGCONT)
        await reader.until(since=goes_on_at, follow=Reason.WITHDRAWN)
        assert [line for line in reader.since(goes_on_at) if line.follow is Reason.CONSENT] == []


@pytest.mark.parametrize("away_s", [10.0, pytest.param(300.0, marks=pytest.mark.deep)])
async def test_while_brokers_are_away_what_needs_no_consent_goes_on_and_the_rest_is_denied(
    tmp_path: Path, away_s: float
) -> None:
    with LocalKafka.start() as broker:
        settings = settings_for(
            broker.bootstrap, f"away-{uuid.uuid4().hex[:8]}.", replica_dir=str(tmp_path / "replica")
        )
        await make_topics(settings)
        await asyncio.to_thread(publish_policy, settings)
        with worker(settings, tmp_path) as running:
            await append(settings, [grant()])
            with asker(settings, tmp_path) as feeder, asker(settings, tmp_path, "open") as reader:
                for each in (feeder, reader):
                    await each.until(follow=Reason.CONSENT)
                broker.kill(0)
                gone_at = time.monotonic()
                await asyncio.sleep(away_s)
                for each in (feeder, reader):
                    assert {line.follow for line in each.since(gone_at + BOUND_S)} == {Reason.STALE}
                    assert {line.search for line in each.since(gone_at)} == {Reason.NECESSARY}
                broker.restart(0)
                again = worker(settings, tmp_path) if running.process.poll() is not None else opened(settings)
                with again:
                    for each in (feeder, reader):
                        await each.until(since=gone_at + away_s, follow=Reason.CONSENT)
                    await withdrawn_everywhere(settings, feeder, reader)


async def test_on_a_full_disk_it_denies_and_goes_on_once_there_is_room(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """A limit on the size of files stands for the full disk: writing beyond it fails in the same place."""
    settings = await prepared(kafka, topic_prefix, tmp_path)
    with worker(settings, tmp_path), asker(settings, tmp_path) as feeder:
        await append(settings, [grant()])
        await feeder.until(feeds=True, follow=Reason.CONSENT)
        with asker(settings, tmp_path, "open") as reader:
            await reader.until(follow=Reason.CONSENT)
            pid = feeder.child.process.pid
            no_limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            full = (copy_of(settings) / "data.mdb").stat().st_size
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, no_limit[1]))
            at = time.monotonic()
            await append(settings, [grant(f"account:s{number}") for number in range(3_000)])
            await reader.until(since=at, follow=Reason.STALE)
            await asyncio.sleep(BOUND_S)
            assert reader.lines[-1].search is Reason.NECESSARY
            resource.prlimit(pid, resource.RLIMIT_FSIZE, no_limit)
            roomy_at = time.monotonic()
            await reader.until(since=roomy_at, follow=Reason.CONSENT)
            at = time.monotonic()
            await append(settings, [withdrawal()])
            await reader.until(since=at, follow=Reason.WITHDRAWN)


async def test_a_copy_that_may_grow_no_further_denies_and_says_so(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(kafka, topic_prefix, tmp_path)
    small = replace(settings, replica_max_bytes=600 * 1024)
    with worker(settings, tmp_path):
        await append(settings, [grant()])
        async with started(small) as replica:
            await until(replica, follow(), Reason.CONSENT)
            await append(settings, [grant(f"account:s{number}") for number in range(3_000)])
            await until(replica, follow(), Reason.STALE)
            assert "replica_max_bytes" in replica.not_ready_because
            assert replica.check(search()).reason is Reason.NECESSARY
        async with started(settings) as replica:
            await until(replica, follow(), Reason.CONSENT)
            await until(replica, follow("account:s2999"), Reason.CONSENT)
