"""What is left of a row once its account is closed, or its subject erased. Rule 5 of the fold."""

import msgspec

from consentry.state.row import SubjectState


def closed_row(state: SubjectState, closed_at: int) -> SubjectState:
    """What an exemption that stands may still rest on, and all that may void it; without one, the bare stub.

    Nothing opens it, and nothing in it loosens: a grant, a permission and an acceptance have no more to say.
    """
    facts = state.circumstances
    if facts is None or not facts.invocations:
        return stub(state, closed_at=closed_at)
    return SubjectState(
        subject=state.subject,
        position=state.position,
        tightened_offset=state.position.offset,
        recent=state.recent,
        marks=state.marks,
        opt_outs=state.opt_outs,
        closed_at=closed_at,
        first_act_at=state.first_act_at,
        circumstances=msgspec.structs.replace(facts, acceptances=()),
    )


def stub(state: SubjectState, *, closed_at: int | None, erased_at: int | None = None) -> SubjectState:
    """What is left for ever: a late grant, or a replica that slept, finds it."""
    return SubjectState(
        subject=state.subject,
        position=state.position,
        tightened_offset=state.position.offset,
        closed_at=closed_at,
        erased_at=erased_at,
    )
