"""The part of a row that few rows have, and its one canonical form: None where there is nothing in it."""

import msgspec

from consentry.state.row import NO_CIRCUMSTANCES, Circumstances, SubjectState


def circumstances_of(state: SubjectState) -> Circumstances:
    return state.circumstances or NO_CIRCUMSTANCES


def with_circumstances(state: SubjectState, facts: Circumstances) -> SubjectState:
    """The row with these circumstances: the same object where they are the row's own."""
    if facts is state.circumstances or facts == circumstances_of(state):
        return state
    return msgspec.structs.replace(state, circumstances=None if facts == NO_CIRCUMSTANCES else facts)
