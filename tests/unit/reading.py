"""What a row says, read the way `decide` reads it."""

from collections.abc import Sequence

from unit.histories import EPOCH, PARTITION, SUBJECT
from unit.model import STRONGEST_FIRST, Stand

from consentry.decision.permission import permission_lacks
from consentry.events import Recorded
from consentry.state.fold import fold
from consentry.state.row import Circumstances, SubjectState
from consentry.terms import Cell, Status


def folded(records: Sequence[Recorded], state: SubjectState | None = None) -> SubjectState:
    state = state or SubjectState.unknown(SUBJECT, EPOCH, PARTITION)
    for recorded in records:
        state = fold(state, recorded)
    return state


def stand_in(row: SubjectState, cell: Cell) -> Stand:
    """The later, in log order, of the cell's own last act and of the marks that cover it."""
    stops = [(mark.offset, mark.status) for mark in row.marks if mark.scope.covers(cell)]
    stopped_at = max(stops)[0] if stops else -1
    acts = [act for act in row.acts if act.block.holds(cell)]
    grants = [act for act in acts if act.status is Status.GIVEN and act.offset > stopped_at]
    of_each = {(act.actor_id, act.expression): act.offset for act in grants}
    assert len(of_each) == len(grants), "two grants of one cell by one actor in one expression stand in the row"
    if grants:
        standing = tuple(
            (actor, each, of_each[actor, each])
            for actor in sorted({act.actor_id for act in grants})
            for each in STRONGEST_FIRST
            if (actor, each) in of_each
        )
        return Stand(Status.GIVEN, max(of_each.values()), standing)
    if stops:
        return Stand(max(stops)[1], stopped_at)
    asked = [act for act in acts if act.status is not Status.GIVEN]
    assert len(asked) <= 1, "two questions about one cell stand in the row"
    return Stand(asked[0].status, asked[0].offset) if asked else Stand(Status.UNKNOWN, None)


def permission_is_on(row: SubjectState, name: str, device: str | None) -> bool:
    return permission_lacks(row, name, device) is None


def exemptions_in(row: SubjectState, cell: Cell) -> set[int]:
    """The invocations that name the cell and have not been ended for it."""
    facts = row.circumstances or Circumstances()
    return {
        each.offset
        for each in facts.invocations
        if each.scope.covers(cell)
        and not any(
            ending.code == each.code
            and ending.scope.covers(cell)
            and (ending.offset > each.offset or each.occurred_at <= ending.recorded_at)
            for ending in facts.endings
        )
    }
