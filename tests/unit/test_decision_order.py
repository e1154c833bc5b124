"""How two versions of the policy, and several data categories, come to one answer; and what an early answer says."""

import pytest
from unit.rows import AFTER, CELL, SUBJECT, row
from unit.story import first_version

from consentry.decision import Decision, Request, View, decide
from consentry.decision.order import Found
from consentry.decision.steps import Finding
from consentry.policy import Policies
from consentry.state.row import SubjectState
from consentry.terms import Position, Reason

LATE, SOON = 2_000, 1_000


def allowed(step: int, expires_at: int | None = None, **more: object) -> Finding:
    return Finding(step, Reason.CONSENT, allow=True, expires_at=expires_at, **more)  # type: ignore[arg-type]


def denied(step: int, reason: Reason = Reason.NO_CONSENT, expires_at: int | None = None) -> Finding:
    return Finding(step, reason, expires_at=expires_at)


def found(*findings: Finding, expires_at: int | None = None) -> Found:
    return Found(findings, findings[0], None, expires_at)


@pytest.mark.parametrize(("now", "then"), [(LATE, SOON), (SOON, LATE), (SOON, None), (None, SOON)])
def test_what_two_versions_allow_expires_with_the_first_of_them(now: int | None, then: int | None) -> None:
    both = found(allowed(11, now)).both(found(allowed(9, then)))
    assert both.leading == allowed(11, SOON)


@pytest.mark.parametrize(("now", "then"), [(LATE, SOON), (SOON, LATE), (SOON, None), (None, SOON)])
def test_what_one_version_denies_is_denied_until_either_changes(now: int | None, then: int | None) -> None:
    denial, grant = denied(10, expires_at=now), allowed(11, then)
    assert found(denial).both(found(grant)).leading == denied(10, expires_at=SOON)
    assert found(grant).both(found(denial)).leading == denied(10, expires_at=SOON)


def test_of_two_denials_the_earlier_step_answers_and_of_one_step_the_former_version() -> None:
    early, late = denied(4, Reason.DATA_NOT_COVERED), denied(10)
    assert found(early).both(found(late)).leading == early
    assert found(late).both(found(early)).leading == early
    assert found(denied(10, Reason.EXPIRED)).both(found(denied(10, Reason.REFUSED))).leading.reason is Reason.REFUSED


def test_of_several_data_the_first_denial_of_either_version_leads() -> None:
    now, then = found(denied(10), allowed(11)), found(allowed(11), denied(4, Reason.DATA_NOT_COVERED))
    both = now.both(then)
    assert [finding.reason for finding in both.findings] == [Reason.NO_CONSENT, Reason.DATA_NOT_COVERED]
    assert both.leading.reason is Reason.DATA_NOT_COVERED


@pytest.mark.parametrize(("now", "then"), [(LATE, SOON), (SOON, LATE), (SOON, None), (None, SOON)])
def test_the_age_line_that_comes_first_by_either_version_is_kept(now: int | None, then: int | None) -> None:
    assert found(allowed(11), expires_at=now).both(found(allowed(11), expires_at=then)).expires_at == SOON


def answer(known: SubjectState | None, policies: Policies | None = None, wanted: Position | None = None) -> Decision:
    request = Request(
        subject=SUBJECT,
        operation=CELL.operation,
        purpose=CELL.purpose,
        data=(CELL.data, "nickname"),
        min_position=wanted,
    )
    return decide(View(known, Position(1, 3, 50), 100), policies or first_version(), request, AFTER)


@pytest.mark.parametrize(
    "known",
    [
        SubjectState(subject=SUBJECT, position=Position(2, 3, 5)),
        SubjectState(subject=SUBJECT, position=Position(1, 4, 5)),
        SubjectState(subject="account:bob", position=Position(1, 3, 5)),
    ],
)
def test_a_row_of_another_place_or_subject_proves_nothing_and_tells_nothing(known: SubjectState) -> None:
    given = answer(known)
    assert (given.reason, given.position, given.staleness_ms) == (Reason.NOT_YET_VISIBLE, Position(1, 3, 50), 100)
    assert (given.policy_version, given.tightened_position) == (1, None)
    assert [result.reason for result in given.results] == [Reason.NOT_YET_VISIBLE] * 2


@pytest.mark.parametrize("wanted", [Position(1, 3, 51), Position(2, 3, 5), Position(1, 2, 5)])
def test_what_is_not_seen_yet_is_said_with_the_version_in_force(wanted: Position) -> None:
    given = answer(None, wanted=wanted)
    assert (given.allow, given.reason, given.policy_version) == (False, Reason.NOT_YET_VISIBLE, 1)
    assert answer(None, wanted=Position(1, 3, 50)).reason is not Reason.NOT_YET_VISIBLE


def test_a_row_ahead_of_its_partition_counts_as_seen() -> None:
    assert answer(row(), wanted=Position(1, 3, 1_000)).reason is not Reason.NOT_YET_VISIBLE
    assert answer(row(), wanted=Position(1, 3, 1_001)).reason is Reason.NOT_YET_VISIBLE
    assert (answer(row()).position, answer(None).position) == (Position(1, 3, 1_000), Position(1, 3, 50))


def test_without_any_policy_nothing_is_known() -> None:
    given = answer(None, Policies())
    assert (given.allow, given.reason, given.policy_version, given.clause) == (False, Reason.PURPOSE_UNKNOWN, None, "")


def test_of_several_data_one_that_is_due_to_be_reaffirmed_makes_the_whole_answer_so() -> None:
    several = found(allowed(11), allowed(9, reaffirm_due=True))
    assert several.both(several).leading == allowed(11, reaffirm_due=True)
    plain = found(allowed(11), allowed(9))
    assert plain.both(plain).leading == allowed(11)
