"""Given, when, then: the fixtures as a service's own test suite has them, in a pytest of its own."""

import subprocess
import sys
from pathlib import Path

POLICY = Path(__file__).parents[2] / "examples" / "policies" / "newsletter-v1.yaml"
CONFTEST = f"""
from pathlib import Path
import pytest
pytest_plugins = ["consentry.testing.plugin"]

@pytest.fixture
def consentry_policy():
    return Path({str(POLICY)!r})
"""


def run(directory: Path, tests: str, *arguments: str, conftest: str = CONFTEST) -> str:
    (directory / "conftest.py").write_text(conftest, encoding="utf-8")
    (directory / "test_story.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(directory), *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False).stdout


def test_a_story_is_given_told_and_expected(tmp_path: Path) -> None:
    story = """
def test_a_story(given, when, then):
    given("kunde:k-1").gives("rundbrief.versand")
    then("kunde:k-1").may("use", "email", purpose="rundbrief.versand", because="CONSENT")
    when("kunde:k-1").withdraws("rundbrief.versand")
    then("kunde:k-1").may_not("use", "email", purpose="rundbrief.versand", because="WITHDRAWN")
"""
    assert "1 passed" in run(tmp_path, story)


def test_what_was_not_to_be_expected_fails_and_shows_the_answer(tmp_path: Path) -> None:
    story = """
def test_wrong_decision(then):
    then("kunde:k-1").may("use", "email", purpose="rundbrief.versand")

def test_wrong_reason(given, then):
    given("kunde:k-1").gives("rundbrief.versand")
    then("kunde:k-1").may("use", "email", purpose="rundbrief.versand", because="EXEMPT")

def test_wrong_prompt(given, then):
    given("kunde:k-1").refuses("rundbrief.versand")
    then("kunde:k-1").may_be_asked("use", "email", purpose="rundbrief.versand")

def test_wrong_silence(then):
    then("kunde:k-1").may_not_be_asked("use", "email", purpose="rundbrief.versand")
"""
    said = run(tmp_path, story)
    assert "4 failed" in said
    assert "DENY NO_CONSENT, not ALLOW" in said
    assert "ALLOW CONSENT, not ALLOW EXEMPT" in said
    assert '"prompt"' in said


def test_without_a_policy_the_suite_is_told_what_to_define(tmp_path: Path) -> None:
    conftest = 'pytest_plugins = ["consentry.testing.plugin"]'
    said = run(tmp_path, "def test_a_story(given): given('kunde:k-1')", conftest=conftest)
    assert "define a fixture consentry_policy" in said
    assert "passed" not in said
