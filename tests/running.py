"""Our own programs as child processes on the tests' Kafka, and what the log says their rows must be."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from consentry.codec import decode_row, decode_state_record, encode_event, encode_row
from consentry.codec.ranks import row_rank
from consentry.events import (
    Actor,
    AnySubjectEvent,
    ConsentGiven,
    ConsentRefused,
    ConsentWithdrawn,
    Genesis,
    PermissionObserved,
    PreferenceSet,
)
from consentry.folding import RawRecord, fold_record
from consentry.kafka_defaults import CONSUMER_DEFAULTS, PRODUCER_DEFAULTS
from consentry.partition import partition_of
from consentry.replica.reader import StateReader
from consentry.replica.rows import WATERMARK_KEY, PartitionRows
from consentry.settings import PREFIX, Settings
from consentry.state.row import SubjectState, Watermark
from consentry.terms import ActorRole, Channel, Expression, Operation, PermissionState
from streams.topics import create_topics

POLICIES = Path(__file__).parent.parent / "examples" / "policies"
WAIT_S = 60.0


def settings_for(bootstrap: str, prefix: str, **more: object) -> Settings:
    """Few partitions and short times, so that tests on one small machine are quick."""
    values: dict[str, object] = {
        "bootstrap_servers": bootstrap,
        "topic_prefix": prefix,
        "partitions": 3,
        "session_timeout_ms": 6_000,
        "log_level": "info",
    }
    values.update(more)
    return msgspec.convert(values, Settings)


async def make_topics(settings: Settings) -> Genesis:
    return (await create_topics(settings, new_log_id=uuid.uuid4)).identity


def publish_policy(settings: Settings, name: str = "reference-v1.yaml", text: str = "privacy-policy.txt") -> None:
    """The policy as the command line publishes it."""
    run(settings, "policy", "publish", str(POLICIES / name), "--text", str(POLICIES / text))


def environment(settings: Settings) -> dict[str, str]:
    """The settings as the variables that a child reads."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    defaults = Settings()
    for field in msgspec.structs.fields(Settings):
        value = getattr(settings, field.name)
        if value != getattr(defaults, field.name):
            kept[PREFIX + field.name.upper()] = str(value)
    return kept


