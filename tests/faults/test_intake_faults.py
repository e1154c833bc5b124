"""The intake agent: nothing is lost or skipped, whatever is in the topic and whenever the worker dies."""

import asyncio
import random
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from running import (
    append,
    assert_state_is_the_fold_of_the_log,
    make_topics,
    publish_policy,
    read_records,
    settings_for,
    until_assigned,
    worker,
)

from consentry.codec import decode_log_record, decode_quarantined, encode_event
from consentry.decision import Request
from consentry.events import (
    Actor,
    AnySubjectEvent,
    ConsentGiven,
    ConsentRevoked,
    ConsentWithdrawn,
    Disposition,
    Genesis,
    QuarantineReleased,
)
from consentry.kafka_defaults import CONSUMER_DEFAULTS, PRODUCER_DEFAULTS
from consentry.replica import ConsentReplica
from consentry.settings import Settings
from consentry.terms import ActorRole, Channel, Expression, Operation, Reason
from streams.processors import Stage

pytestmark = [pytest.mark.stack, pytest.mark.slow]

FAILING = str(Path(__file__).parent.parent / "failing_worker.py")
RECORDS = 100_000
DAY_MS = 86_400_000
ANOTHER = "account:another"
"""whom the key of an event of somebody else names"""

Wire = tuple[bytes | None, bytes | None]
"""key and value of an intake record"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def envelope(subject: str) -> dict[str, object]:
    return {
        "event_id": uuid.uuid4(),
        "subject": subject,
        "occurred_at": now_ms(),
        "actor": Actor(role=ActorRole.SUBJECT, id=subject),
        "channel": Channel.APP,
    }


def follow(subject: str, **changes: object) -> ConsentGiven:
    """A grant that the reference policy knows, or a variation of it that it does not take."""
    fields: dict[str, object] = {
        "purpose": "interaction.follow",
        "policy_version": 1,
        "expression": Expression.EXPRESSED,
        **envelope(subject),
        **changes,
    }
    return ConsentGiven(**fields)  # type: ignore[arg-type]


def wire(event: AnySubjectEvent) -> Wire:
    return event.subject.encode(), encode_event(event)


def _controller(subject: str) -> ConsentRevoked:
    actor = Actor(role=ActorRole.CONTROLLER, id="newsfeed")
    return ConsentRevoked(**{**envelope(subject), "actor": actor}, reason="a partner was dropped")  # type: ignore[arg-type]


# name -> the record of a subject of that name, and whether its subject can be read
BAD: dict[str, tuple[Callable[[str], Wire], bool]] = {
    "wrong-magic": (lambda s: (s.encode(), b"\x00\x00" + encode_event(follow(s))[2:]), True),
    "unknown-fingerprint": (lambda s: (s.encode(), b"\xc3\x01" + bytes(8) + encode_event(follow(s))[10:]), True),
    "truncated": (lambda s: (s.encode(), encode_event(follow(s))[:-9]), True),
    "long-string": (lambda s: wire(ConsentWithdrawn(**envelope(s), reason="x" * 1_000_000)), True),  # type: ignore[arg-type]
    "null-value": (lambda s: (s.encode(), None), True),
    "wrong-key": (lambda s: (ANOTHER.encode(), encode_event(follow(s))), True),
    "phone-number": (lambda _: wire(follow("account:13800138000")), False),
    "clock-a-day-ahead": (lambda s: wire(follow(s, occurred_at=now_ms() + DAY_MS, sent_at=now_ms())), True),
    "unnamed-cell": (lambda s: wire(follow(s, data=("gps_precise",))), True),
    "role-that-may-not": (lambda s: wire(_controller(s)), True),
}


async def send(settings: Settings, records: list[Wire]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, max_request_size=2_000_000, **PRODUCER_DEFAULTS
    )
    await producer.start()
    try:
        sent = []
        for number, (key, value) in enumerate(records):
            sent.append(await producer.send(settings.topic("consent-intake.svc"), value, key=key, partition=number % 3))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def prepared(kafka: str, prefix: str, **more: object) -> tuple[Settings, Genesis]:
    settings = settings_for(kafka, prefix, intake_producers="svc", **more)
    identity = await make_topics(settings)
    await asyncio.to_thread(publish_policy, settings)
    return settings, identity


async def ids_in_the_log(settings: Settings) -> list[uuid.UUID]:
    records = await read_records(settings, "consent-events", settings.partitions)
    events = [decode_log_record(record.value) for record in records]
    return [event.event_id for event in events if not isinstance(event, Genesis)]


async def until_all_taken_in(settings: Settings, expected: set[uuid.UUID], timeout_s: float = 400) -> None:
    """Until the log is long enough to hold them all; then it must."""
    deadline = time.monotonic() + timeout_s
    while await length_of_the_log(settings) < len(expected):
        assert time.monotonic() < deadline, "records of the intake topic are missing in the log"
        await asyncio.sleep(1)
    while not expected <= set(await ids_in_the_log(settings)):
        assert time.monotonic() < deadline, "the log holds others than the records of the intake topic"
        await asyncio.sleep(1)


async def length_of_the_log(settings: Settings) -> int:
    """How many events it holds, geneses aside."""
    tps = [TopicPartition(settings.topic("consent-events"), partition) for partition in range(settings.partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **CONSUMER_DEFAULTS)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets(tps)).values()) - len(tps)
    finally:
        await consumer.stop()


async def test_a_hundred_thousand_records_with_bad_ones_among_them(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings, identity = await prepared(kafka, topic_prefix)
    chance = random.Random(7)
    good = [follow(f"account:good-{chance.randrange(20_000)}") for _ in range(RECORDS - 1_000)]
    records = [wire(event) for event in good]
    without_key = follow("account:bad-null-key")  # its subject stands in the event: the key is no more than a place
    for number in range(1_000):
        name = list(BAD)[number % len(BAD)]
        records.insert(chance.randrange(len(records)), BAD[name][0](f"account:bad-{name}-{number // len(BAD)}"))
    records.append((None, encode_event(without_key)))
    with worker(settings, tmp_path) as running:
        await send(settings, records)
        await until_all_taken_in(settings, {event.event_id for event in [*good, without_key]})
        await assert_state_is_the_fold_of_the_log(settings, identity)
        set_aside = [
            decode_quarantined(record.value)
            for record in await read_records(settings, "consent-quarantine", settings.partitions)
        ]
        assert len({record.source for record in set_aside}) == 1_000
        readable = {
            f"account:bad-{name}-{number}" for name, (_, readable) in BAD.items() if readable for number in range(100)
        }
        # whose an event with another's key is, nobody can tell: both are denied
        await assert_denied_until_released(settings, {*readable, ANOTHER}, released=sorted(readable)[0])
        assert running.process.poll() is None, running.output


async def assert_denied_until_released(settings: Settings, subjects: set[str], *, released: str) -> None:
    replica = ConsentReplica(settings)
    await replica.start()
    try:
        for subject in subjects:
            reason = replica.check(request(subject)).reason
            assert reason is Reason.QUARANTINED, f"{subject}: {reason}"
        row = replica.view(released).row
        assert row is not None
        release = QuarantineReleased(
            **{**envelope(released), "actor": Actor(role=ActorRole.CONTROLLER, id="operator")},  # type: ignore[arg-type]
            position=row.quarantined[0],
            disposition=Disposition.NO_EFFECT,
            reason="read by a person",
            approver="another person",
        )
        await append(settings, [release])
        for _ in range(100):
            if replica.check(request(released)).allow:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{released} is still denied: {replica.check(request(released))}")
    finally:
        await replica.stop()


def request(subject: str) -> Request:
    """What needs no consent, and would be allowed to anybody else."""
    return Request(subject=subject, operation=Operation.USE, purpose="search.service", data=("search_keywords",))


async def feed(settings: Settings, seed: int, stop: asyncio.Event) -> set[uuid.UUID]:
    """Some 1,000 good records a second, until told to stop."""
    chance, written = random.Random(seed), set()
    while not stop.is_set():
        events = [follow(f"account:s{chance.randrange(200)}") for _ in range(100)]
        await send(settings, [wire(event) for event in events])
        written |= {event.event_id for event in events}
        await asyncio.sleep(0.1)
    return written


@pytest.mark.parametrize("count", [1, 5])
async def test_a_worker_killed_after_taking_in_loses_no_record(
    kafka: str, topic_prefix: str, tmp_path: Path, count: int
) -> None:
    settings, identity = await prepared(kafka, topic_prefix, worker_id="w1")
    stop = asyncio.Event()
    feeding = asyncio.create_task(feed(settings, count, stop))
    with worker(settings, tmp_path, FAILING, Stage.TAKEN_IN, str(count)) as failing:
        assert await asyncio.to_thread(failing.process.wait, 60) == -signal.SIGKILL, failing.output
    with worker(settings, tmp_path):
        await asyncio.sleep(2)
        stop.set()
        await until_all_taken_in(settings, await feeding)
        await assert_state_is_the_fold_of_the_log(settings, identity)


async def test_a_worker_killed_at_ten_random_moments_loses_no_intake_record(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings, identity = await prepared(kafka, topic_prefix, worker_id="w1")
    stop, chance = asyncio.Event(), random.Random(10)
    feeding = asyncio.create_task(feed(settings, 10, stop))
    for _ in range(10):
        with worker(settings, tmp_path) as running:
            await asyncio.sleep(chance.uniform(1.5, 5.0))
            assert running.process.poll() is None, running.output
            running.kill()
    stop.set()
    with worker(settings, tmp_path):
        await until_all_taken_in(settings, await feeding)
        await assert_state_is_the_fold_of_the_log(settings, identity)


async def test_no_intake_record_is_skipped_while_workers_come_and_go(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings, identity = await prepared(kafka, topic_prefix)
    stop = asyncio.Event()
    feeding = asyncio.create_task(feed(settings, 11, stop))
    with worker(settings, tmp_path) as steady:
        await asyncio.sleep(4)
        for turn in range(4):
            with worker(settings, tmp_path) as guest:
                await until_assigned(guest)
                await asyncio.sleep(3)
                if turn % 2:
                    guest.kill()
                else:
                    assert guest.stop() == 0, guest.output
        stop.set()
        await until_all_taken_in(settings, await feeding)
        await assert_state_is_the_fold_of_the_log(settings, identity)
        assert steady.process.poll() is None, steady.output
