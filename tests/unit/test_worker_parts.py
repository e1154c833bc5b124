"""The worker's parts on their own: what a slow broker, a cancelled task or a rebalance must not do to them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from faust.types import TP

from consentry.errors import UntrustedLog
from consentry.events import Genesis
from consentry.replica.rows import PartitionRows
from consentry.settings import Settings
from consentry.state.row import Watermark
from consentry.terms import Position, SubjectIds
from streams.ownership import Ownership
from streams.processors import QUEUED_BATCHES, Batch, BrokerTime, EndSeen, Inbox, IntakeOwner, PartitionOwner
from streams.writer import PartitionWriter

SETTINGS = Settings(bootstrap_servers="127.0.0.1:1", partitions=1)
GENESIS = Genesis(log_id=uuid4(), epoch=1, partitions=1, subject_ids=SubjectIds.PLAIN)
T = 1_800_000_000_000
INTAKE = TP("consent-intake.a", 0)


async def nothing(*_: Any) -> None:
    return None


def record(offset: int) -> SimpleNamespace:
    return SimpleNamespace(offset=offset, topic="consent-events", partition=0, timestamp=T, key=b"k", value=b"v")


def batch(*offsets: int) -> Batch:
    return Batch([record(offset) for offset in offsets], nothing)


@pytest.fixture
async def writer() -> AsyncIterator[PartitionWriter]:
    """One that is never started: nothing here writes."""
    made = PartitionWriter(SETTINGS, 0)
    yield made
    await made.stop()


def owner_at(writer: PartitionWriter, offset: int, complete_at: int = T) -> PartitionOwner:
    rows = PartitionRows(0)
    rows.watermark = Watermark(
        log_id=GENESIS.log_id.bytes,
        position=Position(1, 0, offset),
        record_hash=bytes(32),
        complete_at=complete_at,
        policy_offset=0,
    )
    return PartitionOwner(SETTINGS, GENESIS, rows, writer, read_again=nothing)


def end(offset_next: int, *, known_next: int, asked_at: int | None = T) -> EndSeen:
    return EndSeen(asked_at=asked_at, known_next=known_next, offset_next=offset_next, policy_offset_last=0)


def ownership(handle: Any = nothing) -> Ownership:
    return Ownership(SETTINGS, GENESIS, handle_intake=handle, seek_back=nothing, fatal=print, reached=lambda _: None)


async def test_an_answer_about_the_end_that_comes_late_is_no_truncation(writer: PartitionWriter) -> None:
    """A second broker answers 200 ms later; what was appended and folded meanwhile lies beyond the answer."""
    owner = owner_at(writer, 109)
    owner.saw_end(end(100, known_next=100))
    owner.saw_end(end(105, known_next=105))


async def test_a_log_that_ends_before_what_was_folded_when_it_was_asked_stops_the_worker(
    writer: PartitionWriter,
) -> None:
    owner = owner_at(writer, 109)
    owner.saw_end(end(100, known_next=110))
    with pytest.raises(UntrustedLog, match="ends at 100"):
        owner.saw_end(end(100, known_next=110))


async def test_a_backlog_claims_no_more_than_the_former_owner_proved(writer: PartitionWriter) -> None:
    owner = owner_at(writer, 100, complete_at=T)
    written = owner._next_watermark(record(101))
    assert written is not None
    assert written.complete_at == T


async def test_a_heartbeat_claims_the_time_at_which_the_end_was_asked_for(writer: PartitionWriter) -> None:
    owner = owner_at(writer, 100)
    owner.saw_end(end(101, known_next=101, asked_at=T + 700))
    written = owner._next_watermark(None)
    assert written is not None
    assert written.complete_at == T + 700


async def test_a_heartbeat_without_the_brokers_time_claims_nothing_new(writer: PartitionWriter) -> None:
    owner = owner_at(writer, 100)
    owner.saw_end(end(101, known_next=101, asked_at=None))
    written = owner._next_watermark(None)
    assert written is not None
    assert written.complete_at == T


async def test_an_end_that_has_not_been_reached_proves_nothing(writer: PartitionWriter) -> None:
    owner = owner_at(writer, 100)
    owner.saw_end(end(150, known_next=101, asked_at=T + 700))
    assert owner._next_watermark(None) is None


def test_the_brokers_time_is_not_known_before_it_was_heard() -> None:
    time = BrokerTime()
    assert time.now() is None
    time.heard(T)
    first = time.now()
    assert first is not None
    assert first >= T


async def test_an_inbox_that_is_closed_lets_go_whoever_waits_for_room() -> None:
    """The agent serves every partition of its topic: it must not wait for ever on one that went elsewhere."""
    inbox = Inbox()

    async def agent() -> None:
        for number in range(QUEUED_BATCHES * 3):
            await inbox.put(batch(number))

    handing = asyncio.create_task(agent())
    await asyncio.sleep(0.01)
    assert not handing.done()
    inbox.close()
    async with asyncio.timeout(1):
        await handing


async def test_an_inbox_hands_on_all_batches_in_order() -> None:
    inbox = Inbox()
    taken: list[int] = []

    async def agent() -> None:
        for number in range(100):
            await inbox.put(batch(number))

    handing = asyncio.create_task(agent())
    while len(taken) < 100:
        taken += [one.records[0].offset for one in await inbox.take(7)]
    await handing
    assert taken == list(range(100))


async def test_a_rebalance_does_not_leave_the_agent_waiting_on_an_intake_that_was_stopped() -> None:
    stuck = asyncio.Event()

    async def handle(_: str, __: Sequence[Any]) -> None:
        await stuck.wait()

    own = ownership(handle)
    own._start_intake(INTAKE)

    async def agent() -> None:
        for number in range(QUEUED_BATCHES * 2):
            await own.put(INTAKE, batch(number))

    handing = asyncio.create_task(agent())
    await asyncio.sleep(0.05)
    await own._stop_intakes()
    own._start_intake(INTAKE)
    stuck.set()
    async with asyncio.timeout(2):
        await handing
    await own.stop()


async def test_an_intake_offset_never_goes_back() -> None:
    """What is fetched anew lies before what is durable already."""
    intake = IntakeOwner(nothing, read_again=nothing)
    running = asyncio.create_task(intake.run())
    for offsets in ((100, 101), (102, 103), (100, 101)):
        await intake.inbox.put(batch(*offsets))
    await asyncio.sleep(0.05)
    running.cancel()
    assert intake.durable_next == 104


async def test_a_partition_that_is_taken_over_during_a_rebalance_writes_nothing_before_its_end(
    writer: PartitionWriter,
) -> None:
    """A second rebalance begins while the first one's partitions are being restored."""
    own = ownership()
    owner = owner_at(writer, 5)
    own._owners[0] = owner
    await own.hold()
    await own._hold(owner)
    assert owner._turn.locked()
    rebalance = own._rebalances
    await own.hold()
    assert rebalance != own._rebalances
    await own.assign({TP("consent-events", 0)})
    assert not owner._turn.locked()
    await own.stop()