def run(settings: Settings, *arguments: str, expect: int = 0) -> str:
    """A command of ours, to its end; what it printed on standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == expect, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Child:
    """One of our programs. Its output goes to a file, shown when something is wrong."""

    def __init__(self, settings: Settings, log: Path, *command: str, cwd: Path | None = None) -> None:
        self.log = log
        self._file = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, *command], env=environment(settings), stdout=self._file, stderr=self._file, cwd=cwd
        )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(WAIT_S)
        finally:
            self.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self._file.close()


async def until_assigned(child: Child) -> None:
    """Until the worker has taken over what it was given: before, a signal finds no handler."""
    deadline = time.monotonic() + WAIT_S
    while "worker.assigned" not in child.output:
        assert child.process.poll() is None, child.output
        assert time.monotonic() < deadline, child.output
        await asyncio.sleep(0.1)


@contextmanager
def worker(settings: Settings, directory: Path, *command: str, cwd: Path | None = None) -> Iterator[Child]:
    """A worker, its output in a file of `directory`; by default `consentry worker`."""
    log = directory / f"worker-{uuid.uuid4().hex[:6]}.log"
    child = Child(settings, log, *(command or ("-m", "streams.cli", "worker")), cwd=cwd)
    try:
        yield child
    finally:
        child.close()


# events


class Story:
    """Random events of some subjects, from a seed."""

    def __init__(self, seed: int, subjects: int) -> None:
        self._random = random.Random(seed)
        self.subjects = [f"account:s{number}" for number in range(subjects)]

    def event(self) -> AnySubjectEvent:
        subject = self._random.choice(self.subjects)
        now = time.time_ns() // 1_000_000
        envelope = {
            "event_id": uuid.UUID(int=self._random.getrandbits(128), version=4),
            "subject": subject,
            "occurred_at": now,
            "actor": Actor(role=ActorRole.SUBJECT, id=subject),
            "channel": Channel.APP,
            "producer": "tests",
        }
        purpose = f"purpose.{self._random.randrange(6)}"
        match self._random.randrange(8):
            case 0:
                return ConsentWithdrawn(**envelope, purpose=purpose)
            case 1:
                return ConsentRefused(**envelope, purpose=purpose, scene="start")
            case 2:
                return PreferenceSet(**envelope, purpose=purpose, opted_out=self._random.random() < 0.5)
            case 3:
                return PermissionObserved(
                    **envelope,
                    permission="camera",
                    state=self._random.choice(list(PermissionState)),
                    device="device:d1",
                )
            case _:
                return ConsentGiven(
                    **envelope,
                    purpose=purpose,
                    operations=tuple(self._random.sample(list(Operation)[:3], self._random.randint(1, 3))),
                    data=tuple(f"datum{number}" for number in range(self._random.randint(1, 3))),
                    recipients=(),
                    policy_version=1,
                    expression=self._random.choice(list(Expression)),
                )


async def append(settings: Settings, events: Sequence[AnySubjectEvent]) -> None:
    """Straight into the log, as intake does when all has been checked."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, **PRODUCER_DEFAULTS)
    await producer.start()
    try:
        sent = [
            await producer.send(
                settings.topic("consent-events"),
                encode_event(event),
                key=event.subject.encode(),
                partition=partition_of(event.subject, settings.partitions),
            )
            for event in events
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def append_raw(settings: Settings, partition: int, key: bytes | None, value: bytes | None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, **PRODUCER_DEFAULTS)
    await producer.start()
    try:
        await producer.send_and_wait(settings.topic("consent-events"), value, key=key, partition=partition)
    finally:
        await producer.stop()


# what must be, and what is


async def read_records(settings: Settings, topic: str, partitions: int) -> list[RawRecord]:
    """Every record of a topic, in the order of each partition."""
    tps = [TopicPartition(settings.topic(topic), partition) for partition in range(partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **CONSUMER_DEFAULTS)
    await consumer.start()
    try:
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        for tp in tps:
            consumer.seek(tp, 0)
        records: list[RawRecord] = []
        rest = {tp for tp in tps if ends[tp] > 0}
        while rest:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records.extend(
                    RawRecord(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value) for one in batch
                )
            rest = {tp for tp in rest if await consumer.position(tp) < ends[tp]}
        return records
    finally:
        await consumer.stop()


async def fold_of_the_log(settings: Settings, identity: Genesis) -> tuple[dict[bytes, bytes], dict[int, int]]:
    """The rows that a fold of the whole log, record by record, comes to; and each partition's last offset."""
    states: dict[str, SubjectState] = {}
    last: dict[int, int] = {}
    for record in await read_records(settings, "consent-events", settings.partitions):
        folded = fold_record(record, identity, states.get)
        if folded.state is not None and folded.changed:
            states[folded.state.subject] = folded.state
        last[record.partition] = record.offset
    return {subject.encode(): encode_row(state) for subject, state in states.items()}, last


async def read_state(settings: Settings) -> dict[int, PartitionRows]:
    reader = StateReader(settings, range(settings.partitions))
    await reader.start()
    try:
        await reader.read_to_end(30_000)
    finally:
        await reader.stop()
    return reader.rows


async def assert_state_is_the_fold_of_the_log(settings: Settings, identity: Genesis, timeout_s: float = WAIT_S) -> int:
    """Waits until the watermarks reach the log's end; then rows must be equal byte for byte. The number of rows."""
    expected, last = await fold_of_the_log(settings, identity)
    deadline = time.monotonic() + timeout_s
    while True:
        held = await read_state(settings)
        reached = {
            partition: rows.watermark.position.offset if rows.watermark is not None else -1
            for partition, rows in held.items()
        }
        if reached == last:
            break
        assert time.monotonic() < deadline, f"the rows reach {reached}, the log {last}"
        if any(offset > last.get(partition, -1) for partition, offset in reached.items()):
            expected, last = await fold_of_the_log(settings, identity)  # what was taken in twice came after it was read
        await asyncio.sleep(0.2)
    found = {key: row for rows in held.values() for key, row in rows.items()}
    assert set(found) == set(expected)
    for key, row in expected.items():
        assert found[key] == row, f"{decode_row(found[key])}\nmust be\n{decode_row(row)}"
    return len(found)


async def assert_no_row_went_backwards(settings: Settings) -> None:
    """Each committed row and watermark ranks no lower than the one before it, whoever wrote them.

    A reader that keeps the greater of two rows would hide such a row; a compacted topic would not.
    """
    highest: dict[tuple[int, bytes], tuple[int, int, int]] = {}
    for record in await read_records(settings, "consent-state", settings.partitions):
        row, rank = (record.partition, record.key or b""), _rank_of(record)
        before = highest.get(row, rank)
        assert rank >= before, f"{row} falls from {before} to {rank} at offset {record.offset}"
        highest[row] = rank
    assert highest, "consent-state holds nothing"


def _rank_of(record: RawRecord) -> tuple[int, int, int]:
    """(epoch, fold version, offset): what the record was folded up to."""
    assert record.key is not None, record
    assert record.value is not None, record
    if record.key != WATERMARK_KEY:
        return row_rank(record.value, record.key)
    watermark = decode_state_record(record.value)
    assert isinstance(watermark, Watermark), watermark
    return watermark.rank
