"""The fenced writer of a partition's rows: one at a time, all of a batch or nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import ProducerFenced
from running import make_topics, read_records, settings_for

from consentry.settings import Settings
from streams.writer import Outgoing, PartitionWriter

pytestmark = pytest.mark.stack

PARTITION = 1


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    made = settings_for(kafka, topic_prefix)
    await make_topics(made)
    return made


@asynccontextmanager
async def writer(settings: Settings, partition: int = PARTITION) -> AsyncIterator[PartitionWriter]:
    started = PartitionWriter(settings, partition)
    try:
        await started.start()
        yield started
    finally:
        await started.stop()


def rows(settings: Settings, *values: bytes) -> list[Outgoing]:
    return [Outgoing(settings.topic("consent-state"), PARTITION, b"account:a", value) for value in values]


async def commit(writer: PartitionWriter, outgoing: Sequence[Outgoing]) -> None:
    await writer.write(outgoing)
    await writer.commit()


async def committed(settings: Settings) -> list[bytes | None]:
    """What a read_committed reader gets, in order."""
    return [record.value for record in await read_records(settings, "consent-state", settings.partitions)]


async def test_a_second_writer_of_a_partition_fences_the_first(settings: Settings) -> None:
    """Both transactional ids of the first: neither turn may still write."""
    async with writer(settings) as first:
        await commit(first, rows(settings, b"before"))
        async with writer(settings) as second:
            for _ in range(2):
                with pytest.raises(ProducerFenced):
                    await commit(first, rows(settings, b"fenced"))
            await commit(second, rows(settings, b"after"))
    assert await committed(settings) == [b"before", b"after"]


async def test_a_transaction_that_is_open_when_another_writer_starts_cannot_be_committed(settings: Settings) -> None:
    async with writer(settings) as first:
        await first.write(rows(settings, b"open"))
        async with writer(settings) as second:
            with pytest.raises(ProducerFenced):
                await first.commit()
            await commit(second, rows(settings, b"after"))
    assert await committed(settings) == [b"after"]


async def test_writers_of_other_partitions_do_not_fence_each_other(settings: Settings) -> None:
    async with writer(settings) as first, writer(settings, PARTITION + 1):
        await commit(first, rows(settings, b"one"))
        await commit(first, rows(settings, b"two"))
    assert await committed(settings) == [b"one", b"two"]


async def test_what_is_not_committed_is_not_read_and_the_next_owner_undoes_it(settings: Settings) -> None:
    """The transaction time-out is far longer than the test: nobody but the next owner can have undone it."""
    async with writer(settings) as first:
        await commit(first, rows(settings, b"committed"))
        await first.write(rows(settings, b"left", b"open"))
        assert await committed(settings) == [b"committed"]
    async with writer(settings) as second:
        await commit(second, rows(settings, b"next"))
        assert await committed(settings) == [b"committed", b"next"]


async def test_two_transactional_ids_are_used_in_turn(settings: Settings) -> None:
    async with writer(settings) as one:
        used = []
        for number in range(4):
            await one.write(rows(settings, str(number).encode()))
            assert one._open is not None
            used.append(one._open._txn_manager.transactional_id)
            await one.commit()
    head = f"{settings.topic_prefix}consentry-{PARTITION}"
    assert used == [f"{head}-0", f"{head}-1", f"{head}-0", f"{head}-1"]
    assert await committed(settings) == [b"0", b"1", b"2", b"3"]


async def test_the_live_clients_wait_for_all_replicas_and_their_transactions_end(settings: Settings) -> None:
    """Read back from the live clients: what they send with, not what they were told."""
    async with writer(settings) as one:
        clients = one._producers
        assert len(clients) == 2
        for number, client in enumerate(clients):
            assert client._sender._acks == -1
            assert client._txn_manager.has_pid()  # idempotent: it has a producer id and counts its batches
            assert client._txn_manager.transactional_id == f"{settings.topic_prefix}consentry-{PARTITION}-{number}"
            assert client._txn_manager.transaction_timeout_ms == settings.transaction_timeout_ms
            assert client._message_accumulator._linger_time == 0
