"""What holds of `fold` on every history."""

from collections.abc import Sequence
from random import Random

import msgspec
from contract.structs import SUBJECT_EVENTS, values_of
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.histories import (
    CELLS,
    DEVICES,
    PERMISSIONS,
    PERSON,
    PURPOSES,
    SUBJECT,
    Draft,
    anything,
    at,
    drafts,
    grants,
    histories,
    lay_down,
    reaffirmations,
    stops,
    tightenings,
)
from unit.model import is_tightening
from unit.reading import folded, permission_is_on, stand_in

from consentry.codec import decode_row, encode_row
from consentry.events import AnySubjectEvent, Recorded
from consentry.state.fold import fold_or_quarantine
from consentry.state.row import SubjectState
from consentry.terms import Cell, Status

STOPPED = (Status.REFUSED, Status.WITHDRAWN, Status.REVOKED, Status.INVALIDATED)


@given(histories())
def test_a_row_and_its_bytes_are_one_to_one(records: list[Recorded]) -> None:
    row = folded(records)
    assert decode_row(encode_row(row)) == row
    assert encode_row(decode_row(encode_row(row))) == encode_row(row)


@given(histories(), st.integers(0, 25))
def test_a_restored_row_folds_on_as_the_live_one_does(records: list[Recorded], cut: int) -> None:
    restored = decode_row(encode_row(folded(records[:cut])))
    assert encode_row(folded(records[cut:], restored)) == encode_row(folded(records))


@given(histories())
def test_folding_a_log_twice_equals_folding_it_once(records: list[Recorded]) -> None:
    assert folded(records + records) == folded(records)


@given(histories(), st.randoms(use_true_random=False))
def test_records_delivered_again_change_nothing(records: list[Recorded], random: Random) -> None:
    delivered: list[Recorded] = []
    for recorded in records:
        delivered.append(recorded)
        delivered.extend(random.choices(delivered, k=random.randrange(3)))
    assert encode_row(folded(delivered)) == encode_row(folded(records))


@given(histories(), st.lists(st.integers(0, 24), max_size=5))
def test_an_event_appended_again_changes_nothing(records: list[Recorded], again: list[int]) -> None:
    repeated = [
        Recorded(at(len(records) + 1 + place), records[-1].recorded_at + 1, records[which % len(records)].event)
        for place, which in enumerate(again)
        if records
    ]
    row = folded(records)
    kept = set(_entries(row.recent))
    known = [recorded for recorded in repeated if recorded.event.event_id.bytes in kept]
    assert all(folded([recorded], row) is row for recorded in known if _same_content_is_known(recorded, records))


def _entries(recent: bytes) -> list[bytes]:
    return [recent[start : start + 16] for start in range(0, len(recent), 24)]


def _same_content_is_known(recorded: Recorded, records: Sequence[Recorded]) -> bool:
    """Not one whose first telling was itself without effect: it is in the log, but the row does not know it."""
    first = next(former for former in records if former.event.event_id == recorded.event.event_id)
    return first.event is recorded.event


@given(histories(), drafts(stops), st.lists(drafts(grants | reaffirmations), max_size=6))
def test_a_withdrawal_is_never_undone_by_what_was_given_before_it(
    records: list[Recorded], stop: Draft, late: list[Draft]
) -> None:
    start = records[-1].recorded_at if records else 1_000
    offset = len(records) + 1
    stop = msgspec.structs.replace(stop, number=10**10)
    withdrawn = lay_down([stop], first_offset=offset, recorded_at=start)
    before = [
        msgspec.structs.replace(
            draft,
            number=10**11 + place,
            fields={**draft.fields, "expected_position": None},
            clock=withdrawn[0].recorded_at - start - 10_000,
        )
        for place, draft in enumerate(late)
    ]
    row = folded(records + withdrawn)
    stopped = [cell for cell in CELLS if stand_in(row, cell).by == offset]
    after = lay_down(before, first_offset=offset + 1, recorded_at=withdrawn[0].recorded_at)
    row = folded(after, row)
    assert all(stand_in(row, cell).status in STOPPED for cell in stopped)


