"""A subject's history over HTTP is read from the log on a real Kafka, page by page, and says what live answers said."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from contract.in_memory import act, grant, question
from running import append_raw, make_topics, publish_policy, settings_for, worker
from stack.test_query import Serving, serving

from consentry.codec import encode_event
from consentry.events import Actor, ConsentWithdrawn
from consentry.intake import CallerRole
from consentry.partition import partition_of
from consentry.terms import ActorRole, Channel

pytestmark = pytest.mark.stack

PATH = "/v1/subjects/account:u-1/history"
ASKED = {"operation": "use", "purpose": "recommendation.personalised", "data": "behaviour"}
ROLES = (CallerRole.ASKER, CallerRole.PRODUCER, CallerRole.AUDITOR)


async def test_each_live_answer_is_told_again_for_its_moment(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix, max_batch=2)
    await make_topics(settings)
    publish_policy(settings)
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path, ROLES) as served:
            await served.ready()

            async def pages(**moment: int) -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = []
                cursor: dict[str, str] = {}
                while not found or found[-1]["next_cursor"] is not None:
                    answer = await served.client.get(PATH, params={**moment, **ASKED, **cursor})
                    assert answer.status_code == 200, answer.text
                    found.append(answer.json())
                    cursor = {"cursor": found[-1]["next_cursor"]}
                return found

            live: list[tuple[int, str]] = []
            for body in (grant, lambda **at: act("ConsentWithdrawn", **at), grant):
                now = time.time_ns() // 1_000_000
                await served.record(body(at=now), wait=2_000)
                for number in range(5):  # other subjects, in all partitions
                    name = f"account:other-{number}"
                    other = grant(at=now) | {"subject": name, "actor": {"role": "subject", "id": name}}
                    await served.record(other)
                answer = await served.check(**question())
                live.append((time.time_ns() // 1_000_000, answer["context"]["reason"]))
            # of nobody whom we ask about, though it lies in the same partition
            partition = partition_of("account:u-1", settings.partitions)
            await append_raw(settings, partition, b"account:somebody", b"nonsense")

            for known_at, reason in live:
                (*_, last) = await pages(as_known_at=known_at)
                assert last["decision"]["context"]["reason"] == reason
            whole = await pages()
            told = [each["event"]["type"] for page in whole for each in page["events"]]
            assert told == ["ConsentGiven", "ConsentWithdrawn", "ConsentGiven"]
            assert [len(page["events"]) for page in whole[:2]] == [2, 1]
            state = (await served.client.get("/v1/subjects/account:u-1")).json()
            assert whole[-1]["state"]["cells"] == state["cells"]
            assert whole[-1]["state"]["tightened_position"] == state["tightened_position"]

            # an event of the subject under another's key, and what cannot be read: both are set aside, and told
            stray = ConsentWithdrawn(
                event_id=uuid4(),
                subject="account:u-1",
                occurred_at=time.time_ns() // 1_000_000,
                actor=Actor(role=ActorRole.SUBJECT, id="account:u-1"),
                channel=Channel.APP,
                producer="tests",
            )
            await append_raw(settings, partition, b"account:somebody", encode_event(stray))
            await append_raw(settings, partition, b"account:u-1", b"nonsense")
            await until_set_aside(served)
            found = await pages()
            set_aside = [each for page in found for each in page["events"] if each["fault"]]
            assert [each["event"] for each in set_aside] == [None, None]
            assert len(found[-1]["state"]["quarantined"]) == 2
            assert found[-1]["decision"]["decision"] is False


async def until_set_aside(served: Serving) -> None:
    """The metrics tell of it, and that the rows are not behind."""
    async with asyncio.timeout(30):
        while True:
            text = (await served.client.get("/metrics")).text
            ends = re.findall(r"consentry_quarantine_offset\{.*\} (\S+)", text)
            lags = re.findall(r"consentry_lag_records\{.*\} (\S+)", text)
            if lags and set(lags) == {"0.0"} and any(float(end) > 0 for end in ends):
                return
            await asyncio.sleep(0.2)
