"""A query node as a process of its own, beside a worker, on a real Kafka: from an acknowledged event to the answer."""

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from contract.in_memory import act, grant, question
from running import POLICIES, WAIT_S, Child, make_topics, run, settings_for, worker

from consentry.intake import CallerRole
from consentry.settings import Settings
from streams.access import add_token

pytestmark = pytest.mark.stack

ROLES = (CallerRole.ASKER, CallerRole.PRODUCER)


class Serving:
    """A running node, asked over a real connection."""

    def __init__(self, child: Child, client: httpx.AsyncClient) -> None:
        self.child = child
        self.client = client

    async def check(self, **body: Any) -> dict[str, Any]:
        answer = await self.client.post("/access/v1/evaluation", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def record(self, event: object, **params: int) -> dict[str, Any]:
        answer = await self.client.post("/v1/events", json=event, params=params)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def _readiness(self) -> httpx.Response:
        try:
            return await self.client.get("/readyz")
        except httpx.TransportError as fault:
            raise AssertionError(f"{fault!r}\n{self.child.output}") from fault

    async def ready(self, *, within_s: float = WAIT_S) -> None:
        deadline = time.monotonic() + within_s
        while (answer := await self._readiness()).status_code != 200:
            assert time.monotonic() < deadline, f"{answer.text}\n{self.child.output}"
            await asyncio.sleep(0.05)


@contextmanager
def node(settings: Settings, directory: Path) -> Iterator[Child]:
    child = Child(settings, directory / f"node-{uuid.uuid4().hex[:6]}.log", "-m", "streams.cli", "serve")
    try:
        yield child
    finally:
        child.close()


async def url_of(child: Child) -> str:
    deadline = time.monotonic() + WAIT_S
    while "listening on " not in child.output:
        assert child.process.poll() is None, child.output
        assert time.monotonic() < deadline, child.output
        await asyncio.sleep(0.05)
    return child.output.partition("listening on ")[2].split()[0]


@asynccontextmanager
async def serving(settings: Settings, directory: Path, roles: Iterable[CallerRole] = ROLES) -> AsyncIterator[Serving]:
    tokens = directory / f"tokens-{uuid.uuid4().hex[:6]}"
    token = add_token(tokens, "tests", tuple(roles))
    with node(msgspec.structs.replace(settings, token_file=str(tokens), http_port=0), directory) as child:
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=await url_of(child), headers=headers, timeout=WAIT_S) as client:
            yield Serving(child, client)


def publish_reference_policy(settings: Settings) -> None:
    text = POLICIES / "privacy-policy.txt"
    run(settings, "policy", "publish", str(POLICIES / "reference-v1.yaml"), "--text", str(text))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_a_withdrawal_that_was_acknowledged_is_never_overlooked(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    publish_reference_policy(settings)
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as served:
            await served.ready()
            for _ in range(20):
                given = await served.record(grant(at=now_ms()), wait=2_000)
                assert given["effect"] == "applied"
                assert (await served.check(**question(min_position=given["position"])))["decision"] is True
                stop = await served.record(act("ConsentWithdrawn", at=now_ms()))
                answer = await served.check(**question(min_position=stop["position"]))
                assert (answer["decision"], answer["context"]["reason"]) == (False, "WITHDRAWN")
                assert answer["context"]["tightened_position"] == stop["position"]


async def test_a_node_without_a_worker_is_not_ready_and_allows_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    publish_reference_policy(settings)
    async with serving(settings, tmp_path) as served:
        await asyncio.sleep(1)
        answer = await served.client.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert answer.json()["because"]
        answer_of_need = await served.check(**question("search.service", "search_log"))
        assert (answer_of_need["decision"], answer_of_need["context"]["reason"]) == (False, "STALE")
        assert (await served.client.get("/livez")).status_code == 200
        with worker(settings, tmp_path):
            await served.ready()
            assert (await served.check(**question("search.service", "search_log")))["decision"] is True


async def test_what_rests_on_consent_goes_stale_before_what_needs_none(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    publish_reference_policy(settings)
    async with serving(settings, tmp_path) as served:
        with worker(settings, tmp_path) as running:
            await served.ready()
            await served.record(grant(at=now_ms()), wait=2_000)
            assert (await served.check(**question()))["decision"] is True
            running.kill()
        await asyncio.sleep(2.5)  # the policy's bound for consent is 2 s
        answer = await served.check(**question())
        assert (answer["decision"], answer["context"]["reason"]) == (False, "STALE")
        assert (await served.check(**question("search.service", "search_log")))["decision"] is True


async def test_an_event_repeated_to_another_node_changes_nothing(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    publish_reference_policy(settings)
    event = grant(at=now_ms(), event_id=str(uuid.uuid4()))
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as first, serving(settings, tmp_path) as second:
            await first.ready()
            await second.ready()
            given = await first.record(event, wait=2_000)
            again = await second.record(event, wait=2_000)
            assert (given["effect"], again["effect"]) == ("applied", "unchanged")
            conflict = await second.client.post("/v1/events", json={**event, "expression": "expressed"})
            assert conflict.status_code == 409


async def test_a_node_stops_in_order_when_it_is_told_to(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    async with serving(settings, tmp_path) as served:
        assert served.child.stop() == 0, served.child.output
        assert "Traceback" not in served.child.output


async def test_a_node_stops_while_it_is_still_catching_up(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    async with serving(settings, tmp_path) as served:
        served.child.signal(signal.SIGINT)
        assert served.child.process.wait(WAIT_S) == 0, served.child.output


async def test_a_node_refuses_to_serve_on_topics_that_are_not_there(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix, token_file=str(tmp_path / "tokens"), http_port=0)
    add_token(tmp_path / "tokens", "tests", ROLES)
    with node(settings, tmp_path) as child:
        assert child.process.wait(WAIT_S) != 0
        assert "consentry topics create" in child.output
        assert "listening" not in child.output


async def test_a_node_without_a_token_file_refuses_to_serve(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix, http_port=0)
    await make_topics(settings)
    with node(settings, tmp_path) as child:
        assert child.process.wait(WAIT_S) != 0
        assert "token" in child.output
        assert "listening" not in child.output


async def test_a_node_on_a_port_in_use_says_so(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    async with serving(settings, tmp_path) as served:
        port = served.client.base_url.port
        assert port is not None
        add_token(tmp_path / "tokens", "tests", ROLES)
        again = settings_for(kafka, topic_prefix, http_port=port, token_file=str(tmp_path / "tokens"))
        assert run(again, "serve", expect=2) == ""
