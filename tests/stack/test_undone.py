"""What a service wrote to its intake topic in a transaction, and undid, was never said."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from faults.test_intake_faults import follow, ids_in_the_log, until_all_taken_in, wire
from running import make_topics, publish_policy, settings_for, worker

pytestmark = pytest.mark.stack


async def test_what_a_service_undid_is_not_taken_in(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix, intake_producers="svc")
    await make_topics(settings)
    await asyncio.to_thread(publish_policy, settings)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{topic_prefix}svc")
    await producer.start()
    undone, said = follow("account:a"), follow("account:b")
    try:
        for event, end in ((undone, producer.abort_transaction), (said, producer.commit_transaction)):
            await producer.begin_transaction()
            key, value = wire(event)
            await producer.send_and_wait(settings.topic("consent-intake.svc"), value, key=key, partition=0)
            await end()
    finally:
        await producer.stop()
    with worker(settings, tmp_path) as running:
        await until_all_taken_in(settings, {said.event_id}, timeout_s=30)
        assert await ids_in_the_log(settings) == [said.event_id]
        assert running.stop() == 0, running.output
