"""Step 7: what a minor's guardians have accepted, and whether one of them objects (7.a). Pure."""

from consentry.decision.age import EVERYTHING, Age
from consentry.decision.stops import guardians_mark
from consentry.state.row import Acceptance, Circumstances, SubjectState
from consentry.terms import ActorRole, Cell


def a_guardian_stands(row: SubjectState, cell: Cell, age: Age, *, before: int = EVERYTHING) -> bool:
    """Whether a verified guardian has accepted the policy for this ward, and no guardian's mark covers the cell.

    `before`: only what was accepted until then counts. Source: 7.a.
    """
    facts = row.circumstances
    if facts is None or not any(
        acceptance.occurred_at < before and acceptance.recorded_at < before
        for acceptance in guardians_acceptances(facts, age)
    ):
        return False
    return guardians_mark(row, cell, age) is None


def guardians_acceptances(facts: Circumstances, age: Age) -> tuple[Acceptance, ...]:
    """The acceptances that count for a ward: by a guardian who is still verified, and not voided since.

    The fold keeps none that came before the verification, and drops them when the guardian is unlinked.
    """
    verified = {each.guardian for each in facts.guardianships if each.verified}
    return tuple(
        [
            each
            for each in facts.acceptances
            if each.actor_role is ActorRole.GUARDIAN
            and each.actor_id in verified
            and age.wards_act(each.occurred_at, each.recorded_at)
            and not (age.lowering is not None and age.lowering.voids(each.offset, each.occurred_at))
        ]
    )
