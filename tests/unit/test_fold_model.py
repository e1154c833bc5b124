"""`fold` and the slow model agree, on whatever history."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from unit.histories import CELLS, DEVICES, PERMISSIONS, PURPOSES, histories
from unit.model import opted_out_by, quarantined_of, stand_of, tightened_position_of, was_switched_on
from unit.reading import folded, permission_is_on, stand_in

from consentry.events import Recorded
from consentry.state.row import SubjectState


def assert_agreed(row: SubjectState, records: Sequence[Recorded]) -> None:
    for cell in CELLS:
        assert stand_in(row, cell) == stand_of(records, cell), cell
    for purpose in PURPOSES:
        standing = {opt_out.actor_id for opt_out in row.opt_outs if opt_out.purpose == purpose}
        assert standing == opted_out_by(records, purpose), purpose
    for name in PERMISSIONS:
        for device in (None, *DEVICES, "never seen"):
            assert permission_is_on(row, name, device) == was_switched_on(records, name, device), (name, device)
    assert set(row.quarantined) == quarantined_of(records)
    assert row.tightened_position == tightened_position_of(records)


@settings(max_examples=1_000)
@given(histories())
@example([])
def test_a_row_says_what_the_whole_history_says(records: list[Recorded]) -> None:
    assert_agreed(folded(records), records)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(histories(most=50))
def test_a_row_says_what_ten_thousand_longer_histories_say(records: list[Recorded]) -> None:
    assert_agreed(folded(records), records)
