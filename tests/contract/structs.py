"""Values of any struct of ours: one full specimen, or whatever Hypothesis draws. By type alone, so new ones join in."""

from collections.abc import Callable
from typing import Any, get_args
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from consentry.codec import (
    decode_event,
    decode_policy_record,
    decode_quarantined,
    decode_state_record,
    encode_event,
    encode_genesis,
    encode_policy_event,
    encode_quarantined,
    encode_row,
    encode_watermark,
)
from consentry.codec import decode_log_record as decode_genesis
from consentry.events import AnyPolicyEvent, AnySubjectEvent, Genesis, QuarantinedRecord
from consentry.state.row import SubjectState, Watermark
from consentry.terms import Position

LONG = 2**63
SUBJECT_EVENTS: tuple[type[msgspec.Struct], ...] = get_args(AnySubjectEvent)
POLICY_EVENTS: tuple[type[msgspec.Struct], ...] = get_args(AnyPolicyEvent)


class Wire(msgspec.Struct, frozen=True):
    """How values of a struct become bytes and come back."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes | None], Any]


WIRE_OF: dict[type[msgspec.Struct], Wire] = {
    **dict.fromkeys(SUBJECT_EVENTS, Wire(encode_event, decode_event)),
    **dict.fromkeys(POLICY_EVENTS, Wire(encode_policy_event, decode_policy_record)),
    Genesis: Wire(encode_genesis, decode_genesis),
    QuarantinedRecord: Wire(encode_quarantined, decode_quarantined),
    Watermark: Wire(encode_watermark, decode_state_record),
    SubjectState: Wire(encode_row, decode_state_record),
}
"""every record that is ever written"""


def specimen_of(kind: type[msgspec.Struct]) -> Any:
    """A value of `kind` with nothing left out. Always the same."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return _specimen(info, kind.__name__)


def _specimen(info: inspect.Type, name: str) -> Any:
    match info:
        case inspect.StructType():
            return info.cls(
                **{
                    field.name: None if field.name == "sent_at" else _specimen(field.type, field.name)
                    for field in info.fields
                }
            )
        case inspect.IntType():
            return 1_767_225_600_000 + len(name)
        case inspect.StrType():
            return f"{name} – ∀"
        case inspect.BoolType():
            return True
        case inspect.BytesType():
            return bytes(range(16))
        case inspect.UUIDType():
            return UUID(int=int.from_bytes(name.encode()[:16]))
        case inspect.EnumType():
            return list(info.cls)[-1]
        case inspect.VarTupleType():
            return (_specimen(info.item_type, name),)
        case inspect.DictType():
            return {"1.2.a": _specimen(info.value_type, name)}
        case inspect.UnionType():
            return _specimen(next(each for each in info.types if not isinstance(each, inspect.NoneType)), name)
        case inspect.NamedTupleType():
            return Position(1, 3, 812)
        case _:
            raise NotImplementedError(f"{name}: {info}")


def values_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Whatever `kind` may hold and Avro can carry."""
    return _values(inspect.type_info(kind))


_PLAIN: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
    inspect.IntType: st.integers(-LONG, LONG - 1),
    inspect.StrType: st.text(max_size=20),
    inspect.BoolType: st.booleans(),
    inspect.BytesType: st.binary(min_size=16, max_size=16),
    inspect.UUIDType: st.uuids(),
    inspect.NoneType: st.none(),
    inspect.NamedTupleType: st.builds(
        Position, st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(-1, LONG - 1)
    ),
}


def _values(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.StructType():
            fields = {field.name: _values(field.type) for field in info.fields if field.name != "sent_at"}
            return st.builds(info.cls, **fields)
        case inspect.EnumType():
            return st.sampled_from(list(info.cls))
        case inspect.VarTupleType():
            return st.lists(_values(info.item_type), max_size=3).map(tuple)
        case inspect.DictType():
            return st.dictionaries(st.text(max_size=5), _values(info.value_type), max_size=3)
        case inspect.UnionType():
            return st.one_of([_values(each) for each in info.types])
        case _:
            return _PLAIN[type(info)]
