"""Beside an exemption that stands, a closed row goes on heeding what tightens, and forgets nothing of the rest."""

import msgspec
from unit.rows import SUBJECT, at, invocation
from unit.story import events_of

from consentry.state.fold import fold
from consentry.state.row import Circumstances, SubjectState
from consentry.terms import Position

FIRST_ACT = 5
CLOSED = SubjectState(
    subject=SUBJECT,
    position=Position(1, 3, 0),
    closed_at=10,
    first_act_at=FIRST_ACT,
    circumstances=Circumstances(invocations=(invocation("c", at(1)),)),
)
(WITHDRAWN,) = events_of([{"ConsentWithdrawn": {"purpose": "account.profile"}}])


def test_a_withdrawal_after_closure_is_kept_and_the_first_act_stays_the_first() -> None:
    after = fold(CLOSED, WITHDRAWN)
    assert [mark.offset for mark in after.marks] == [WITHDRAWN.position.offset]
    assert (after.closed_at, after.first_act_at) == (10, FIRST_ACT)
    assert after.circumstances == CLOSED.circumstances
    assert after.tightened_offset == WITHDRAWN.position.offset


def test_a_withdrawal_repeated_after_closure_changes_nothing() -> None:
    after = fold(CLOSED, WITHDRAWN)
    again = type(WITHDRAWN)(WITHDRAWN.position._replace(offset=9), WITHDRAWN.recorded_at + 1, WITHDRAWN.event)
    assert fold(after, again) is after


def test_without_an_exemption_nothing_after_closure_is_heeded() -> None:
    bare = SubjectState(subject=SUBJECT, position=Position(1, 3, 0), closed_at=10)
    assert fold(bare, WITHDRAWN) is bare


def test_an_earlier_act_that_comes_after_closure_is_the_first_one() -> None:
    late = msgspec.structs.replace(CLOSED, first_act_at=WITHDRAWN.event.occurred_at + 1)
    assert fold(late, WITHDRAWN).first_act_at == WITHDRAWN.event.occurred_at
