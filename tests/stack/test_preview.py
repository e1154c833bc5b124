"""`consentry policy preview` on a real Kafka: it counts whom a revision concerns, and publication bears it out."""

import json
from pathlib import Path
from typing import Any

import pytest
from contract.in_memory import act, grant
from running import POLICIES, make_topics, run, settings_for, worker
from stack.test_query import now_ms, publish_reference_policy, serving

from consentry.settings import Settings

pytestmark = pytest.mark.stack
SECOND = str(POLICIES / "reference-v2.yaml")


def of(subject: str, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "subject": subject, "actor": {"role": "subject", "id": subject}}


def previewed(settings: Settings, *flags: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(settings, "policy", "preview", SECOND, *flags, "--json"))
    return found


async def test_a_preview_counts_whom_a_revision_asks_again_and_who_has_to_accept_it(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    run(settings, "policy", "preview", SECOND, expect=2)  # nothing is published
    publish_reference_policy(settings)
    run(settings, "policy", "preview", SECOND, expect=3)  # nobody has folded the log
    with worker(settings, tmp_path):
        async with serving(settings, tmp_path) as served:
            await served.ready()
            for subject in ("account:agreed", "account:withdrew"):
                await served.record(of(subject, grant(at=now_ms())), wait=2_000)
            await served.record(of("account:withdrew", act("ConsentWithdrawn", at=now_ms())), wait=2_000)
            nearby = of("account:other", grant(purpose="recommendation.nearby", at=now_ms()))
            await served.record(nearby, wait=2_000)
            found = previewed(settings, "--subjects")
            assert found["difference"] == json.loads(run(settings, "policy", "diff", SECOND, "--json"))
            assert found["subjects"] == 3
            assert found["asked_again"] == {
                "count": 1,
                "by_purpose": {"recommendation.personalised": 1},
                "subjects": ["account:agreed"],
            }
            # it came after the second version's time of effect, and would be bound by it from the start
            assert found["must_accept"] == {"count": 0, "by_guardian": 0, "subjects": []}
            assert abs(now_ms() - found["complete_at"]) < 60_000
            assert previewed(settings)["asked_again"]["subjects"] is None
            later = tmp_path / "later.yaml"
            later.write_text(
                Path(SECOND).read_text().replace("2026-06-01T", "2098-06-01T").replace("2026-06-15T", "2098-06-15T")
            )
            said = run(settings, "policy", "preview", str(later), "--subjects")
            assert "Of 3 subjects, as the log stood at " in said
            assert "  asked again: 1\n    recommendation.personalised: 1\n      account:agreed\n" in said
            accepting = (
                "  would have to accept it: 3\n      account:agreed\n      account:other\n      account:withdrew\n"
            )
            assert accepting in said
    run(settings, "policy", "preview", str(POLICIES / "reference-v1.yaml"), expect=1)  # it follows nothing
