"""A second policy, in another language and with its own words, runs on the same engine: its cases, its documents."""

from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import pytest
import yaml

from consentry.decision import Decision, Request, View, decide
from consentry.events import AnySubjectEvent, Recorded, RecordedPolicyEvent
from consentry.policy import ALLOWING, Policies, Policy, clauses_of, missing_clauses, parse_policy, prepare_revision
from consentry.policy.fields import root_of
from consentry.state.fold import fold
from consentry.state.row import SubjectState
from consentry.terms import Position, Reason

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples" / "policies"
DOCUMENT = (EXAMPLES / "newsletter-v1.yaml").read_text(encoding="utf-8")
TEXT = (EXAMPLES / "newsletter.txt").read_text(encoding="utf-8")
POLICY = parse_policy(DOCUMENT)
REFERENCE = parse_policy((EXAMPLES / "reference-v1.yaml").read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = yaml.safe_load((PROJECT / "tests/cases/newsletter.yaml").read_text(encoding="utf-8"))
SUBJECT = "kunde:anna"
START = 1_775_001_600_000
"""2026-04-01T00:00:00Z"""
MINUTE = 60_000
CONTROLLER = {"role": "controller", "id": "leitung"}
OF_THE_CONTROLLER = ("ExemptionInvoked", "GuardianVerified")


@cache
def policies() -> Policies:
    announced = POLICY.announced_at or 0
    revision = prepare_revision(DOCUMENT, TEXT, Policies(), announced, event_id=event_id(-1))
    return Policies().after(RecordedPolicyEvent(Position(1, 0, 1), announced, revision))


def event_id(place: int) -> UUID:
    return uuid5(NAMESPACE_URL, f"kunde {place}")


def after_start(duration: str) -> int:
    return START + root_of(duration).duration()


def actor_of(kind: str, by: str | None) -> dict[str, str]:
    if by is not None and by != "controller":
        return {"role": "guardian", "id": by}
    return CONTROLLER if by or kind in OF_THE_CONTROLLER else {"role": "subject", "id": SUBJECT}


def history_of(given: list[dict[str, dict[str, Any]]]) -> list[Recorded]:
    history, recorded_at = [], START
    for place, told in enumerate(given):
        ((kind, said),) = told.items()
        fields = dict(said)
        recorded_at = after_start(fields.pop("at")) if "at" in fields else recorded_at + MINUTE
        if "valid_for" in fields:
            fields["valid_until"] = recorded_at + root_of(fields.pop("valid_for")).duration()
        actor = actor_of(kind, fields.pop("by", None))
        envelope = {
            "type": kind,
            "event_id": str(event_id(place)),
            "subject": SUBJECT,
            "channel": "web",
            "actor": actor,
        }
        event = msgspec.convert({**envelope, "occurred_at": recorded_at, **fields}, AnySubjectEvent)
        history.append(Recorded(Position(1, 0, place + 1), recorded_at, event))
    return history


def answer_to(case: dict[str, Any]) -> Decision:
    history = history_of(case.get("given", []))
    row = SubjectState.unknown(SUBJECT, 1, 0) if history else None
    for record in history:
        assert row is not None
        row = fold(row, record)
    asked = dict(case["when"])
    now = after_start(asked.pop("at")) if "at" in asked else START + (len(history) + 1) * MINUTE
    view = View(row, Position(1, 0, len(history) + 1), asked.pop("staleness", 0))
    return decide(view, policies(), msgspec.convert({"subject": SUBJECT, **asked}, Request), now)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_clause_of_the_newsletter_is_kept(case: dict[str, Any]) -> None:
    answer = answer_to(case)
    found = {
        "reason": answer.reason,
        "clause": answer.clause,
        "basis": answer.basis,
        "evidence": [[str(event_id(place)) for place in range(9)].index(event) for event in answer.evidence],
        "obligations": list(answer.obligations),
        "results": [result.reason for result in answer.results],
        "may_ask": answer.prompt.may_ask,
        "ask_after": answer.prompt.ask_after,
    }
    expected = dict(case["then"])
    if "ask_after" in expected:
        expected["ask_after"] = after_start(expected["ask_after"])
    assert {name: found[name] for name in expected} == expected
    assert answer.allow == (answer.reason in ALLOWING)


def test_its_wording_shows_every_clause_that_it_names() -> None:
    assert missing_clauses(POLICY, TEXT) == ()


def test_each_of_its_clauses_stands_behind_a_case_or_binds_no_answer() -> None:
    named = {clause for case in CASES for clause in case["name"].rpartition("(")[2].rstrip(")").split(", ")}
    assert named <= clauses_of(TEXT).keys()
    without_case = {clause for clause in clauses_of(TEXT) if "." in clause} - named
    # a birthday is a consent like another; how guardians are checked and changes announced is done before any answer
    assert without_case == {"3.c", "7.b", "8.a"}


def test_it_has_no_purpose_data_code_or_bound_of_the_reference_policy() -> None:
    for part in ("purposes", "exemptions"):
        assert getattr(POLICY, part).keys().isdisjoint(getattr(REFERENCE, part))
    assert set(POLICY.data).isdisjoint(REFERENCE.data)
    assert set(POLICY.subject_types).isdisjoint(REFERENCE.subject_types)
    for bound in ("guardian_required_below", "sensitive_below", "prompt_cooldown_ms", "notice_period_ms", "time_zone"):
        assert getattr(POLICY, bound) != getattr(REFERENCE, bound), bound
    for age in ("consent_ms", "exemption_ms", "necessity_ms"):
        assert getattr(POLICY.freshness, age) != getattr(REFERENCE.freshness, age), age


def test_each_denial_has_a_clause() -> None:
    assert set(POLICY.clause_of) == set(Reason) - ALLOWING


# Nothing of a policy is in the code.


@pytest.mark.parametrize("policy", [REFERENCE, POLICY], ids=["reference", "newsletter"])
def test_no_purpose_of_a_policy_is_in_the_code(policy: Policy) -> None:
    """The demo's story is data under examples/; streams/demo only links to it."""
    found = {
        (str(file.relative_to(PROJECT)), purpose)
        for file in source_files()
        for purpose in policy.purposes
        if purpose in file.read_text(encoding="utf-8")
    }
    assert found == set()


def source_files() -> list[Path]:
    """What is ours under consentry/ and streams/, links to data left out."""
    files = []
    for root in ("consentry", "streams"):
        for file in (PROJECT / root).rglob("*"):
            inside = [file, *(PROJECT / parent for parent in file.relative_to(PROJECT).parents)]
            linked = any(part.is_symlink() for part in inside if part != PROJECT)
            if file.is_file() and not linked and file.suffix != ".pyc":
                files.append(file)
    assert len(files) > 50
    return files
