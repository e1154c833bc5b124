"""The log's writer while brokers die: what was acknowledged stands where it was said to, and no gap opens."""

import asyncio
from uuid import uuid4

import msgspec
import pytest
from running import make_topics, read_records, settings_for
from unit.taking import body_of, take

from consentry.codec import decode_event
from consentry.errors import Unavailable
from consentry.events import AnySubjectEvent
from consentry.terms import Position
from streams.append import LogWriter
from streams.broker import LocalKafka

pytestmark = [pytest.mark.stack, pytest.mark.slow]

WRITERS = 8
BEFORE = 40
AFTER = 40


def event_of(writer: int, number: int) -> AnySubjectEvent:
    event = take(body_of("ConsentWithdrawn"))
    subject = f"account:w{writer}"
    actor = msgspec.structs.replace(event.actor, id=subject)
    return msgspec.structs.replace(
        event, event_id=uuid4(), subject=subject, actor=actor, request_id=f"{writer}.{number}"
    )


async def append_until_acknowledged(writer: LogWriter, event: AnySubjectEvent) -> tuple[Position, int]:
    """As a caller does who is told that the outcome is unknown: the same event again. And how often that was."""
    for attempt in range(30):
        try:
            position, _ = await writer.append(event)
        except Unavailable:
            continue
        return position, attempt
    raise AssertionError("the log took nothing for minutes")


@pytest.mark.parametrize("victim", [0, 1, 2])
async def test_a_broker_that_is_killed_takes_no_acknowledged_event_with_it(
    kafka_cluster: LocalKafka, topic_prefix: str, victim: int
) -> None:
    settings = settings_for(kafka_cluster.bootstrap, topic_prefix, partitions=3, acknowledge_timeout_ms=4_000)
    identity = await make_topics(settings)
    writer = LogWriter(settings, identity)
    await writer.start()
    acknowledged: dict[str, tuple[AnySubjectEvent, Position]] = {}
    repeated = 0
    killed = asyncio.Event()

    async def write(number: int) -> None:
        nonlocal repeated
        for count in range(BEFORE + AFTER):
            if count == BEFORE:
                killed.set()
            event = event_of(number, count)
            position, attempts = await append_until_acknowledged(writer, event)
            acknowledged[str(event.event_id)] = (event, position)
            repeated += attempts

    async def kill() -> None:
        await killed.wait()
        await asyncio.to_thread(kafka_cluster.kill, victim)

    try:
        await asyncio.gather(kill(), *[write(number) for number in range(WRITERS)])
    finally:
        await writer.stop()
        await asyncio.to_thread(kafka_cluster.restart, victim)
    records = await read_records(settings, "consent-events", settings.partitions)
    by_place = {(record.partition, record.offset): record for record in records}
    for event, position in acknowledged.values():
        assert decode_event(by_place[position[1:]].value) == event
    for partition in range(settings.partitions):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(len(offsets)))
    events = [decode_event(record.value) for record in records if record.offset > 0]
    assert len(acknowledged) == WRITERS * (BEFORE + AFTER)
    # a second record of an event there may be, where the outcome of the first was unknown; never one for nothing
    assert len(events) <= len(acknowledged) + repeated
