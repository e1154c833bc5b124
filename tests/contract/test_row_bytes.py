"""Rows are written in place, without a schema at hand; fastavro, which goes by the schema, must write the same."""

from contract.rows import full_row
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.histories import histories
from unit.reading import folded

from consentry.codec import datum, decode_row, encode_row
from consentry.codec.framing import read, schema_of, write
from consentry.events import Recorded
from consentry.state.row import SubjectState

LONGS = st.integers(-(2**63), 2**63 - 1)


def as_fastavro_writes(row: bytes) -> bytes:
    return write("SubjectState", read(schema_of(row), row))


@given(histories())
def test_a_row_of_any_history_is_written_as_fastavro_writes_it(history: list[Recorded]) -> None:
    row = encode_row(folded(history))
    assert row == as_fastavro_writes(row)


def test_a_row_with_every_group_is_written_as_fastavro_writes_it() -> None:
    row = encode_row(full_row())
    assert row == as_fastavro_writes(row)
    assert decode_row(row) == full_row()


@given(LONGS, LONGS, st.binary(max_size=300), st.lists(st.text(max_size=90), max_size=90))
def test_any_number_octets_and_texts_are_written_as_fastavro_writes_them(
    closed_at: int, tightened: int, recent: bytes, quarantined: list[str]
) -> None:
    state = replace(
        SubjectState.unknown("account:ü", 1, 2),
        closed_at=closed_at,
        tightened_offset=tightened,
        recent=recent,
        quarantined=tuple(quarantined),
    )
    row = encode_row(state)
    assert row == as_fastavro_writes(row)
    assert decode_row(row) == state


def test_numbers_are_as_short_as_they_can_be() -> None:
    lengths = {0: 1, 63: 1, 64: 2, -1: 1, -64: 1, -65: 2, 8191: 2, 8192: 3, 2**63 - 1: 10, -(2**63): 10}
    assert {value: len(datum.number(value)) for value in lengths} == lengths
