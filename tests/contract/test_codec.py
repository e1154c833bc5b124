"""What is written can be read, by us and by those who come later; what is no record of ours is said to be none."""

from typing import Any

import msgspec
import pytest
from contract.golden_bytes import as_json, golden_files
from contract.rows import full_row
from contract.structs import POLICY_EVENTS, SUBJECT_EVENTS, WIRE_OF, specimen_of, values_of
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.histories import histories
from unit.reading import folded

from consentry.codec import (
    content_hash,
    decode_event,
    decode_log_record,
    decode_policy_record,
    decode_quarantined,
    decode_row,
    decode_state_record,
    encode_event,
    encode_genesis,
    encode_row,
    encode_watermark,
    record_hash,
)
from consentry.codec.framing import Schema, read, registry, schema_of, write
from consentry.errors import UndecodableRecord
from consentry.events import ConsentGiven, ConsentWithdrawn, Genesis, Recorded
from consentry.state.row import SubjectState, Watermark

KINDS = tuple(WIRE_OF)
EVERY_VERSION = sorted(registry().by_header.values(), key=lambda schema: (schema.record, schema.version))
DECODERS = (decode_event, decode_log_record, decode_policy_record, decode_quarantined, decode_state_record, decode_row)


def name_of(value: object) -> str:
    return f"{value.record}.v{value.version}" if isinstance(value, Schema) else value.__name__  # type: ignore[attr-defined]


def bytes_of(kind: type[msgspec.Struct]) -> bytes:
    return WIRE_OF[kind].encode(full_row() if kind is SubjectState else specimen_of(kind))


def decode_or_refuse(value: bytes | None) -> None:
    """Every decoder gives a struct or UndecodableRecord; whatever else it raises fails the test."""
    for decode in DECODERS:
        try:
            decode(value)
        except UndecodableRecord:
            continue


@pytest.mark.parametrize("schema", EVERY_VERSION, ids=name_of)
def test_golden_bytes_of_every_version_still_say_what_they_said(schema: Schema) -> None:
    bytes_file, struct_file = golden_files(schema.record, schema.version)
    golden = bytes.fromhex(bytes_file.read_text(encoding="ascii"))
    kind = next(kind for kind in KINDS if kind.__name__ == schema.record)
    said = msgspec.json.decode(struct_file.read_bytes(), type=kind)
    assert golden.startswith(schema.header)
    assert WIRE_OF[kind].decode(golden) == said


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_what_is_written_now_are_the_golden_bytes_of_the_newest_version(kind: type[msgspec.Struct]) -> None:
    schema = registry().newest[kind.__name__]
    bytes_file, struct_file = golden_files(schema.record, schema.version)
    said = msgspec.json.decode(struct_file.read_bytes(), type=kind)
    assert WIRE_OF[kind].encode(said).hex() == bytes_file.read_text(encoding="ascii").strip()
    assert as_json(said) == struct_file.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not SubjectState], ids=name_of)
