"""A query node whose Kafka is away: it says so, allows no consent, and loses nothing that it acknowledged."""

import asyncio
import time
import uuid
from pathlib import Path

import pytest
from contract.in_memory import act, grant, question
from running import WAIT_S, make_topics, settings_for, worker
from stack.test_query import Serving, now_ms, publish_reference_policy, serving

from streams.broker import LocalKafka

pytestmark = [pytest.mark.stack, pytest.mark.slow]


async def test_while_kafka_is_away_an_event_has_an_unknown_outcome_and_is_safe_to_repeat(tmp_path: Path) -> None:
    with LocalKafka.start() as kafka:
        settings = settings_for(kafka.bootstrap, f"outage-{uuid.uuid4().hex[:8]}.", acknowledge_timeout_ms=3_000)
        await make_topics(settings)
        publish_reference_policy(settings)
        with worker(settings, tmp_path):
            async with serving(settings, tmp_path) as served:
                await served.ready()
                await served.record(grant(at=now_ms()), wait=2_000)
                assert (await served.check(**question()))["decision"] is True
                kafka.pause(0)
                lost = await served.client.post("/v1/events", json=act("ConsentWithdrawn", at=now_ms()))
                assert (lost.status_code, lost.json()["code"]) == (503, "OUTCOME_UNKNOWN")
                (event_id,) = lost.json()["event_ids"]
                answer = await served.check(**question())
                assert (answer["decision"], answer["context"]["reason"]) == (False, "STALE")
                assert (await served.check(**question("search.service", "search_log")))["decision"] is True
                kafka.resume(0)
                withdrawal = act("ConsentWithdrawn", at=now_ms(), event_id=event_id)
                deadline = time.monotonic() + WAIT_S
                while (again := await served.client.post("/v1/events", json=withdrawal)).status_code == 503:
                    assert time.monotonic() < deadline, again.text
                    await asyncio.sleep(0.2)
                assert again.status_code in (201, 409), again.text  # 409: the first one arrived, with its own clock
                await until_withdrawn(served)


async def until_withdrawn(served: Serving) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        answer = await served.check(**question())
        assert answer["decision"] is False
        if answer["context"]["reason"] == "WITHDRAWN":
            return
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.1)
