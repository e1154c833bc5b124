"""Query nodes of one host that share a replica: one copy, one of them feeds it, each answers for itself."""

from pathlib import Path

import pytest
from contract.in_memory import act, grant, question
from running import make_topics, settings_for, worker
from stack.test_query import now_ms, publish_reference_policy, serving

pytestmark = pytest.mark.stack


async def test_two_nodes_share_a_replica_and_one_survives_the_other(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix, replica_dir=str(tmp_path / "replica"))
    await make_topics(settings)
    publish_reference_policy(settings)
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as first, serving(settings, tmp_path) as second:
            await first.ready()
            await second.ready()
            assert len(list((tmp_path / "replica").glob("*/copy-*"))) == 1
            given = await second.record(grant(at=now_ms()))
            for node in (first, second):
                answer = await node.check(**question(min_position=given["position"]))
                assert answer["decision"] is True, answer
            first.child.kill()
            await second.ready()
            withdrawn = await second.record(act("ConsentWithdrawn", at=now_ms()))
            answer = await second.check(**question(min_position=withdrawn["position"]))
            assert (answer["decision"], answer["context"]["reason"]) == (False, "WITHDRAWN")
            async with serving(settings, tmp_path) as third:
                await third.ready()
                answer = await third.check(**question(min_position=withdrawn["position"]))
                assert answer["context"]["reason"] == "WITHDRAWN"
