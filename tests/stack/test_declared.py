"""What is declared to everybody, on a real Kafka: the service's end, another controller, an incident."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from contract.in_memory import grant, question
from running import make_topics, run, settings_for, worker
from stack.test_query import Serving, now_ms, publish_reference_policy, serving

from consentry.settings import Settings

pytestmark = pytest.mark.stack
AHEAD_MS = 15_000
"""time enough on a busy machine to declare it, and to ask before it comes"""
NECESSARY = question("search.service", ["search_keywords"], action="use")


def declared(settings: Settings, *arguments: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run(settings, *arguments, "--json"))
    return told


async def prepared(kafka: str, topic_prefix: str) -> Settings:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    publish_reference_policy(settings)
    return settings


async def until_reason(served: Serving, body: dict[str, Any], effective_at: int, expected: str) -> None:
    """Before `effective_at` it is allowed, from then on denied for this reason; the answer says when."""
    answer = await fresh_answer(served, body)
    assert (answer["decision"], answer["context"]["expires_at"]) == (True, effective_at)
    await asyncio.sleep(max(0, effective_at - now_ms()) / 1000 + 0.05)
    denied = await fresh_answer(served, body)
    assert (denied["decision"], denied["context"]["reason"]) == (False, expected)
    assert denied["context"]["clause"]


async def fresh_answer(served: Serving, body: dict[str, Any]) -> dict[str, Any]:
    """On a busy machine a worker's word may come late: that says nothing of what is asked here."""
    while (answer := await served.check(**body))["context"]["reason"] in ("STALE", "NOT_YET_VISIBLE"):
        await asyncio.sleep(0.05)
    return answer


async def until_known(served: Serving, position: str) -> dict[str, Any]:
    """GET /v1/policies once the node has read as far."""
    while True:
        found: dict[str, Any] = (await served.client.get("/v1/policies")).json()
        if position in [one["position"] for one in found["declarations"]]:
            return found
        await asyncio.sleep(0.02)


async def test_from_its_end_on_a_service_allows_nothing_to_anybody(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(kafka, topic_prefix)
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as served:
            await served.ready()
            agreed = question(min_position=(await served.record(grant(at=now_ms())))["position"])
            effective_at = now_ms() + AHEAD_MS
            arguments = ("service", "discontinue", "--effective-at", str(effective_at), "--yes")
            told = declared(settings, *arguments)
            assert (told["type"], told["position"], told["written_now"]) == ("ServiceDiscontinued", "e1.p0.o2", True)
            assert (await until_known(served, told["position"]))["discontinued_at"] == effective_at
            await until_reason(served, agreed, effective_at, "SERVICE_DISCONTINUED")
            for body in (NECESSARY, {**NECESSARY, "subject": {"type": "account", "id": "never-seen"}}):
                assert (await fresh_answer(served, body))["context"]["reason"] == "SERVICE_DISCONTINUED"
    again = declared(settings, *arguments)
    assert again == {**told, "written_now": False}
    run(settings, "service", "discontinue", "--effective-at", str(effective_at - 1), "--yes", expect=1)


async def test_a_controller_that_does_not_keep_the_terms_asks_everybody_again(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(kafka, topic_prefix)
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as served:
            await served.ready()
            agreed = question(min_position=(await served.record(grant(at=now_ms())))["position"])
            change = ("controller", "change", "--successor", "newco")
            kept = declared(settings, *change, "--terms", "kept", "--effective-at", str(now_ms() - 1))
            await until_known(served, kept["position"])
            assert (await fresh_answer(served, agreed))["decision"] is True
            effective_at = now_ms() + AHEAD_MS
            told = declared(settings, *change, "--terms", "not-kept", "--effective-at", str(effective_at), "--yes")
            await until_known(served, told["position"])
            await until_reason(served, agreed, effective_at, "RECONSENT_DUE")
            assert (await fresh_answer(served, NECESSARY))["context"]["reason"] == "NECESSARY"
            given = await served.record(grant(at=now_ms()))
            assert (await fresh_answer(served, question(min_position=given["position"])))["decision"] is True
    past = ("--terms", "not-kept", "--effective-at", str(effective_at - 1), "--yes")
    run(settings, *change, *past, expect=1)


async def test_an_incident_is_on_record_and_changes_no_answer(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = await prepared(kafka, topic_prefix)
    until = now_ms()
    incident = ("incident", "declare", "--data", "phone", "--from", str(until - 1_000), "--to", str(until))
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as served:
            await served.ready()
            agreed = question(min_position=(await served.record(grant(at=now_ms())))["position"])
            told = declared(settings, *incident, "--reason", "a backup")
            (kept,) = (await until_known(served, told["position"]))["declarations"]
            assert (kept["declared"]["data"], kept["declared"]["reason"]) == (["phone"], "a backup")
            assert (kept["declared"]["from_at"], kept["declared"]["to_at"]) == (until - 1_000, until)
            assert (await fresh_answer(served, agreed))["decision"] is True
    assert not declared(settings, *incident, "--reason", "a backup")["written_now"]


async def test_nothing_is_declared_before_there_is_a_policy(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    run(settings, "service", "discontinue", "--effective-at", str(now_ms() + AHEAD_MS), "--yes", expect=1)
