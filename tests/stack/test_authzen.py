"""Any AuthZEN client may ask: the certification's scenario and two clients from a registry, on a real Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from apparitor import models as theirs
from apparitor.client import AuthZENClient
from apparitor.config import ScannerConfig
from apparitor.errors import AuthZENClientError
from contract.certification import DECIDED, agreements, asked
from decern import Client, DecernError
from running import make_topics, publish_policy, settings_for, worker
from stack.test_query import Serving, serving

pytestmark = pytest.mark.stack


@asynccontextmanager
async def certified(kafka: str, topic_prefix: str, directory: Path) -> AsyncIterator[Serving]:
    """A node that serves the fixture, once what alice and bob agreed to is visible."""
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    publish_policy(settings, "certification-v1.yaml", "certification.txt")
    with worker(settings, directory):
        async with serving(settings, directory) as served:
            await served.ready()
            for agreement in agreements(time.time_ns() // 1_000_000):
                assert (await served.record(agreement, wait=2_000))["effect"] == "applied"
            yield served


async def test_the_certification_scenario_is_answered_as_its_fixture_says(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with certified(kafka, topic_prefix, tmp_path) as served:
        metadata = (await served.client.get("/.well-known/authzen-configuration")).json()
        base = str(served.client.base_url).rstrip("/")
        assert metadata["policy_decision_point"] == base

        async def post(endpoint: str, body: object) -> Any:
            answer = await served.client.post(metadata[endpoint], json=body, headers={"x-request-id": "r-7"})
            assert (answer.status_code, answer.headers["x-request-id"]) == (200, "r-7")
            return answer.json()

        for subject, action, decision in DECIDED:
            for _ in range(3):
                answer = await post("access_evaluation_endpoint", asked(subject, action))
                assert answer["decision"] is decision, (subject, action, answer)
        batch = await post(
            "access_evaluations_endpoint", {"evaluations": [asked(subject, action) for subject, action, _ in DECIDED]}
        )
        assert [each["decision"] for each in batch["evaluations"]] == [decision for *_, decision in DECIDED]
        found = await post("search_subject_endpoint", asked("", "read") | {"subject": {"type": "user"}})
        assert found["results"] == [{"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}]
        assert found["page"]["next_token"] == ""
        found = await post("search_resource_endpoint", asked("bob", "read") | {"resource": {"type": "record"}})
        assert found["results"] == [{"type": "record", "id": "record-1"}]
        found = await post("search_action_endpoint", asked("bob", ""))
        assert {"name": "read"} in found["results"]
        assert {"name": "write"} not in found["results"]


async def test_two_clients_that_know_nothing_of_us_ask_and_are_answered(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with certified(kafka, topic_prefix, tmp_path) as served:
        url, token = str(served.client.base_url), served.client.headers["authorization"].removeprefix("Bearer ")
        await asyncio.to_thread(ask_with_decern, url, token)
        await ask_with_apparitor(url, token)


def ask_with_decern(url: str, token: str) -> None:
    client = Client(url, token=token)
    record = {"type": "record", "id": "record-1"}
    for subject, action, decision in DECIDED:
        assert client.evaluate({"type": "user", "id": subject}, action, record).allowed is decision
    with pytest.raises(DecernError) as refused:
        Client(url).evaluate({"type": "user", "id": "alice"}, "read", record)
    assert refused.value.status_code == 401


async def ask_with_apparitor(url: str, token: str) -> None:
    config = ScannerConfig(
        pdp_url=url, allow_insecure_pdp=True, default_headers={"authorization": f"Bearer {token}"}, request_budget_s=30
    )
    record = theirs.Resource(type="record", id="record-1")
    async with AuthZENClient(config) as client:
        for subject, action, decision in DECIDED:
            answer = await client.evaluate(
                theirs.EvaluationRequest(
                    subject=theirs.Subject(type="user", id=subject), action=theirs.Action(name=action), resource=record
                )
            )
            assert answer.decision is decision
        for semantic, decisions in (
            (theirs.EvaluationSemantic.EXECUTE_ALL, [True, False, True]),
            (theirs.EvaluationSemantic.DENY_ON_FIRST_DENY, [True, False]),
            (theirs.EvaluationSemantic.PERMIT_ON_FIRST_PERMIT, [True]),
        ):
            batch = await client.evaluate_batch(
                theirs.BatchEvaluationRequest(
                    subject=theirs.Subject(type="user", id="bob"),
                    resource=record,
                    evaluations=[
                        theirs.EvaluationItem(action=theirs.Action(name=name)) for name in ("read", "write", "read")
                    ],
                    options=theirs.EvaluationsOptions(evaluations_semantic=semantic),
                )
            )
            assert [each.decision for each in batch.evaluations] == decisions
        with pytest.raises(AuthZENClientError) as refused:
            await client.evaluate(
                theirs.EvaluationRequest(
                    subject=theirs.Subject(type="user", id="not an id"),
                    action=theirs.Action(name="read"),
                    resource=record,
                )
            )
        assert refused.value.status_code == 400
