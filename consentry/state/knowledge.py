"""What somebody who loosens can have known of, and clocks. The rules are rule 1 of the fold."""

from consentry.events import AnySubjectEvent
from consentry.state.row import SubjectState

FUTURE_TOLERANCE_MS = 300_000
"""what loosens has no effect when its clock is further ahead of the log's than this"""


def is_ahead(event: AnySubjectEvent, recorded_at: int) -> bool:
    """Whether its clock is too far ahead for it to loosen."""
    return event.occurred_at > recorded_at + FUTURE_TOLERANCE_MS


def is_informed(state: SubjectState, expected_position: str | None) -> bool:
    """Whether it was sent by somebody who had seen the row's last tightening: nothing has tightened since."""
    if expected_position is None:
        return False
    return state.tightened_offset >= 0 and expected_position == str(state.tightened_position)
