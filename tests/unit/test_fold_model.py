"""`fold` and the slow model agree, on whatever history."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from unit.histories import CELLS, DEVICES, GUARDIANS, PERMISSIONS, PURPOSES, histories
from unit.model import (
    accepted_versions,
    ages_of,
    exemptions_of,
    first_act_of,
    guardians_of,
    lifts_of,
    objections_of,
    opted_out_by,
    quarantined_of,
    stand_of,
    tightened_position_of,
    was_switched_on,
)
from unit.reading import exemptions_in, folded, permission_is_on, stand_in

from consentry.events import Recorded
from consentry.state.row import Circumstances, SubjectState


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
    assert row.first_act_at == first_act_of(records)
    assert_circumstances_agreed(row, row.circumstances or Circumstances(), records)


def assert_circumstances_agreed(row: SubjectState, facts: Circumstances, records: Sequence[Recorded]) -> None:
    linked = {each.guardian: each for each in facts.guardianships if each.linked}
    for guardian, (is_linked, verified_by) in guardians_of(records, GUARDIANS).items():
        assert (guardian in linked) is is_linked
        verified = linked[guardian].verified_offset if is_linked and linked[guardian].verified else None
        assert verified == verified_by
    assert [(each.offset, each.may_raise) for each in facts.ages] == ages_of(records)
    assert {(each.actor_id, each.policy_version) for each in facts.acceptances} == accepted_versions(records)
    assert {each.offset for each in facts.objections} == objections_of(records)
    for purpose in PURPOSES:
        lifts = {each.offset for each in facts.lifts if each.purpose == purpose}
        assert lifts == lifts_of(records, purpose), purpose
    for cell in CELLS:
        assert exemptions_in(row, cell) == exemptions_of(records, cell), cell


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