@given(histories(), st.lists(drafts(tightenings), min_size=1, max_size=6))
def test_what_tightens_never_allows_more(records: list[Recorded], drawn: list[Draft]) -> None:
    before = folded(records)
    later = lay_down(drawn, first_offset=len(records) + 1, recorded_at=records[-1].recorded_at if records else 1_000)
    after = folded(later, before)
    for cell in CELLS:
        assert set(stand_in(after, cell).grants) <= set(stand_in(before, cell).grants)
    for name in PERMISSIONS:
        for device in (None, *DEVICES):
            assert permission_is_on(before, name, device) or not permission_is_on(after, name, device)
    assert {opt_out.purpose for opt_out in before.opt_outs} <= {opt_out.purpose for opt_out in after.opt_outs}
    assert set(before.quarantined) <= set(after.quarantined)


@given(st.lists(drafts(anything), max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_events_about_different_purposes_does_not_matter(drawn: list[Draft], random: Random) -> None:
    apart = [
        msgspec.structs.replace(draft, number=1_000 + place, fields={**draft.fields, "expected_position": None})
        for place, draft in enumerate(drawn)
        if draft.fields.get("purpose") is not None and draft.kind != "DataCollected"
    ]
    # `pause` is 0: what shifts places must not shift clocks
    apart = [msgspec.structs.replace(draft, pause=0, fields=_fitting(draft)) for draft in apart]
    shuffled = _interleaved(apart, random)
    one, other = folded(lay_down(apart)), folded(lay_down(shuffled))
    for cell in CELLS:
        assert _regardless_of_place(one, cell) == _regardless_of_place(other, cell)
    for purpose in PURPOSES:
        assert len([each for each in one.opt_outs if each.purpose == purpose]) == len(
            [each for each in other.opt_outs if each.purpose == purpose]
        )


def _fitting(draft: Draft) -> dict[str, object]:
    """Without what this kind of event has no field for."""
    if draft.kind in ("ConsentGiven", "ConsentReaffirmed", "PreferenceSet"):
        return draft.fields
    return {name: value for name, value in draft.fields.items() if name != "expected_position"}


def _interleaved(drawn: list[Draft], random: Random) -> list[Draft]:
    """Another order, that keeps the one within each purpose."""
    queues = [[draft for draft in drawn if draft.fields["purpose"] == purpose] for purpose in PURPOSES]
    mixed: list[Draft] = []
    while any(queues):
        mixed.append(random.choice([queue for queue in queues if queue]).pop(0))
    return mixed


def _regardless_of_place(row: SubjectState, cell: Cell) -> object:
    stand = stand_in(row, cell)
    return stand.status, [(actor, expression) for actor, expression, _ in stand.grants]


@settings(max_examples=300)
@given(histories(most=60))
def test_a_row_stays_within_its_limits(records: list[Recorded]) -> None:
    row = folded(records)
    assert len(row.marks) <= 64
    assert len(row.recent) <= 32 * 24
    assert len({cell for act in row.acts for cell in act.block.cells()}) <= 512


@given(histories())
def test_a_position_only_ever_grows_and_no_tightening_goes_unnoticed(records: list[Recorded]) -> None:
    row = folded([])
    for recorded in records:
        after = folded([recorded], row)
        assert after.position in (row.position, recorded.position)
        if after is not row and is_tightening(recorded.event):
            assert after.tightened_position == recorded.position
        row = after


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(st.sampled_from(SUBJECT_EVENTS).flatmap(values_of), st.integers(0, 2**62), st.booleans()), max_size=6
    )
)
def test_whatever_the_wire_can_carry_folds_to_a_row_that_can_be_written(
    drawn: list[tuple[AnySubjectEvent, int, bool]],
) -> None:
    row = folded([])
    for offset, (event, recorded_at, by_the_person) in enumerate(drawn, start=1):
        event = msgspec.structs.replace(event, subject=SUBJECT, actor=PERSON if by_the_person else event.actor)
        row, _ = fold_or_quarantine(row, Recorded(at(offset), recorded_at, event))
        assert decode_row(encode_row(row)) == row
