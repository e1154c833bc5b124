"""How old a view can be, by three clocks of which two may be wrong."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentry.codec import encode_row, encode_watermark
from consentry.replica.freshness import Heard, age_ms
from consentry.replica.rows import PartitionRows
from consentry.state.row import SubjectState, Watermark
from consentry.terms import Position

T = 1_800_000_000_000
"""some moment, by the broker's clock"""


def watermark(complete_at: int, offset: int = 5) -> Watermark:
    return Watermark(
        log_id=uuid4().bytes, position=Position(1, 0, offset), record_hash=bytes(32), complete_at=complete_at
    )


def test_a_view_is_as_old_as_what_its_heartbeat_vouches_for() -> None:
    assert age_ms(watermark(T), Heard(T + 40, T + 50, 7_000), now=T + 300, monotonic_now=7_250) == 300


def test_a_watermark_that_vouches_for_nothing_proves_nothing() -> None:
    assert age_ms(watermark(0), Heard(T, T, 0), now=T, monotonic_now=0) is None


@pytest.mark.parametrize("silence", [0, 5_000, 9_000, 11_000])
def test_a_slow_clock_does_not_make_a_view_fresh_when_heartbeats_stop(silence: int) -> None:
    slow = 10_000
    heard = Heard(T, T - slow, 0)
    age = age_ms(watermark(T), heard, now=T + silence - slow, monotonic_now=silence)
    assert age is not None
    assert age >= silence


def test_a_clock_set_back_does_not_make_an_old_view_fresh() -> None:
    age = age_ms(watermark(T), Heard(T, T, 0), now=T + 500, monotonic_now=20_000)
    assert age is not None
    assert age >= 20_000


@given(
    held_back=st.integers(0, 60_000),
    delivery=st.integers(0, 10_000),
    silence=st.integers(0, 100_000),
    wall_error=st.integers(0, 100_000),
    stepped=st.integers(-100_000, 0),
)
def test_an_age_is_never_less_than_what_is_certain(
    held_back: int, delivery: int, silence: int, wall_error: int, stepped: int
) -> None:
    """Whatever the wall clock says (behind, ahead, set back): since the word was written, so much has passed."""
    heard = Heard(T + held_back, T + held_back + delivery + wall_error, 0)
    now = T + held_back + delivery + silence + wall_error + stepped
    age = age_ms(watermark(T), heard, now=now, monotonic_now=silence)
    assert age is not None
    assert age >= held_back + silence
    if stepped == 0:
        assert age >= held_back + delivery + silence


def test_no_owner_can_have_known_of_a_time_after_its_word_was_written() -> None:
    """An hour ahead, it would make the backlog of the next owner look fresh."""
    rows = PartitionRows(0)
    rows.hear(encode_watermark(watermark(T + 3_600_000)), Heard(T, T, 0))
    assert rows.watermark is not None
    assert rows.watermark.complete_at == T


def test_a_watermark_never_goes_backwards() -> None:
    rows = PartitionRows(0)
    rows.hear(encode_watermark(watermark(T, offset=9)), Heard(T, T, 0))
    rows.hear(encode_watermark(watermark(T + 1, offset=8)), Heard(T + 1, T + 1, 1))
    assert rows.watermark is not None
    assert rows.watermark.position.offset == 9


def test_a_row_that_was_asked_for_is_read_anew_once_it_has_changed() -> None:
    rows = PartitionRows(0)
    for offset in (1, 2, 3):
        rows.apply(b"account:a", encode_row(SubjectState(subject="account:a", position=Position(1, 0, offset))))
        for _ in range(2):
            state = rows.state("account:a")
            assert state is not None
            assert state.position.offset == offset


def test_an_older_row_does_not_replace_a_newer_one() -> None:
    rows = PartitionRows(0)
    for offset in (5, 4):
        rows.apply(b"account:a", encode_row(SubjectState(subject="account:a", position=Position(1, 0, offset))))
    state = rows.state("account:a")
    assert state is not None
    assert state.position.offset == 5
