"""Rows are written and read in place, without a schema at hand; fastavro, which goes by it, must do the same."""

from typing import Any

import msgspec
import pytest
from contract.rows import full_row
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.folding import COLLECT, MOTHER, OPERATOR, PERSON, USE, Log
from unit.histories import histories
from unit.reading import folded

from consentry.codec import datum, decode_row, decode_state_record, encode_row
from consentry.codec.framing import HEADER_BYTES, read, registry, schema_of, write
from consentry.codec.rows import decode_state_record_by_schema, read_row
from consentry.errors import UndecodableRecord
from consentry.events import (
    AgeAsserted,
    ConsentGiven,
    ConsentWithdrawn,
    ExemptionInvoked,
    GuardianLinked,
    GuardianVerified,
    PolicyAccepted,
    Recorded,
)
from consentry.state.row import (
    Acceptance,
    AgeStatement,
    Circumstances,
    Ending,
    Guardianship,
    Invocation,
    Lift,
    Objection,
    Scope,
    SubjectState,
)
from consentry.terms import AgeSource, Expression, Operation

# A row of every shape, whether or not a log can make it.
SOME_ID = st.integers(0, 2**128 - 1).map(lambda number: number.to_bytes(16, "big"))
TIMES = st.integers(-1, 2**62)
SCOPES = st.builds(
    Scope,
    st.text(max_size=5),
    st.lists(st.sampled_from(list(Operation)), unique=True).map(lambda some: tuple(o for o in Operation if o in some)),
    st.lists(st.text(max_size=5), max_size=3).map(tuple),
    st.lists(st.text(max_size=5), max_size=3).map(tuple),
)
FIELDS = {
    "event_id": SOME_ID,
    "scope": SCOPES,
    "policy_version": st.integers(0, 2**31 - 1),
    "birth_date": st.none() | st.integers(1, 3_652_059),
}


def many(kind: type[msgspec.Struct]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Entries of any kind; `Guardianship` apart, its id hangs on its time."""
    fields = {
        name: FIELDS.get(name, TIMES) for name, hint in kind.__annotations__.items() if hint in (int, bytes, Scope)
    }
    fields |= {"birth_date": FIELDS["birth_date"]} if kind is AgeStatement else {}
    if kind is Guardianship:
        fields |= {"verified_id": st.just(b""), "verified_at": st.just(-1)}
    return st.lists(st.builds(kind, **fields), max_size=3).map(tuple)


CIRCUMSTANCES = st.builds(
    Circumstances,
    ages=many(AgeStatement),
    guardianships=many(Guardianship),
    acceptances=many(Acceptance),
    lifts=many(Lift),
    objections=many(Objection),
    invocations=many(Invocation),
    endings=many(Ending),
)
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


@given(CIRCUMSTANCES, st.none() | LONGS)
def test_any_circumstances_are_written_as_fastavro_writes_them(facts: Circumstances, first_act_at: int | None) -> None:
    state = replace(SubjectState.unknown("account:ada", 1, 2), circumstances=facts, first_act_at=first_act_at)
    row = encode_row(state)
    assert row == as_fastavro_writes(row)
    assert decode_row(row) == state


def test_a_subject_of_40_cells_with_guardians_ages_and_exemptions_has_a_row_of_four_kilobytes_at_most() -> None:
    log = Log()
    log.append(GuardianLinked, guardian=MOTHER.id, relation="mother", actor=OPERATOR)
    log.append(GuardianVerified, guardian=MOTHER.id, method="id card", actor=OPERATOR)
    log.append(AgeAsserted, source=AgeSource.DECLARED, birth_date="2012-05-01")
    for purpose in range(10):
        cells = {"purpose": f"purpose.number-{purpose}", "operations": (USE, COLLECT), "data": ("location", "contacts")}
        for actor in (PERSON, MOTHER):
            log.append(ConsentGiven, **cells, policy_version=2, expression=Expression.SEPARATE, actor=actor)
    log.append(PolicyAccepted, policy_version=2, actor=MOTHER)
    log.append(ConsentWithdrawn, purpose="purpose.number-3", actor=MOTHER)
    row = log.append(
        ExemptionInvoked,
        code="c",
        operations=(USE,),
        data=("location",),
        legal_ref="court order 7 of 2026",
        approver="operator-2",
        valid_until=9_000,
        actor=OPERATOR,
    )
    assert len({cell for act in row.acts for cell in act.block.cells()}) == 40
    assert len(encode_row(row)) <= 4_096


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


def assert_both_answer_the_same(value: bytes) -> None:
    """Reading in place may decline, but says nothing that the schema does not."""
    quickly = read_row(value)
    try:
        row = decode_state_record_by_schema(value)
    except UndecodableRecord:
        assert quickly is None
        with pytest.raises(UndecodableRecord):
            decode_state_record(value)
        return
    # by repr: a term and a string that say the same are equal, and yet not the same
    assert quickly is None or repr(quickly) == repr(row)
    assert repr(decode_state_record(value)) == repr(row)


@given(histories())
def test_a_row_of_any_history_is_read_in_place_as_fastavro_reads_it(history: list[Recorded]) -> None:
    row = folded(history)
    assert repr(read_row(encode_row(row))) == repr(row)
    assert_both_answer_the_same(encode_row(row))


@given(CIRCUMSTANCES, st.none() | st.integers(-(2**62), 2**62 - 1))  # nine bytes at most
def test_any_circumstances_are_read_in_place_as_fastavro_reads_them(
    facts: Circumstances, first_act_at: int | None
) -> None:
    state = replace(SubjectState.unknown("account:ada", 1, 2), circumstances=facts, first_act_at=first_act_at)
    assert_both_answer_the_same(encode_row(state))
    assert read_row(encode_row(state)) == state


@settings(max_examples=3_000)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_a_spoiled_row_is_read_as_fastavro_reads_it_or_not_at_all(small: bool, flips: list[tuple[int, int]]) -> None:
    spoiled = bytearray(encode_row(SubjectState.unknown("account:ada", 1, 2) if small else full_row()))
    for place, bits in flips:
        spoiled[HEADER_BYTES + place % (len(spoiled) - HEADER_BYTES)] ^= bits
    assert_both_answer_the_same(bytes(spoiled))


@settings(max_examples=1_000)
@given(st.binary(max_size=300))
@example(b"")
def test_a_row_of_random_bytes_is_read_as_fastavro_reads_it_or_not_at_all(body: bytes) -> None:
    assert_both_answer_the_same(registry().newest["SubjectState"].header + body)


def test_a_row_cut_short_or_with_a_byte_too_many_is_not_read_in_place() -> None:
    whole = encode_row(full_row())
    assert [read_row(whole[:length]) for length in range(len(whole))] == [None] * len(whole)
    assert read_row(whole + b"\0") is None
