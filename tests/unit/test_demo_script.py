"""The demo's story as it is written: what it may say, and what it may not."""

import re
from pathlib import Path

import pytest

from consentry.errors import ConsentryError
from consentry.policy import changes_between, parse_policy
from streams.demo.script import STORY, PolicyFiles, load_story


def story_with(directory: Path, old: str, new: str) -> Path:
    text = (STORY / "story.yaml").read_text(encoding="utf-8")
    assert old in text
    path = directory / "story.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_what_the_story_says_instead_is_all_that_its_policy_has_other_than_the_file() -> None:
    policy = load_story().policy
    before, after = (policy.document_with(instead).splitlines() for instead in ({}, policy.instead))
    assert [line for line in after if line not in before] == ["notice_period: PT2S"]
    assert len(before) == len(after)


def test_its_second_version_differs_from_the_first_as_their_files_do() -> None:
    story = load_story()
    (second,) = (step.publishes for chapter in story.chapters for step in chapter.steps if step.publishes is not None)
    as_filed = [parse_policy(files.document_with({})) for files in (story.policy, second)]
    as_played = [parse_policy(story.policy.document_with(story.policy.instead))]
    as_played.append(parse_policy(second.document_with(second.dated(1_800_000_000_000, 1_800_000_009_500))))
    assert changes_between(*as_played) == changes_between(*as_filed)
    assert as_played[1].effective_at == 1_800_000_009_500


def test_a_line_that_the_document_does_not_have_cannot_be_said_instead() -> None:
    files = PolicyFiles(document="reference-v1.yaml", text="privacy-policy.txt")
    with pytest.raises(ConsentryError, match="0 lines that begin with notice:"):
        files.document_with({"notice": "PT2S"})


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("step: withdrawal", "step: nothing", "no step that happens is named 'nothing'"),
        (
            "        in_force: 2",
            "        in_force: 2\n        publishes: {document: a, text: b, effective_in_s: 1}",
            "either",
        ),
        ("        in_force: 2\n", "        in_force: two\n", "in_force"),
        ("subscriber: subscriber.py", "subscribers: subscriber.py", "subscribers"),
    ],
)
def test_what_is_not_a_story_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(ConsentryError, match=re.escape(fault)):
        load_story(story_with(tmp_path, old, new))
