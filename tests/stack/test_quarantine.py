"""A record whose subject nobody can read denies nobody: so the check of the topics has to tell of it."""

import json
from pathlib import Path

import pytest
from running import (
    append_raw,
    assert_state_is_the_fold_of_the_log,
    make_topics,
    run,
    settings_for,
    worker,
)

from consentry.partition import partition_of

pytestmark = pytest.mark.stack

UNREADABLE = b"\xc3\x01 not a record"


async def test_the_check_names_each_record_in_quarantine_whose_subject_cannot_be_read(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """And of those alone: the row of a subject that was read says itself that nothing is allowed."""
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    subject = "account:ada"
    await append_raw(settings, partition_of(subject, settings.partitions), subject.encode(), UNREADABLE)
    with worker(settings, tmp_path):
        await assert_state_is_the_fold_of_the_log(settings, identity)
        assert json.loads(run(settings, "topics", "check", "--json"))["ok"] is True
        await append_raw(settings, 0, None, UNREADABLE)
        await append_raw(settings, 1, None, UNREADABLE)
        await assert_state_is_the_fold_of_the_log(settings, identity)
    found = json.loads(run(settings, "topics", "check", "--json", expect=1))["findings"]
    unread = json.loads(run(settings, "quarantine", "list", "--json"))
    sources = {one["source"] for one in unread if one["subject"] is None}
    assert len(sources) == 2
    assert {finding["topic"] for finding in found} == sources
    for finding in found:
        assert f"consentry quarantine show {finding['topic']}" in finding["remedy"]


async def test_a_record_without_a_subject_cannot_be_released_yet(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, topic_prefix)
    identity = await make_topics(settings)
    await append_raw(settings, 0, None, UNREADABLE)
    with worker(settings, tmp_path):
        await assert_state_is_the_fold_of_the_log(settings, identity)
    (entry,) = json.loads(run(settings, "quarantine", "list", "--json"))
    reason = ("--disposition", "no_effect", "--reason", "a test", "--approver", "another")
    assert run(settings, "quarantine", "release", entry["source"], *reason, expect=2) == ""


def test_the_check_of_a_cluster_without_our_topics_says_that_they_are_missing(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    findings = json.loads(run(settings, "topics", "check", "--json", expect=1))["findings"]
    assert settings.topic("consent-quarantine") in {finding["topic"] for finding in findings}
    assert {finding["found"] for finding in findings} == {"missing"}
