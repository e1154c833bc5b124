"""Rows in the replica's own form: msgpack without names, its rank and a checksum before it. Local to a host.

A tenth of the time that the wire's Avro takes to read, and hardly more bytes. Nobody else reads it: `LAYOUT` names the
form, and a copy in another is made anew from the topic.
"""

import hashlib
import struct
import types
import zlib
from collections.abc import Iterator
from enum import EnumType
from functools import cache
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from consentry.codec import decode_row
from consentry.errors import UndecodableRecord
from consentry.state.row import SubjectState
from consentry.terms import FOLD_VERSION

_FORM: Final = 1
"""counts up with each change of what lies in a copy, but for the rows' own fields"""
_RANK: Final = struct.Struct(">QIQ")
_CHECK_BYTES: Final = 4
_UNREADABLE: Final = b"\xff" * _RANK.size
"""outranks all: what we cannot read must not be hidden by what we can"""
_WHOLE: Final = 0x2144DF1C
"""the CRC-32 of whatever is followed by its own CRC-32, low byte first"""


def compact_row(partition: int, key: bytes, value: bytes) -> bytes:
    """A row of consent-state in the replica's form; one that cannot be read is kept as one that cannot be read."""
    try:
        state = decode_row(value)
        if state.subject.encode() != key or state.position.partition != partition:
            raise UndecodableRecord("the row is another's")
    except UndecodableRecord:
        return _sealed(key, _UNREADABLE)
    position = state.position
    return _sealed(key, _RANK.pack(position.epoch, state.fold_version, position.offset + 1) + _encode(state))


def _sealed(key: bytes, row: bytes) -> bytes:
    return row + zlib.crc32(row, zlib.crc32(key)).to_bytes(_CHECK_BYTES, "little")


def ranks_below(row: bytes, held: bytes) -> bool:
    """Whether `row` is older than what is held; both compact, of one subject."""
    return row[: _RANK.size] < held[: _RANK.size]


def is_whole(key: bytes, held: bytes) -> bool:
    """Whether it is what was stored under this key."""
    return zlib.crc32(held, zlib.crc32(key)) == _WHOLE


def check_of(held: bytes) -> int:
    """The row's own checksum; the sum over all rows tells that none is missing and none is an older one."""
    return int.from_bytes(held[-_CHECK_BYTES:], "little")


def expand_row(key: bytes, held: bytes) -> SubjectState:
    """Raises UndecodableRecord where it was written by a later version, or is not what was stored."""
    if not is_whole(key, held):
        raise UndecodableRecord("the copy of a row is damaged")
    if held[: _RANK.size] == _UNREADABLE:
        raise UndecodableRecord("the row cannot be read here: a later version wrote it, or it is another's")
    try:
        return _decoder().decode(memoryview(held)[_RANK.size : -_CHECK_BYTES])
    except msgspec.DecodeError as fault:
        raise UndecodableRecord(f"the copy of a row: {fault}") from fault


def _encode(state: SubjectState) -> bytes:
    return _encoder.encode(msgspec.convert(state, _array_form(SubjectState), from_attributes=True))


_encoder = msgspec.msgpack.Encoder()


@cache
def _decoder() -> "msgspec.msgpack.Decoder[SubjectState]":
    return msgspec.msgpack.Decoder(_array_form(SubjectState))


@cache
def _array_form(kind: type[Any]) -> type[Any]:
    """The struct as a list of its values: a subclass of it, and so of all that it is made of."""
    hints = get_type_hints(kind)
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        hint = _with_arrays(hints[field.name])
        required = field.default is msgspec.NODEFAULT
        fields.append((field.name, hint) if required else (field.name, hint, field.default))
    names = kind.__struct_fields__

    def equals(held: Any, other: object) -> bool:
        return isinstance(other, kind) and all(getattr(held, name) == getattr(other, name) for name in names)

    def differs(held: Any, other: object) -> bool:
        return not equals(held, other)

    def hashed(held: Any) -> int:
        return hash(kind(**{name: getattr(held, name) for name in names}))

    return msgspec.defstruct(
        kind.__name__,
        fields,
        bases=(kind,),
        # rows of a copy are compared with rows that were folded here
        namespace={"__eq__": equals, "__ne__": differs, "__hash__": hashed},
        frozen=True,
        kw_only=True,
        gc=False,
        array_like=True,
    )


def _with_arrays(hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _array_form(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return tuple[tuple(_with_arrays(each) for each in arguments)]  # type: ignore[misc]  # made at run time
    if origin is types.UnionType:
        union = _with_arrays(arguments[0])
        for each in arguments[1:]:
            union |= _with_arrays(each)
        return union
    return hint


def _described(kind: type[Any]) -> Iterator[str]:
    """Every name, type and member that the form of a row hangs on."""
    yield kind.__name__
    hints = get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        yield f"{field.name}: {hints[field.name]}"
        for part in _parts(hints[field.name]):
            if isinstance(part, EnumType):
                yield f"{part.__name__}: {[member.value for member in part]}"  # type: ignore[var-annotated]
            elif isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield from _described(part)


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for argument in get_args(hint):
        yield from _parts(argument)


@cache
def layout() -> str:
    """A name for the form of a copy and its rows; another one wherever either changed."""
    said = "\n".join([f"form {_FORM}, fold {FOLD_VERSION}", *_described(SubjectState)])
    return hashlib.sha256(said.encode()).hexdigest()[:12]
