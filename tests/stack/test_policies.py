"""Publishing the policy on a real Kafka: checked, once, and the first of two publishers stands."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from consentry.errors import InvalidPolicy, Unavailable, UntrustedLog
from consentry.replica import PolicyFollower
from consentry.settings import Settings
from streams.policies import Publication, publish_revision
from streams.topics import create_topics

pytestmark = pytest.mark.stack

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
DOCUMENT = (POLICIES / "reference-v1.yaml").read_text(encoding="utf-8")
TEXT = (POLICIES / "privacy-policy.txt").read_text(encoding="utf-8")
NOW = 1_795_000_000_000
ANNOUNCED = 1_780_272_000_000
"""2026-06-01T00:00:00Z: what the second version says"""


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> Settings:
    settings = Settings(bootstrap_servers=kafka, topic_prefix=topic_prefix, partitions=1, replication_factor=1)
    await create_topics(settings, new_log_id=uuid4)
    return settings


async def publish(settings: Settings, document: str = DOCUMENT, text: str = TEXT) -> Publication:
    return await publish_revision(settings, document, text, now=NOW, event_id=uuid4())


async def versions(settings: Settings) -> list[int]:
    follower = PolicyFollower(settings)
    await follower.start()
    await follower.stop()
    return [revision.version for revision in follower.policies.revisions]


async def test_the_first_version_is_published_behind_the_genesis(settings: Settings) -> None:
    publication = await publish(settings)
    assert publication.written_now
    assert str(publication.position) == "e1.p0.o1"
    assert await versions(settings) == [1]


async def test_the_same_words_under_the_same_version_are_published_once(settings: Settings) -> None:
    first = await publish(settings)
    again = await publish(settings)
    assert not again.written_now
    assert again.position == first.position


async def test_other_words_under_a_published_version_are_refused(settings: Settings) -> None:
    await publish(settings)
    with pytest.raises(InvalidPolicy, match="expected 2"):
        await publish(settings, text=TEXT + "\nand more")


async def test_a_version_that_does_not_follow_is_refused_and_not_written(settings: Settings) -> None:
    with pytest.raises(InvalidPolicy, match="expected 1"):
        await publish(settings, DOCUMENT.replace("version: 1", "version: 3", 1))
    assert await versions(settings) == []


async def test_of_two_publishers_at_once_the_first_in_the_log_stands(settings: Settings) -> None:
    documents = [f"{DOCUMENT}\n# by publisher {number}\n" for number in range(4)]
    outcomes = await asyncio.gather(*(publish(settings, document) for document in documents), return_exceptions=True)
    published = [outcome for outcome in outcomes if isinstance(outcome, Publication)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, InvalidPolicy)]
    assert (len(published), len(refused)) == (1, 3)
    assert published[0].position.offset == 1
    assert await versions(settings) == [1]


async def test_nothing_is_published_to_a_topic_that_is_not_as_it_has_to_be(kafka: str, topic_prefix: str) -> None:
    with pytest.raises(UntrustedLog, match="missing"):
        await publish(Settings(bootstrap_servers=kafka, topic_prefix=topic_prefix))


async def test_a_document_that_is_not_valid_never_asks_kafka() -> None:
    with pytest.raises(InvalidPolicy):
        await publish(Settings(bootstrap_servers="127.0.0.1:1"), "policy: []")


async def test_a_kafka_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await publish(Settings(bootstrap_servers="127.0.0.1:1"))


async def test_published_versions_are_compared(settings: Settings) -> None:
    await publish(settings)
    document = (POLICIES / "reference-v2.yaml").read_text(encoding="utf-8")
    text = (POLICIES / "privacy-policy-v2.txt").read_text(encoding="utf-8")
    await publish_revision(settings, document, text, now=ANNOUNCED, event_id=uuid4())
    diff = [sys.executable, "-m", "streams.cli", "policy", "diff", "--json"]
    flags = ["--bootstrap-servers", settings.bootstrap_servers, "--topic-prefix", settings.topic_prefix]
    asked = (["--from", "1", "--to", "2"], ["--to", "2"], [str(POLICIES / "reference-v2.yaml")])
    answers = [subprocess.run([*diff, *one, *flags], capture_output=True, check=True).stdout for one in asked]
    assert len(set(answers)) == 1
    assert [json.loads(answers[0])[key] for key in ("former", "version", "reduces")] == [1, 2, True]
    for version, missing in (("3", b"version 3"), ("1", b"version 0")):
        refused = subprocess.run([*diff, "--to", version, *flags], capture_output=True, check=False)
        assert (refused.returncode, missing + b" is not published" in refused.stderr) == (2, True)
