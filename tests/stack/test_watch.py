"""A watcher on a real Kafka: told of changes as they come, cut off with its node, and told the rest by another one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from contract.in_memory import act, grant
from running import make_topics, publish_policy, settings_for, worker
from stack.test_query import Serving, serving

pytestmark = pytest.mark.stack

ADA = "account:ada"


class Told:
    """What a stream of server-sent events has said."""

    def __init__(self) -> None:
        self.last_event_id = ""
        self.positions: dict[str, str] = {}
        self.ended = ""

    def take(self, line: str, event: str) -> None:
        name, _, value = line.partition(": ")
        if name == "id":
            self.last_event_id = value
        elif name == "data" and event == "state":
            state = json.loads(value)
            self.positions[state["subject"]] = state["position"]
        elif name == "data" and event == "dropped":
            self.ended = json.loads(value)["why"]


@asynccontextmanager
async def listening(served: Serving, told: Told, *subjects: str) -> AsyncIterator[asyncio.Task[None]]:
    async def listen() -> None:
        headers = {"last-event-id": told.last_event_id} if told.last_event_id else {}
        params = [("subject", name) for name in subjects]
        async with served.client.stream("GET", "/v1/watch", params=params, headers=headers) as answer:
            assert answer.status_code == 200
            event = ""
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                told.take(line, event)

    task = asyncio.create_task(listen())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def given_by(served: Serving, name: str, kind: str = "ConsentGiven") -> str:
    now = time.time_ns() // 1_000_000
    body = grant(at=now) if kind == "ConsentGiven" else act(kind, at=now)
    done = await served.record(body | {"subject": name, "actor": {"role": "subject", "id": name}})
    position: str = done["position"]
    return position


async def test_a_watcher_hears_of_every_change_though_its_node_stops_in_between(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix, watch_heartbeat_ms=100)
    await make_topics(settings)
    publish_policy(settings)
    one, all_ = Told(), Told()
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as other:
            async with serving(settings, tmp_path) as first:
                await first.ready()
                async with listening(first, one, ADA) as of_ada, listening(first, all_) as of_all:
                    await until(lambda: one.last_event_id and all_.last_event_id)
                    given = await given_by(first, ADA)
                    await until(lambda: one.positions == all_.positions == {ADA: given})
                    assert first.child.stop() == 0, first.child.output
                    await asyncio.gather(of_ada, of_all)
                    assert one.ended == all_.ended == "the node stops"
            await other.ready()
            expected = {f"account:n-{number}": await given_by(other, f"account:n-{number}") for number in range(5)}
            expected[ADA] = await given_by(other, ADA, "ConsentWithdrawn")
            async with listening(other, one, ADA), listening(other, all_):
                await until(lambda: one.positions == {ADA: expected[ADA]} and all_.positions == expected)
                last = await given_by(other, ADA)
                await until(lambda: one.positions[ADA] == all_.positions[ADA] == last)
