"""The cases of the policy's chapters over HTTP on a real Kafka: events go in through intake, answers come from a node.

Each case has a subject of its own, so all share one log. recorded_at is the broker's clock, so a case that moves that
clock, the policy or the view's age is told by the unit run alone; the cases themselves show which. Events are sent in
rounds, the first of every case, then the second: what a person does comes after what was recorded before it.
What intake refuses is then written to the log itself, for a log may hold what its intake would not take.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from casebook import CHAPTERS, Case, Telling, body_of, every_case, request_of
from running import make_topics, publish_policy, settings_for, worker
from stack.test_query import node, now_ms, url_of

from consentry.codec import encode_event
from consentry.events import AnySubjectEvent
from consentry.intake import CallerRole
from consentry.kafka_defaults import PRODUCER_DEFAULTS
from consentry.partition import partition_of
from consentry.policy import ALLOWING
from consentry.settings import Settings
from consentry.terms import Position, Reason
from streams.access import add_token

pytestmark = pytest.mark.stack

CASES = [case for case in every_case() if not case.hangs_on_the_clock]
EPOCH = 1
AT_ONCE = 8
"""requests on their way at a time"""
IN_A_LIST = 100
PATIENCE_S = 60.0
FRESH_MS = 1_500
"""on an older view an answer may be another than the case's"""


class Played(msgspec.Struct):
    """A case as it went on the running log."""

    case: Case
    subject: str
    positions: list[str]
    refusals: int = 0
    refused: str = ""
    """why intake did not take what the case says it takes"""
    answer: dict[str, Any] = {}

    def body(self, place: int) -> dict[str, Any]:
        return self.body_at(place, now_ms())

    def body_at(self, place: int, recorded_at: int) -> dict[str, Any]:
        return body_of(self.case, place, recorded_at, Telling(self.event_id, self.positions.__getitem__, self._person))

    def event_id(self, place: int) -> UUID:
        return self.case.event_id(place)

    def _person(self, name: str) -> str:
        """Each case has its own people and devices."""
        return f"{name}-{self.subject.partition('-')[2]}"

    def question(self) -> dict[str, Any]:
        asked = request_of(self.case)
        context = {name: value for name, value in asked.items() if name not in ("operation", "purpose")}
        if self.positions:
            context["min_position"] = self.positions[-1]
        kind, _, name = self.subject.partition(":")
        return {
            "subject": {"type": kind, "id": name},
            "action": {"name": asked["operation"]},
            "resource": {"type": "purpose", "id": asked["purpose"]},
            "context": context,
        }


class Stage(msgspec.Struct):
    """A worker and a node that run, and a way past intake."""

    settings: Settings
    client: httpx.AsyncClient
    producer: AIOKafkaProducer


@asynccontextmanager
async def stage(settings: Settings, directory: Path) -> AsyncIterator[Stage]:
    tokens = directory / "tokens"
    headers = {"authorization": f"Bearer {add_token(tokens, 'tests', tuple(CallerRole))}"}
    serving = msgspec.structs.replace(settings, token_file=str(tokens), http_port=0)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, **PRODUCER_DEFAULTS)
    with worker(settings, directory), node(serving, directory) as child:
        async with httpx.AsyncClient(base_url=await url_of(child), headers=headers, timeout=PATIENCE_S) as client:
            await _until_ready(client)
            await producer.start()
            try:
                yield Stage(settings, client, producer)
            finally:
                await producer.stop()


async def send_in_rounds(on: Stage, cases: list[Played], until: Callable[[Played], int]) -> None:
    """The next event of each case, then the next, up to a place of its own."""
    while due := [each for each in cases if len(each.positions) < until(each) and not each.refused]:
        taken = [each for each in due if not each.case.refused_by_intake]
        lists = [taken[start : start + IN_A_LIST] for start in range(0, len(taken), IN_A_LIST)]
        others = [each for each in due if each.case.refused_by_intake]
        await _all_at_once(
            [
                *(partial(_send, on, several) for several in lists),
                *(partial(_send_or_append, on, each) for each in others),
            ]
        )
        last = {Position.parse(each.positions[-1]): each for each in due if each.positions}
        ends = {position.partition: each for position, each in sorted(last.items())}
        await ask_all(on, list(ends.values()))  # intake weighs the next ones by the rows


async def ask_all(on: Stage, cases: list[Played]) -> None:
    await _all_at_once([partial(_ask, on.client, each) for each in cases if not each.refused])


