"""Events are read in place, without a walk through their schema; where that answers, fastavro must answer the same."""

import msgspec
import pytest
from contract.structs import SUBJECT_EVENTS, specimen_of, values_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consentry.codec import datum, decode_event, decode_log_record, encode_event, reading
from consentry.codec.event_reader import read_event
from consentry.codec.framing import HEADER_BYTES, registry
from consentry.codec.wire import decode_event_by_schema
from consentry.errors import UndecodableRecord
from consentry.events import AnySubjectEvent, ConsentGiven, ConsentWithdrawn
from consentry.terms import Operation

LONGS = st.integers(-(2**63), 2**63 - 1)
HEADERS = [registry().newest[kind.__name__].header for kind in SUBJECT_EVENTS]
FLIPS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4)


def name_of(kind: type) -> str:
    return kind.__name__


def said(event: AnySubjectEvent | None) -> str:
    """With the type of each value: a term and a string that say the same are equal, and yet not the same."""
    return repr(event)


def assert_both_answer_the_same(value: bytes) -> None:
    """Reading in place may decline, but says nothing that the schema does not."""
    try:
        event = decode_event_by_schema(value)
    except UndecodableRecord:
        assert read_event(value) is None
        with pytest.raises(UndecodableRecord):
            decode_event(value)
        return
    quickly = read_event(value)
    assert quickly is None or said(quickly) == said(event)
    assert said(decode_event(value)) == said(decode_log_record(value)) == said(event)


@pytest.mark.parametrize("kind", SUBJECT_EVENTS, ids=name_of)
def test_every_kind_of_event_is_read_in_place(kind: type[msgspec.Struct]) -> None:
    specimen = specimen_of(kind)
    read = read_event(encode_event(specimen))
    assert said(read) == said(specimen)


@pytest.mark.parametrize("kind", SUBJECT_EVENTS, ids=name_of)
@settings(max_examples=50)
@given(data=st.data())
def test_whatever_an_event_holds_is_read_as_fastavro_reads_it(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    event = data.draw(values_of(kind))
    value = encode_event(event)
    assert said(decode_event(value)) == said(event)
    assert_both_answer_the_same(value)


@settings(max_examples=3_000)
@given(st.sampled_from(SUBJECT_EVENTS), FLIPS)
def test_spoiled_bytes_are_read_as_fastavro_reads_them_or_not_at_all(
    kind: type[msgspec.Struct], flips: list[tuple[int, int]]
) -> None:
    spoiled = bytearray(encode_event(specimen_of(kind)))
    for place, bits in flips:
        spoiled[HEADER_BYTES + place % (len(spoiled) - HEADER_BYTES)] ^= bits
    assert_both_answer_the_same(bytes(spoiled))


@settings(max_examples=1_000)
@given(st.sampled_from(HEADERS), st.binary(max_size=300))
@example(HEADERS[0], b"")
@example(HEADERS[0], bytes(9))
def test_random_bytes_are_read_as_fastavro_reads_them_or_not_at_all(header: bytes, body: bytes) -> None:
    assert_both_answer_the_same(header + body)


@pytest.mark.parametrize("kind", SUBJECT_EVENTS, ids=name_of)
def test_what_is_cut_short_or_has_a_byte_too_many_is_not_read_in_place(kind: type[msgspec.Struct]) -> None:
    whole = encode_event(specimen_of(kind))
    assert [read_event(whole[:length]) for length in range(len(whole))] == [None] * len(whole)
    assert read_event(whole + b"\0") is None


@pytest.mark.parametrize("length", [0, 1, 63, 64, 127, 128, 8_191, 8_192])
def test_texts_and_lists_of_any_length_are_read_in_place(length: int) -> None:
    grant = msgspec.structs.replace(specimen_of(ConsentGiven), subject="ü" * length, data=("x" * length,) * length)
    assert read_event(encode_event(grant)) == grant


@given(LONGS)
@example(-(2**63))
@example(2**63 - 1)
def test_a_number_is_read_as_it_was_written_unless_it_is_too_long(value: int) -> None:
    written = datum.number(value)
    if len(written) <= 9:
        assert reading.number(written + b"\7", 0) == (value, len(written))
    else:
        with pytest.raises(reading.Unusual):
            reading.number(written, 0)


def test_a_list_in_several_blocks_goes_the_long_way() -> None:
    whole = encode_event(specimen_of(ConsentWithdrawn))
    one = datum.texts([Operation.EXPORT])
    assert whole.count(one) == 1
    word = datum.text(Operation.EXPORT)
    for written in (
        datum.number(1) + word + datum.number(1) + word + datum.EMPTY,
        datum.number(-2) + datum.number(2 * len(word)) + word + word + datum.EMPTY,
    ):
        value = whole.replace(one, written)
        assert read_event(value) is None
        event = decode_event(value)
        assert isinstance(event, ConsentWithdrawn)
        assert event.operations == (Operation.EXPORT, Operation.EXPORT)