@settings(max_examples=20)
@given(data=st.data())
def test_whatever_a_struct_holds_comes_back(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    value = data.draw(values_of(kind))
    wire = WIRE_OF[kind]
    assert wire.decode(wire.encode(value)) == value


@given(histories())
def test_whatever_a_row_holds_comes_back(records: list[Recorded]) -> None:
    row = folded(records)
    assert decode_state_record(encode_row(row)) == row


def test_a_closed_row_and_an_unknown_one_come_back() -> None:
    row = SubjectState.unknown("account:ada", 1, 3)
    closed = msgspec.structs.replace(row, closed_at=7, erased_at=9)
    assert [decode_row(encode_row(each)) for each in (row, closed)] == [row, closed]


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_record_cut_short_anywhere_is_undecodable(kind: type[msgspec.Struct]) -> None:
    whole = bytes_of(kind)
    for length in range(len(whole)):
        with pytest.raises(UndecodableRecord):
            WIRE_OF[kind].decode(whole[:length])


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_record_with_a_byte_too_many_is_undecodable(kind: type[msgspec.Struct]) -> None:
    with pytest.raises(UndecodableRecord, match="1 bytes too many"):
        WIRE_OF[kind].decode(bytes_of(kind) + b"\0")


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_record_of_a_fingerprint_that_no_schema_has_is_undecodable(kind: type[msgspec.Struct]) -> None:
    whole = bytes_of(kind)
    with pytest.raises(UndecodableRecord, match="no schema has the fingerprint"):
        WIRE_OF[kind].decode(whole[:2] + bytes(8) + whole[10:])


@pytest.mark.parametrize("start", [b"\0\0\0\0\7", b"\xc3\0", b"{", b"\xff" * 12])
def test_bytes_that_do_not_begin_as_a_record_does_are_undecodable(start: bytes) -> None:
    whole = bytes_of(ConsentGiven)
    with pytest.raises(UndecodableRecord, match="begins with"):
        decode_log_record(start + whole[len(start) :])


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("nothing", [None, b""])
def test_a_record_without_a_value_is_undecodable(decode: Any, nothing: bytes | None) -> None:
    with pytest.raises(UndecodableRecord, match="no value"):
        decode(nothing)


def test_a_record_of_another_topic_does_not_belong() -> None:
    genesis = encode_genesis(specimen_of(Genesis))
    watermark = encode_watermark(specimen_of(Watermark))
    for decode, stranger in (
        (decode_event, genesis),
        (decode_event, watermark),
        (decode_log_record, watermark),
        (decode_policy_record, bytes_of(ConsentGiven)),
        (decode_quarantined, genesis),
        (decode_state_record, genesis),
    ):
        with pytest.raises(UndecodableRecord, match="does not belong here"):
            decode(stranger)
    with pytest.raises(UndecodableRecord, match="where a row belongs"):
        decode_row(watermark)


@pytest.mark.parametrize(
    ("field", "strange"),
    [("expression", "whispered"), ("channel", "fax"), ("actor_role", "robot"), ("operations", ["sell"])],
)
def test_a_term_that_we_do_not_know_is_undecodable(field: str, strange: object) -> None:
    whole = bytes_of(ConsentGiven)
    datum = read(schema_of(whole), whole)
    with pytest.raises(UndecodableRecord, match="Invalid enum value"):
        decode_event(write("ConsentGiven", {**datum, field: strange}))


@pytest.mark.parametrize("group", ["acts", "marks", "opt_outs", "lifted_opt_outs", "permissions"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed, texts: (packed, [*texts, "one too many"]),
        lambda packed, texts: (packed, texts[:-1]),
        lambda packed, texts: (packed[:-1], texts),
        lambda packed, texts: (packed[:16] + b"\xff" + packed[17:], texts),
    ],
    ids=["a text too many", "a text too few", "half a record", "a term of no table"],
)
def test_a_row_whose_columns_do_not_fit_each_other_is_undecodable(group: str, spoil: Any) -> None:
    whole = bytes_of(SubjectState)
    datum = read(schema_of(whole), whole)
    column = f"{group.removesuffix('s')}_texts"
    datum[group], datum[column] = spoil(datum[group], datum[column])
    with pytest.raises(UndecodableRecord, match="SubjectState"):
        decode_row(write("SubjectState", datum))


@settings(max_examples=500)
@given(st.binary(max_size=300))
def test_random_bytes_are_undecodable_and_nothing_else_is_raised(value: bytes) -> None:
    decode_or_refuse(value)


@settings(max_examples=1_000)
@given(st.sampled_from(EVERY_VERSION), st.binary(max_size=300))
def test_random_bytes_after_a_known_fingerprint_raise_nothing_else(schema: Schema, body: bytes) -> None:
    decode_or_refuse(schema.header + body)


@settings(max_examples=1_500)
@given(st.sampled_from(KINDS), st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bits_raise_nothing_else(kind: type[msgspec.Struct], flips: list[tuple[int, int]]) -> None:
    spoiled = bytearray(bytes_of(kind))
    for place, bits in flips:
        spoiled[10 + place % (len(spoiled) - 10)] ^= bits
    decode_or_refuse(bytes(spoiled))


@given(values_of(ConsentGiven), st.integers(0, 10**9), st.sampled_from(["valid_until", "purpose", "occurred_at"]))
def test_two_events_have_one_hash_only_if_they_say_the_same(event: ConsentGiven, skew_ms: int, field: str) -> None:
    event = msgspec.structs.replace(event, occurred_at=abs(event.occurred_at) // 2, skew_ms=0)
    again = msgspec.structs.replace(
        event, occurred_at=event.occurred_at - skew_ms, skew_ms=skew_ms, expected_position="e1.p3.o7"
    )
    other = msgspec.structs.replace(event, **{field: "other" if field == "purpose" else 7})
    assert content_hash(again) == content_hash(event)
    assert (content_hash(other) == content_hash(event)) == (other == event)


def test_an_event_s_hash_is_the_same_before_and_after_the_wire_and_never_changes() -> None:
    event = specimen_of(ConsentGiven)
    assert content_hash(decode_event(encode_event(event))) == content_hash(event)
    assert content_hash(event).hex() == "d7a2514d9cd212c1"
    assert content_hash(specimen_of(ConsentWithdrawn)).hex() == "2e5e5b7513560352"


def test_a_record_s_hash_tells_each_of_its_parts_apart() -> None:
    parts = [(1, 2, b"k", b"v"), (2, 2, b"k", b"v"), (1, 3, b"k", b"v"), (1, 2, b"kv", b""), (1, 2, None, b"v")]
    parts += [(1, 2, b"", b"v"), (1, 2, b"k", None), (1, 2, b"k", b"")]
    assert len({record_hash(*each) for each in parts}) == len(parts)
    assert record_hash(1, 2, b"k", b"v").hex() == "0b8b251d617edea7c31fc4ed0c14c732b50ae256fd17446604db75125f718ade"


def test_every_record_that_has_a_schema_is_written_by_someone() -> None:
    assert set(registry().newest) == {kind.__name__ for kind in KINDS}


def test_every_event_of_the_unions_has_a_schema_in_its_topic() -> None:
    topics = {schema.record: schema.topic for schema in registry().newest.values()}
    assert {topics[kind.__name__] for kind in SUBJECT_EVENTS} == {"consent-events"}
    assert {topics[kind.__name__] for kind in POLICY_EVENTS} == {"policy-revisions"}
