"""B3: rows of one cell restored per second, and what a row costs in memory once it is held."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec.structs import replace

from benchmarks.children import Child, Said
from benchmarks.cluster import STATE, forget, make_topics, settings_of, topics_of
from benchmarks.inputs import ONE, grant, subject_name, wall_clock
from benchmarks.report import Say, Spread, spread_of
from consentry.codec import encode_row
from consentry.events import Recorded
from consentry.partition import partition_of
from consentry.settings import Settings
from consentry.state.fold import fold
from consentry.state.row import SubjectState
from consentry.terms import Position
from streams.writer import Outgoing, PartitionWriter

RESTORE_TIMEOUT_S = 180.0


class RestoreResult(msgspec.Struct, frozen=True, kw_only=True):
    rows: int
    row_bytes: float
    rows_per_s: Spread
    memory_bytes_per_row: float
    peak_mb: float
    replica_cold_s: float
    """until a replica has all rows, from the topic's beginning"""
    replica_warm_s: float
    """the same where it was stopped before, and its file is looked through"""
    replica_file_bytes_per_row: float
    """shared by all processes of the host"""
    replica_memory_bytes_per_row: float
    """of the process that feeds it, without the mapped file"""


async def restore(bootstrap: str, rows: int, runs: int, say: Say) -> RestoreResult:
    """Write rows as workers do, then read them all in a new process, `runs` times."""
    settings = settings_of(bootstrap, "restore")
    await make_topics(settings)
    say(f"restore: writing {rows:,} rows")
    row_bytes = await _write_rows(settings, rows)
    rates: list[float] = []
    held: list[float] = []
    peak = 0
    for number in range(runs):
        with Child(settings, "benchmarks.restore_read") as child:
            said = await child.wait_for("restored", RESTORE_TIMEOUT_S)
        if said.count != rows:
            raise AssertionError(f"{said.count:,} rows of {rows:,} were restored")
        rates.append(said.count / said.seconds)
        held.append(said.bytes / said.count)
        peak = max(peak, said.peak_bytes)
        say(f"restore: run {number + 1}: {rates[-1]:,.0f} rows/s, {held[-1]:,.0f} bytes of memory a row")
    replica = await _replica(settings, rows, say)
    forget(settings, topics=topics_of(settings))
    return RestoreResult(
        rows=rows,
        row_bytes=row_bytes,
        rows_per_s=spread_of(rates),
        memory_bytes_per_row=min(held),
        peak_mb=peak / 2**20,
        replica_cold_s=replica.cold_s,
        replica_warm_s=replica.warm_s,
        replica_file_bytes_per_row=replica.file_bytes / rows,
        replica_memory_bytes_per_row=replica.memory_bytes / rows,
    )


class _Replica(msgspec.Struct, frozen=True, kw_only=True):
    cold_s: float
    warm_s: float
    file_bytes: int
    memory_bytes: int


async def _replica(settings: Settings, rows: int, say: Say) -> _Replica:
    """A replica's start with nothing, and once more with what the first one left."""
    with tempfile.TemporaryDirectory(prefix="consentry-bench-") as directory:
        shared = replace(settings, replica_dir=directory)
        found: list[Said] = []
        for name in ("cold", "warm"):
            with Child(shared, "benchmarks.replica_start") as child:
                said = await child.wait_for("complete", RESTORE_TIMEOUT_S)
                await child.wait_for("stopped", RESTORE_TIMEOUT_S)
            if said.count != rows:
                raise AssertionError(f"{said.count:,} rows of {rows:,} are in the replica")
            say(f"replica: {name} in {said.seconds:.2f} s")
            found.append(said)
        (file,) = Path(directory).glob("*/copy-*/data.mdb")
        cold, warm = found
        return _Replica(
            cold_s=cold.seconds, warm_s=warm.seconds, file_bytes=file.stat().st_size, memory_bytes=warm.bytes
        )


async def _write_rows(settings: Settings, rows: int) -> float:
    """In transactions of `batch_records` by each partition's writer; the mean size of a row."""
    writers = [PartitionWriter(settings, partition) for partition in range(settings.partitions)]
    await asyncio.gather(*(writer.start() for writer in writers))
    try:
        waiting: list[list[Outgoing]] = [[] for _ in writers]
        size = 0
        for partition, key, row in _rows(settings, rows):
            size += len(row)
            waiting[partition].append(Outgoing(settings.topic(STATE), partition, key, row))
            if len(waiting[partition]) >= settings.batch_records:
                await _transaction(writers[partition], waiting[partition])
                waiting[partition] = []
        await asyncio.gather(*(_transaction(*each) for each in zip(writers, waiting, strict=True)))
        return size / rows
    finally:
        await asyncio.gather(*(writer.stop() for writer in writers))


async def _transaction(writer: PartitionWriter, outgoing: list[Outgoing]) -> None:
    if outgoing:
        await writer.write(outgoing)
        await writer.commit()


def _rows(settings: Settings, count: int) -> Iterator[tuple[int, bytes, bytes]]:
    """What the fold makes of one grant of one cell; but for subject and position every row says the same."""
    at = wall_clock()
    first = subject_name(0)
    event = grant(ONE, first, 0, UUID(int=1, version=4), at)
    template = fold(SubjectState.unknown(first, 1, 0), Recorded(Position(1, 0, 1), at, event))
    offsets = [0] * settings.partitions
    for number in range(count):
        subject = subject_name(number)
        partition = partition_of(subject, settings.partitions)
        offsets[partition] += 1
        position = Position(1, partition, offsets[partition])
        yield partition, subject.encode(), encode_row(replace(template, subject=subject, position=position))
