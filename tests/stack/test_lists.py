"""Lists on a real Kafka: a grant has seen the person's own withdrawal before it, and no revocation in between."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from contract.in_memory import act, grant, question
from running import make_topics, settings_for, worker
from stack.test_query import now_ms, publish_reference_policy, serving

from consentry.events import Actor, ConsentRevoked
from consentry.terms import ActorRole, Channel
from streams.append import LogWriter

pytestmark = pytest.mark.stack
HOUR_MS = 3_600_000


def withdrawn_and_given(at: int, **of_the_grant: str) -> list[dict[str, Any]]:
    return [act("ConsentWithdrawn", at=at), grant(at=at, **of_the_grant)]


async def test_a_list_that_withdraws_and_grants_takes_effect_as_a_whole(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """By its clock alone the grant would be older than the withdrawal's place in the log."""
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    publish_reference_policy(settings)
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as served:
            await served.ready()
            for _ in range(10):
                answer = await served.record(withdrawn_and_given(now_ms()), wait=2_000)
                assert [event["effect"] for event in answer["events"]] == ["applied", "applied"]
                last = answer["events"][-1]["position"]
                assert (await served.check(**question(min_position=last)))["decision"] is True


async def test_a_caller_who_saw_the_last_tightening_withdraws_and_grants_in_one_list(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """By its clock alone the grant is an hour older than all that it says to have seen."""
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    publish_reference_policy(settings)
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as served:
            await served.ready()
            seen = (await served.record(act("ConsentWithdrawn", at=now_ms()), wait=2_000))["position"]
            for _ in range(5):
                list_of_two = withdrawn_and_given(now_ms() - HOUR_MS, expected_position=seen)
                answer = await served.record(list_of_two, wait=2_000)
                assert [event["effect"] for event in answer["events"]] == ["applied", "applied"]
                seen, last = [event["position"] for event in answer["events"]]
                found = await served.check(**question(min_position=last))
                assert (found["decision"], found["context"]["tightened_position"]) == (True, seen)
            overtaken = await served.record(act("ConsentWithdrawn", at=now_ms()), wait=2_000)
            answer = await served.record(withdrawn_and_given(now_ms() - HOUR_MS, expected_position=seen), wait=2_000)
            assert [event["effect"] for event in answer["events"]] == ["applied", "superseded"]
            assert overtaken["position"] != seen


async def test_a_list_leaves_a_revocation_standing_that_its_node_had_not_seen(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix, visible_timeout_ms=30_000)
    identity = await make_topics(settings)
    publish_reference_policy(settings)
    writer = LogWriter(settings, identity)
    await writer.start()
    try:
        async with serving(settings, tmp_path) as served:
            with worker(settings, tmp_path):
                await served.ready()
                await served.record(grant(at=now_ms() - 2 * HOUR_MS), wait=2_000)
            await writer.append(
                ConsentRevoked(
                    event_id=uuid.uuid4(),
                    subject="account:u-1",
                    occurred_at=now_ms(),
                    actor=Actor(role=ActorRole.CONTROLLER, id="staff-7"),
                    channel=Channel.API,
                    reason="the purpose has ended",
                )
            )
            sending = asyncio.create_task(served.record(withdrawn_and_given(now_ms() - HOUR_MS), wait=30_000))
            with worker(settings, tmp_path):
                answer = await sending
                assert [event["effect"] for event in answer["events"]] == ["applied", "superseded"]
                last = answer["events"][-1]["position"]
                found = await served.check(**question(min_position=last))
                assert (found["decision"], found["context"]["reason"]) == (False, "WITHDRAWN")
    finally:
        await writer.stop()