@pytest.fixture(scope="module")
def played(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    cases = [Played(case, f"account:ann-c{number}", []) for number, case in enumerate(CASES)]
    settings = settings_for(kafka, f"cases-{now_ms()}.")
    asyncio.run(_play(settings, tmp_path_factory.mktemp("cases"), cases))
    return {each.case.title: each for each in cases}


async def _play(settings: Settings, directory: Path, cases: list[Played]) -> None:
    await make_topics(settings)
    publish_policy(settings)
    async with stage(settings, directory) as on:
        await send_in_rounds(on, cases, lambda each: len(each.case.given))
        await ask_all(on, cases)


async def _send(on: Stage, several: list[Played]) -> None:
    """In one list, which is taken whole or not at all: without what was refused it is sent again."""
    while several:
        bodies = [each.body(len(each.positions)) for each in several]
        answer = await on.client.post("/v1/events", json=bodies)
        if answer.status_code == 201:
            for each, written in zip(several, answer.json()["events"], strict=True):
                each.positions.append(written["position"])
            return
        faults = answer.json().get("errors", [])
        assert faults, answer.text
        assert all(fault["pointer"].startswith("/") for fault in faults), answer.text
        places = {int(fault["pointer"].split("/")[1]): fault for fault in faults}
        for place, fault in places.items():
            several[place].refused = str(fault)
        several = [each for each in several if not each.refused]


async def _send_or_append(on: Stage, each: Played) -> None:
    body = each.body(len(each.positions))
    answer = await on.client.post("/v1/events", json=body)
    if answer.status_code == 201:
        each.positions.append(answer.json()["position"])
        return
    assert answer.status_code in (400, 403, 409, 422), answer.text
    each.refusals += 1
    event = msgspec.convert(body, AnySubjectEvent)
    partition = partition_of(event.subject, on.settings.partitions)
    written = await on.producer.send_and_wait(
        on.settings.topic("consent-events"), encode_event(event), key=event.subject.encode(), partition=partition
    )
    each.positions.append(str(Position(EPOCH, partition, written.offset)))


async def _ask(client: httpx.AsyncClient, each: Played) -> None:
    """Until the answer rests on a complete and fresh view: only cases that such a view answers are told here."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = await client.post("/access/v1/evaluation", json=each.question())
        assert answer.status_code == 200, f"{each.case.name}\n{answer.text}"
        each.answer = answer.json()
        context = each.answer["context"]
        fresh = context["staleness_ms"] is not None and context["staleness_ms"] <= FRESH_MS
        if (fresh and context["reason"] != Reason.NOT_YET_VISIBLE) or time.monotonic() > deadline:
            return
        await asyncio.sleep(0.1)


async def _until_ready(client: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (await client.get("/readyz")).status_code != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def _all_at_once(tasks: Iterable[Callable[[], Awaitable[None]]]) -> None:
    free = asyncio.Semaphore(AT_ONCE)

    async def bounded(task: Callable[[], Awaitable[None]]) -> None:
        async with free:
            await task()

    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(bounded(task))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.title) for case in CASES])
def test_a_clause_is_kept_over_http(played: dict[str, Played], case: Case) -> None:
    assert_told(played[case.title])


def assert_told(story: Played) -> None:
    """The answer over HTTP says what the case says."""
    assert not story.refused
    context, expected = story.answer["context"], story.case.then
    assert (context["reason"], context["clause"]) == (expected["reason"], expected["clause"])
    assert story.answer["decision"] is (expected["reason"] in ALLOWING)
    assert context["warnings"] == []
    for name, found in _parts(story, context).items():
        if name in expected:
            assert found == expected[name], name
    for name, moment in (("ask_after", context["prompt"]["ask_after"]), ("expires_at", context["expires_at"])):
        if name in expected:
            assert (moment is None) is (expected[name] is None), name


def _parts(story: Played, context: dict[str, Any]) -> dict[str, Any]:
    """What the answer says, with events by their place in the case."""
    place_of = {str(story.event_id(place)): place for place in range(len(story.positions))}
    tightened = context["tightened_position"]
    return {
        "status": context["status"],
        "basis": context["basis"],
        "evidence": sorted(place_of[event_id] for event_id in context["evidence"]),
        "obligations": context["obligations"],
        "may_ask": context["prompt"]["may_ask"],
        "tightened": None if tightened is None else story.positions.index(tightened),
        "results": [result["reason"] for result in context["results"]],
        "policy_version": context["policy_version"],
    }


def test_intake_refuses_what_the_cases_say_it_refuses(played: dict[str, Played]) -> None:
    others = [each for each in played.values() if each.case.refused_by_intake]
    assert others
    assert [each.case.name for each in others if not each.refusals] == []


def test_most_cases_are_told_over_http(played: dict[str, Played], capfd: pytest.CaptureFixture[str]) -> None:
    every, told = Counter(case.chapter for case in every_case()), Counter(case.chapter for case in CASES)
    counts = ", ".join(f"{chapter} {told[chapter]} of {every[chapter]}" for chapter in CHAPTERS)
    with capfd.disabled():
        sys.stdout.write(f"\n{len(played)} of {every.total()} cases over HTTP: {counts}\n")
    assert len(played) > 0.7 * every.total()
