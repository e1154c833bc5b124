"""Topics of somebody else's, for tests of what filters them: made, written and read."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from running import WAIT_S, Child

from consentry.kafka_defaults import CONSUMER_DEFAULTS, PRODUCER_DEFAULTS
from consentry.settings import Settings


async def create(settings: Settings, *names: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(settings.topic(name), 1, 1) for name in names])
    finally:
        await admin.close()


async def write(settings: Settings, name: str, values: Sequence[object]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, **PRODUCER_DEFAULTS)
    await producer.start()
    try:
        for value in values:
            body = None if value is None else json.dumps(value).encode()
            await producer.send_and_wait(settings.topic(name), body, key=b"some", partition=0)
    finally:
        await producer.stop()


async def read(settings: Settings, name: str, count: int, child: Child | None = None) -> list[Any]:
    """The first `count` values of a topic, in their order, once they are there."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **CONSUMER_DEFAULTS)
    await consumer.start()
    tp = TopicPartition(settings.topic(name), 0)
    values: list[Any] = []
    deadline = time.monotonic() + WAIT_S
    try:
        consumer.assign([tp])
        consumer.seek(tp, 0)
        while len(values) < count:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                values += [None if record.value is None else json.loads(record.value) for record in batch]
            output = "" if child is None else child.output
            assert child is None or child.process.poll() is None, output
            assert time.monotonic() < deadline, f"{len(values)} of {count}\n{output}"
        await asyncio.sleep(0.3)  # is there more than there should be?
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            values += [json.loads(record.value) for record in batch]
        return values
    finally:
        await consumer.stop()
