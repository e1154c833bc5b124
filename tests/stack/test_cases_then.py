"""The cases that move the clock or the policy, over HTTP: told to a real log with their times.

A log's times are its broker's. Here its topics take the times that records come with, once the programs have found
them in order, and the cases' events are written to the log itself; a node reads it from Kafka and answers for the
moment of the question (`GET /v1/subjects/{id}/history?at=`), by the fold and the decision of the live check. What
intake refuses and how a view ages is no part of that: the live cases tell it. The usual policy's cases share a log;
each other policy has one of its own, among the slow tests.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from casebook import Case, every_case, milliseconds, request_of
from running import make_topics, settings_for
from stack.test_cases import EPOCH, PATIENCE_S, Played, assert_told
from stack.test_query import node, now_ms, url_of
from unit import test_newsletter_policy as newsletter
from unit.story import MINUTE, START, policies_of

from consentry.codec import encode_event, encode_policy_event
from consentry.events import AnySubjectEvent
from consentry.intake import CallerRole
from consentry.kafka_defaults import PRODUCER_DEFAULTS
from consentry.partition import partition_of
from consentry.policy import ALLOWING, Policies
from consentry.settings import Settings
from consentry.terms import Position
from streams.access import add_token
from streams.topics.table import TOPICS, demands_on

pytestmark = pytest.mark.stack

CREATE_TIME = 0
NOT_ASKED_OF_HISTORY = {"staleness", "min_position", "scene", "user_initiated"}
CASES = [case for case in every_case() if case.hangs_on_the_clock and not case.when.keys() & NOT_ASKED_OF_HISTORY]


def _policy_of(case: Case) -> str:
    return json.dumps([case.terms, case.revisions, case.announced])


USUAL = _policy_of(CASES[0])
OF_THE_USUAL_POLICY = [case for case in CASES if _policy_of(case) == USUAL]
BY_POLICY = {
    policy: [case for case in CASES if _policy_of(case) == policy]
    for policy in dict.fromkeys(map(_policy_of, CASES))
    if policy != USUAL
}

OF_THE_NEWSLETTER = [case for case in newsletter.CASES if not case["when"].keys() & NOT_ASKED_OF_HISTORY]


class Asked(Protocol):
    """A case on its way: its events are written, then its question is asked."""

    subject: str
    positions: list[str]
    answer: dict[str, Any]

    @property
    def name(self) -> str: ...
    @property
    def is_told(self) -> bool: ...
    def recorded(self) -> tuple[AnySubjectEvent, int]:
        """The next event, and when it is recorded."""

    def parameters(self) -> dict[str, Any]:
        """The question, and its moment."""


class Then(Played):
    """A case of the reference policy, or of a version of it."""

    recorded_at: int = START

    @property
    def name(self) -> str:
        return self.case.name

    @property
    def is_told(self) -> bool:
        return len(self.positions) == len(self.case.given)

    def recorded(self) -> tuple[AnySubjectEvent, int]:
        place = len(self.positions)
        fields = self.case.given[place].fields
        self.recorded_at = START + milliseconds(fields["at"]) if "at" in fields else self.recorded_at + MINUTE
        return msgspec.convert(self.body_at(place, self.recorded_at), AnySubjectEvent), self.recorded_at

    def parameters(self) -> dict[str, Any]:
        at = self.case.when.get("at")
        moment = self.recorded_at + 1_000 if at is None else START + milliseconds(at)
        return {"at": moment, **request_of(self.case)}


class Newsletter:
    """A case of the other policy."""

    def __init__(self, number: int, case: dict[str, Any]) -> None:
        self.name: str = case["name"]
        self.subject = f"{newsletter.SUBJECT}-{number}"
        self.positions: list[str] = []
        self.answer: dict[str, Any] = {}
        self.then: dict[str, Any] = case["then"]
        self._history = [
            (self._of_its_own(record.event), record.recorded_at)
            for record in newsletter.history_of(case.get("given", []))
        ]
        self._asked = dict(case["when"])
        at = self._asked.pop("at", None)
        last = newsletter.START + (len(self._history) + 1) * MINUTE
        self._moment = last if at is None else newsletter.after_start(at)

    def _of_its_own(self, event: AnySubjectEvent) -> AnySubjectEvent:
        """Each case has a subject of its own, and its own ids of events."""
        told = msgspec.json.encode(event).replace(newsletter.SUBJECT.encode() + b'"', self.subject.encode() + b'"')
        return msgspec.json.decode(told, type=AnySubjectEvent)

    @property
    def is_told(self) -> bool:
        return len(self.positions) == len(self._history)

    def recorded(self) -> tuple[AnySubjectEvent, int]:
        return self._history[len(self.positions)]

    def parameters(self) -> dict[str, Any]:
        return {"at": self._moment, **self._asked}


async def _taking_times_as_they_come(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        for rule in TOPICS:
            if rule.name not in ("consent-events", "policy-revisions"):
                continue
            kept = {demand.setting: demand.value for demand in demands_on(rule, 1)}
            as_they_come = {
                "message.timestamp.type": "CreateTime",
                "message.timestamp.after.max.ms": str(2**62),
                "message.timestamp.before.max.ms": str(2**62),
            }
            resource = ConfigResource(ConfigResourceType.TOPIC, settings.topic(rule.name), {**kept, **as_they_come})
            await admin.alter_configs([resource])
    finally:
        await admin.close()


@asynccontextmanager
async def _producing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, **PRODUCER_DEFAULTS)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def _tell(settings: Settings, directory: Path, cases: Sequence[Asked], policies: Policies) -> None:
    """Each case's events in their order, then its question."""
    await make_topics(settings)
    tokens = directory / "tokens"
    headers = {"authorization": f"Bearer {add_token(tokens, 'tests', (CallerRole.AUDITOR,))}"}
    serving = msgspec.structs.replace(settings, token_file=str(tokens), http_port=0)
    with node(serving, directory) as child:
        async with (
            httpx.AsyncClient(base_url=await url_of(child), headers=headers, timeout=PATIENCE_S) as client,
            _producing(settings) as producer,
        ):
            await _taking_times_as_they_come(settings)
            await _publish(settings, producer, policies)
            while due := [each for each in cases if not each.is_told]:
                await asyncio.gather(*(_append(settings, producer, each) for each in due))
            await _until_known(client, len(policies.revisions))
            for each in cases:
                each.answer = await _asked(client, each)


