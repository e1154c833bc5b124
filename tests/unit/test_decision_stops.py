"""What ends a stop: a later grant of the cell by the same side, if it counts; and when a guardian's stop does."""

from typing import Any

import pytest
from unit.rows import BORN, CELL, EIGHTEEN, MUM, SUBJECT, age_of, at, grant, mark, row, said

from consentry.decision.age import Age
from consentry.decision.stops import counted_marks, granted_after, guardians_mark, last_stop, own_stop, was_of_age
from consentry.state.row import Act, AgeStatement, Circumstances, Scope
from consentry.terms import AgeBand, AgeSource, Expression, Status

WARD = EIGHTEEN - 1_000
LOWERED = (said(AgeBand.ADULT, 50), said(AgeBand.MINOR, 90))
"""of age it was said, and then a minor: what was granted before 90 counts for nothing"""


def age(*statements: AgeStatement) -> Age:
    return age_of(Circumstances(ages=statements))


def ended(act: Act, known: Age | None, offset: int = 10) -> bool:
    return granted_after(row(acts=(act,)), CELL, act.actor_role, offset, known)


def test_only_a_grant_placed_after_it_ends_a_stop() -> None:
    assert ended(grant(SUBJECT, at(11)), None)
    assert not ended(grant(SUBJECT, at(10)), None)
    assert not ended(grant(SUBJECT, at(11), expression=Expression.IMPLIED), None)
    assert not ended(grant(SUBJECT, at(11), status=Status.REQUESTED), None)


@pytest.mark.parametrize("who", [SUBJECT, MUM])
def test_a_grant_voided_by_a_lowering_ends_nothing(who: str) -> None:
    assert not ended(grant(who, at(80)), age(*LOWERED))
    assert not ended(grant(who, at(95, occurred=90)), age(*LOWERED))
    assert ended(grant(who, at(95, occurred=90), informed=True), age(*LOWERED))
    assert ended(grant(who, at(95)), age(*LOWERED))


def test_a_guardians_grant_for_who_is_of_age_ends_nothing_and_an_own_one_does() -> None:
    grown = age(said(BORN, 1))
    assert ended(grant(MUM, at(WARD)), grown)
    assert not ended(grant(MUM, at(EIGHTEEN)), grown)
    assert ended(grant(SUBJECT, at(EIGHTEEN)), grown)


def test_a_guardians_stop_counts_unless_the_subject_was_of_age_as_known_then_and_now() -> None:
    found_out = age(said(AgeBand.ADULT, 50), said(BORN, 90))
    assert was_of_age(found_out, EIGHTEEN + 5, 95)
    assert not was_of_age(found_out, WARD, 95)
    assert not was_of_age(found_out, WARD, 60), "of age as was known then, a minor as is known now"
    raised = age(said(AgeBand.MINOR, 50), said(date_of_an_adult(), 90, source=AgeSource.VERIFIED))
    assert not was_of_age(raised, 60, 60), "a minor as was known then, of age as is known now"
    assert was_of_age(raised, 60, 95)


def date_of_an_adult() -> Any:
    return BORN.replace(year=1930)


def test_the_last_mark_on_the_cell_is_the_stop() -> None:
    marks = (mark(SUBJECT, at(5)), mark(SUBJECT, at(9)), mark(SUBJECT, at(7)))
    found = last_stop(marks, CELL, guardians=False)
    assert found is not None
    assert found.offset == 9
    assert last_stop((mark(SUBJECT, at(5), Scope("other")),), CELL, guardians=True) is None


def test_a_guardians_mark_is_a_stop_only_where_guardians_count() -> None:
    marks = (mark(MUM, at(5)),)
    assert last_stop(marks, CELL, guardians=False) is None
    assert last_stop(marks, CELL, guardians=True) is marks[0]
    assert counted_marks(marks, age(said(AgeBand.MINOR, 3))) == marks
    assert counted_marks((mark(MUM, at(EIGHTEEN)),), age(said(BORN, 1))) == ()


def test_a_guardians_mark_stands_until_a_guardian_grants_the_cell_again() -> None:
    ward = age(said(BORN, 1))
    stop = mark(MUM, at(WARD))
    assert guardians_mark(row(marks=(stop,)), CELL, ward) is stop
    assert guardians_mark(row(marks=(stop,), acts=(grant(MUM, at(WARD + 1)),)), CELL, ward) is None
    assert guardians_mark(row(marks=(stop,), acts=(grant(MUM, at(EIGHTEEN)),)), CELL, ward) is stop
    assert guardians_mark(row(marks=(stop,), acts=(grant(SUBJECT, at(WARD + 1)),)), CELL, ward) is stop
    assert guardians_mark(row(marks=(mark(SUBJECT, at(WARD)),)), CELL, ward) is None


def test_an_own_stop_stands_until_the_subject_grants_the_cell_again() -> None:
    stop, child = mark(SUBJECT, at(9)), age(said(AgeBand.CHILD, 1))
    assert own_stop(row(marks=(stop, mark(MUM, at(12)))), CELL, child) is stop
    assert own_stop(row(marks=(stop,), acts=(grant(SUBJECT, at(10)),)), CELL, child) is None
    assert own_stop(row(marks=(stop,), acts=(grant(MUM, at(10)),)), CELL, child) is stop
    assert own_stop(row(marks=(mark(MUM, at(12)),)), CELL, child) is None
