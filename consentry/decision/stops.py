"""What stops a cell: the marks that cover it, whose word counts, and what was granted since. Pure."""

from collections.abc import Iterable

from consentry.decision.age import Age
from consentry.state.row import COUNTS_ALWAYS, Mark, SubjectState
from consentry.terms import ActorRole, Cell, Expression, Reason, Status

_SUBJECT, _GUARDIAN = ActorRole.SUBJECT, ActorRole.GUARDIAN

REASON_OF_STOP = {
    Status.REFUSED: Reason.REFUSED,
    Status.WITHDRAWN: Reason.WITHDRAWN,
    Status.REVOKED: Reason.REVOKED,
    Status.INVALIDATED: Reason.INVALIDATED,
}


def last_stop(marks: Iterable[Mark], cell: Cell, *, guardians: bool) -> Mark | None:
    """The last mark that covers the cell; without `guardians` those of a guardian do not count."""
    last: Mark | None = None
    for mark in marks:
        if (
            (last is None or mark.offset > last.offset)
            and mark.scope.covers(cell)
            and (guardians or mark.actor_role is not _GUARDIAN)
        ):
            last = mark
    return last


def counted_marks(marks: tuple[Mark, ...], age: Age) -> tuple[Mark, ...]:
    """The marks without those that a guardian set when the subject was of age, as known then and now."""
    return tuple(
        [
            mark
            for mark in marks
            if mark.actor_role is not _GUARDIAN
            or mark.occurred_at == COUNTS_ALWAYS
            or not was_of_age(age, mark.occurred_at, mark.offset)
        ]
    )


def guardians_mark(row: SubjectState, cell: Cell, age: Age) -> Mark | None:
    """The last mark of a guardian that covers the cell, unless a guardian granted that cell later."""
    last: Mark | None = None
    for mark in counted_marks(row.marks, age):
        if mark.actor_role is _GUARDIAN and (last is None or mark.offset > last.offset) and mark.scope.covers(cell):
            last = mark
    if last is None or granted_after(row, cell, _GUARDIAN, last.offset, age):
        return None
    return last


def own_stop(row: SubjectState, cell: Cell, age: Age) -> Mark | None:
    """A child's own refusal or withdrawal that no later grant of the child's ended."""
    own = [mark for mark in row.marks if mark.actor_role is _SUBJECT]
    stop = last_stop(own, cell, guardians=False)
    if stop is None:
        return None
    return None if granted_after(row, cell, _SUBJECT, stop.offset, age) else stop


def granted_after(row: SubjectState, cell: Cell, role: ActorRole, offset: int, age: Age | None) -> bool:
    """Whether the side of `role` granted the cell after that place: implied, voided, unauthorised is no grant."""
    return any(
        act.status is Status.GIVEN
        and act.actor_role is role
        and act.expression is not Expression.IMPLIED
        and act.offset > offset
        and act.block.holds(cell)
        and (
            age is None
            or (
                not (
                    age.lowering is not None and age.lowering.voids(act.offset, act.occurred_at, informed=act.informed)
                )
                and (role is _SUBJECT or age.wards_act(act.occurred_at, act.recorded_at))
            )
        )
        for act in row.acts
    )


def was_of_age(age: Age, moment: int, offset: int) -> bool:
    return age.is_adult_at(moment, offset) and age.is_adult_at(moment)