async def _publish(settings: Settings, producer: AIOKafkaProducer, policies: Policies) -> None:
    records = [(revision.position, revision.recorded_at, revision.event) for revision in policies.revisions]
    records += [(record.position, record.recorded_at, record.event) for record in policies.declared]
    topic = settings.topic("policy-revisions")
    for _, recorded_at, event in sorted(records, key=lambda record: record[0]):
        await producer.send_and_wait(
            topic, encode_policy_event(event), key=event.policy.encode(), partition=0, timestamp_ms=recorded_at
        )


async def _append(settings: Settings, producer: AIOKafkaProducer, each: Asked) -> None:
    event, recorded_at = each.recorded()
    partition = partition_of(event.subject, settings.partitions)
    written = await producer.send_and_wait(
        settings.topic("consent-events"),
        encode_event(event),
        key=event.subject.encode(),
        partition=partition,
        timestamp_ms=recorded_at,
    )
    assert written.timestamp_type == CREATE_TIME
    each.positions.append(str(Position(EPOCH, partition, written.offset)))


async def _until_known(client: httpx.AsyncClient, versions: int) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while len((await client.get("/v1/policies")).json().get("revisions", [])) < versions:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


async def _asked(client: httpx.AsyncClient, each: Asked) -> dict[str, Any]:
    answer = await client.get(f"/v1/subjects/{each.subject}/history", params=each.parameters())
    assert answer.status_code == 200, f"{each.name}\n{answer.text}"
    told = answer.json()
    assert told["next_cursor"] is None
    found: dict[str, Any] = told["decision"]
    return found


def _cases(told: Iterable[Case]) -> list[Then]:
    return [Then(case, f"account:ann-t{number}", []) for number, case in enumerate(told)]


@pytest.fixture(scope="module")
def told(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Then]:
    cases = _cases(OF_THE_USUAL_POLICY)
    settings = settings_for(kafka, f"then-{now_ms()}.")
    asyncio.run(_tell(settings, tmp_path_factory.mktemp("then"), cases, policies_of(OF_THE_USUAL_POLICY[0])))
    return {each.case.title: each for each in cases}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.title) for case in OF_THE_USUAL_POLICY])
def test_a_clause_is_kept_at_its_moment_over_http(told: dict[str, Then], case: Case) -> None:
    assert_told(told[case.title])


@pytest.mark.slow
@pytest.mark.parametrize("policy", [pytest.param(policy, id=cases[0].name) for policy, cases in BY_POLICY.items()])
def test_each_policy_is_kept_at_its_moments_over_http(
    kafka: str, topic_prefix: str, tmp_path: Path, policy: str
) -> None:
    cases = _cases(BY_POLICY[policy])
    asyncio.run(_tell(settings_for(kafka, topic_prefix), tmp_path, cases, policies_of(BY_POLICY[policy][0])))
    for each in cases:
        assert_told(each)


def test_another_policy_is_kept_at_its_moments_over_http(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    cases = [Newsletter(number, case) for number, case in enumerate(OF_THE_NEWSLETTER)]
    asyncio.run(_tell(settings_for(kafka, topic_prefix), tmp_path, cases, newsletter.policies()))
    for each in cases:
        context = each.answer["context"]
        found = (each.answer["decision"], context["reason"], context["clause"])
        expected = each.then["reason"], each.then["clause"]
        assert found == (each.then["reason"] in ALLOWING, *expected), each.name
