"""What the benchmarks feed in is what they say: the same for a seed, without order, and rows of the promised size."""

from collections import Counter
from collections.abc import Callable
from itertools import count, pairwise

import pytest

from benchmarks.answers import compare
from benchmarks.inputs import FORTY, FORTY_IN_TEN, ONE, POOL, TEN, Shape, acts, subject_name
from benchmarks.report import percentiles_of, spread_of
from consentry.codec import encode_event
from consentry.events import AnySubjectEvent, ConsentGiven, ConsentWithdrawn, Genesis, PermissionObserved
from consentry.folding import RawRecord, fold_record
from consentry.partition import partition_of
from consentry.state.row import SubjectState
from consentry.terms import SubjectIds

SHAPES = (ONE, TEN, FORTY, FORTY_IN_TEN)
AT = 1_790_000_000_000


def ticking() -> Callable[[], int]:
    """A clock that is 1 ms later each time it is read."""
    return count(AT).__next__


def few(shape: Shape) -> Shape:
    """The shape for so few subjects that each acts many times."""
    return Shape(name=shape.name, operations=shape.operations, data=shape.data, acts=shape.acts, subjects=20)


def folded(events: list[AnySubjectEvent]) -> dict[str, SubjectState]:
    """Through the log's bytes, each recorded 1 ms after the one before. None may be set aside."""
    genesis = Genesis(log_id=events[0].event_id, epoch=1, partitions=1, subject_ids=SubjectIds.PLAIN)
    states: dict[str, SubjectState] = {}
    for offset, event in enumerate(events, 1):
        value = encode_event(event)
        record = RawRecord("consent-events", 0, offset, event.occurred_at, event.subject.encode(), value)
        result = fold_record(record, genesis, states.get)
        assert result.quarantined is None
        assert result.state is not None
        states[event.subject] = result.state
    return states


def cells_of(state: SubjectState) -> int:
    return len({cell for act in state.acts for cell in act.block.cells()})


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_seed_gives_the_same_acts_again(shape: Shape) -> None:
    first = list(acts(shape, 300, ticking(), seed=7))
    assert first == list(acts(shape, 300, ticking(), seed=7))
    assert first != list(acts(shape, 300, ticking(), seed=8))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_first_acts_of_a_subject_give_its_row_all_cells(shape: Shape) -> None:
    seen: Counter[str] = Counter()
    first = []
    for event in acts(few(shape), 20 * shape.acts * 10, ticking()):
        seen[event.subject] += 1
        if seen[event.subject] <= shape.acts:
            first.append(event)
    assert {cells_of(state) for state in folded(first).values()} == {shape.cells}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_later_acts_leave_a_row_at_its_size(shape: Shape) -> None:
    states = folded(list(acts(few(shape), 20 * shape.acts * 10, ticking())))
    assert {cells_of(state) for state in states.values()} == {shape.cells}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_row_that_is_complete_is_renewed_withdrawn_and_observed(shape: Shape) -> None:
    kinds = {type(event) for event in acts(few(shape), 20 * shape.acts * 10, ticking())}
    assert kinds == {ConsentGiven, ConsentWithdrawn, PermissionObserved}


@pytest.mark.parametrize("shape", [ONE, TEN, FORTY], ids=lambda shape: shape.name)
def test_the_shapes_of_one_act_draw_from_a_million_subjects(shape: Shape) -> None:
    assert shape.subjects == POOL == 1_000_000
    subjects = {event.subject for event in acts(shape, 5_000, ticking())}
    assert len(subjects) > 4_950  # of 5,000 draws about 12 meet a subject again


def test_keys_come_in_no_order() -> None:
    names = [subject_name(number) for number in range(2_000)]
    rising = sum(former < later for former, later in pairwise(names))
    assert len(set(names)) == len(names)
    assert 900 < rising < 1_100


def test_keys_are_spread_over_the_partitions() -> None:
    counts = [0] * 12
    for number in range(12_000):
        counts[partition_of(subject_name(number), 12)] += 1
    assert min(counts) > 850
    assert max(counts) < 1_150


def test_rows_that_differ_stop_the_race() -> None:
    assert compare({b"a": b"1", b"b": b"2"}, {b"a": b"1", b"b": b"2"}) == 2
    with pytest.raises(AssertionError, match="1 of 2 rows differ"):
        compare({b"a": b"1", b"b": b"2"}, {b"a": b"1", b"b": b"3"})
    with pytest.raises(AssertionError, match="1 of 1 rows differ"):
        compare({b"a": b"1"}, {})
    with pytest.raises(AssertionError, match="no row"):
        compare({}, {})


def test_a_percentile_is_a_value_that_was_measured() -> None:
    found = percentiles_of([float(value) for value in range(100, 0, -1)])
    assert (found.samples, found.p50, found.p99, found.max) == (100, 51.0, 99.0, 100.0)
    assert percentiles_of([3.0]).p99 == 3.0


def test_a_spread_keeps_every_run() -> None:
    found = spread_of([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high, found.runs) == (2.0, 1.0, 3.0, (3.0, 1.0, 2.0))
